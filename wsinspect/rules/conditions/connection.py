"""Conditions on the connection: answered once, before its first message."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wsinspect.rules import text_forms
from wsinspect.rules.conditions.base import Condition
from wsinspect.rules.fields import Field, Type
from wsinspect.rules.predicates import Predicate, contradiction
from wsinspect.rules.reach import EVERYWHERE, REQUEST, RESPONSE
from wsinspect.rules.template import Expression

if TYPE_CHECKING:
    from wsinspect.rules.connection_facts import ConnectionFacts
    from wsinspect.rules.view import View


class Static(Condition):
    """Base: `holds` says whether the connection is such a one."""

    static = True
    cost = 0

    def test(self, view: View) -> bool:
        answers, key = view.facts.answers, id(self)
        answer = answers.get(key)
        if answer is None:
            answer = answers[key] = self.holds(view.facts)
        return answer

    def known(self, facts: ConnectionFacts) -> bool:
        return self.holds(facts)

    def holds(self, facts: ConnectionFacts) -> bool:
        raise NotImplementedError


_NO_MESSAGE: Any = None
"""Static predicates hold no `{{…}}` (the loader refuses them), so they look at no message."""


class OneValue(Static):
    """Base: one text or number, by a predicate."""

    noun = ""
    whole = False
    value: Predicate

    def holds(self, facts: ConnectionFacts) -> bool:
        return self.value.any_of(self.values(facts), _NO_MESSAGE)

    def values(self, facts: ConnectionFacts) -> Sequence[Any]:
        raise NotImplementedError

    def explain(self) -> str:
        return f"{self.noun} {self.value.explain()}"

    def never(self) -> str:
        single = contradiction([self.value], whole=self.whole)
        return f"no {self.noun.removeprefix('its ')} is like that" if single else ""


class Url(OneValue):
    field = Field(
        "url",
        Type.TEXT_TEST,
        "The URL as the server is addressed (ws:// or wss://). Tried with its query and without it.",
        form=text_forms.URL,
    )
    example = 'url: "*/ws"'
    noun = "its URL"

    def values(self, facts: ConnectionFacts) -> Sequence[Any]:
        return (facts.url, facts.url_bare)


class Host(OneValue):
    field = Field(
        "host",
        Type.FOLDED_TEST,
        "The URL's host, without its port, whatever its case.",
        form=text_forms.HOST,
    )
    example = 'host: "*.example.com"'
    noun = "its host"

    def values(self, facts: ConnectionFacts) -> Sequence[Any]:
        return (facts.host,)


class Port(OneValue):
    field = Field(
        "port", Type.NUMBER_TEST, "The URL's port, also where it is the scheme's own.", low=1, high=65535
    )
    example = "port: [80, 443]"
    noun = "its port"
    whole = True

    def values(self, facts: ConnectionFacts) -> Sequence[Any]:
        return (facts.port,)


class UrlPath(OneValue):
    field = Field(
        "path",
        Type.TEXT_TEST,
        "The URL's path, as it is written there, without the query.",
        form=text_forms.PATH,
    )
    example = "path: /chat/*"
    noun = "its path"

    def values(self, facts: ConnectionFacts) -> Sequence[Any]:
        return (facts.path,)


class Subprotocol(OneValue):
    field = Field(
        "subprotocol",
        Type.TEXT_TEST,
        "The subprotocol agreed on; on the handshake's request any of those offered.",
        form=text_forms.NAME,
    )
    example = "subprotocol: graphql-transport-ws"
    noun = "its subprotocol"

    def values(self, facts: ConnectionFacts) -> Sequence[Any]:
        return facts.subprotocols

    def never(self) -> str:
        return ""  # several may be offered


class ExtensionName(OneValue):
    field = Field(
        "extension",
        Type.FOLDED_TEST,
        "The name of an extension agreed on; on the handshake's request of one that is offered.",
        form=text_forms.EXTENSION,
    )
    example = "extension: permessage-deflate"
    noun = "one of its extensions"

    def values(self, facts: ConnectionFacts) -> Sequence[Any]:
        return [name.lower() for name in facts.extensions]

    def never(self) -> str:
        return ""


class Status(OneValue):
    field = Field("status", Type.NUMBER_TEST, "The HTTP status of the handshake's answer.", low=100, high=999)
    example = 'status: ">=400"'
    noun = "the answer's status"
    whole = True
    reach = RESPONSE

    def values(self, facts: ConnectionFacts) -> Sequence[Any]:
        return () if facts.opened is None else (facts.opened.status,)


class Named(Static):
    """Base: values by name, each with a predicate."""

    noun = ""
    value: Mapping[str, Predicate]

    def holds(self, facts: ConnectionFacts) -> bool:
        found = self.found(facts)
        return all(test.any_of(found.get(name, ()), _NO_MESSAGE) for name, test in self.value.items())

    def found(self, facts: ConnectionFacts) -> Mapping[str, Sequence[str]]:
        raise NotImplementedError

    def explain(self) -> str:
        return " and ".join(f"{self.noun} {name} {test.explain()}" for name, test in self.value.items())


class Header(Named):
    field = Field(
        "header", Type.HEADER_TESTS, "Headers of the request, by name; one value of that name must do."
    )
    example = 'header: {Origin: "https://*.example.com"}'
    noun = "its header"

    def found(self, facts: ConnectionFacts) -> Mapping[str, Sequence[str]]:
        return facts.headers


class ResponseHeader(Named):
    field = Field("response-header", Type.HEADER_TESTS, "Headers of the handshake's answer, by name.")
    example = "response-header: {Server: nginx*}"
    noun = "the answer's header"
    reach = EVERYWHERE & ~REQUEST

    def found(self, facts: ConnectionFacts) -> Mapping[str, Sequence[str]]:
        return facts.response_headers


class Cookie(Named):
    field = Field("cookie", Type.NAMED_TESTS, "Cookies of the request, by name.")
    example = "cookie: {session: {exists: true}}"
    noun = "its cookie"

    def found(self, facts: ConnectionFacts) -> Mapping[str, Sequence[str]]:
        return facts.cookies


class Query(Static):
    field = Field(
        "query",
        Type.QUERY_TEST,
        "Parameters of the URL's query, by name; or a test of the query as it is written.",
        form=text_forms.QUERY,
    )
    example = "query: {token: {exists: true}}"
    value: Predicate | Mapping[str, Predicate]

    def holds(self, facts: ConnectionFacts) -> bool:
        if isinstance(self.value, Predicate):
            return self.value.holds(facts.query_text, _NO_MESSAGE)
        found = facts.query
        return all(test.any_of(found.get(name, ()), _NO_MESSAGE) for name, test in self.value.items())

    def explain(self) -> str:
        if isinstance(self.value, Predicate):
            return f"its query {self.value.explain()}"
        return " and ".join(f"its query's {name} {test.explain()}" for name, test in self.value.items())


type Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Client(Static):
    field = Field(
        "client", Type.ADDRESSES, "The client's IP address, or a network (CIDR) that it is in; or a list."
    )
    example = "client: [127.0.0.1, 10.0.0.0/8]"
    value: tuple[Network, ...]

    def holds(self, facts: ConnectionFacts) -> bool:
        try:
            address = ipaddress.ip_address(facts.client.partition("%")[0])
        except ValueError:
            return False
        return any(address in network for network in self.value)

    def explain(self) -> str:
        shown = [str(each).removesuffix("/32").removesuffix("/128") for each in self.value]
        return f"the client is {' or '.join(shown)}"


class Tls(Static):
    field = Field("tls", Type.BOOL, "Whether the server is addressed over TLS (wss://).")
    example = "tls: true"
    value: bool

    def holds(self, facts: ConnectionFacts) -> bool:
        return facts.tls is self.value

    def explain(self) -> str:
        return "it goes over TLS" if self.value else "it goes without TLS"


def static_expressions(condition: Condition) -> Iterator[Expression]:
    """The `{{…}}` in a static condition, where nothing can fill them in."""
    value = condition.value
    tests = value.values() if isinstance(value, Mapping) else (value,)
    for test in tests:
        if isinstance(test, Predicate):
            yield from test.expressions()
