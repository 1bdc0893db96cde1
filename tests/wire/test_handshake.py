from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import InvalidHeader
from websockets.headers import build_extension, parse_extension
from websockets.utils import accept_key as their_accept_key

from wsinspect.model import Header, Opened, Requested
from wsinspect.wire.deflate import DeflateParams
from wsinspect.wire.extensions import without_extensions
from wsinspect.wire.handshake import HandshakeProblem as P
from wsinspect.wire.handshake import accept_key, analyse, negotiated, parse_extensions

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

REQUEST = {
    "Host": "example.com",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
    "Origin": "https://example.com",
}
RESPONSE = {"Upgrade": "WebSocket", "Connection": "upgrade", "Sec-WebSocket-Accept": ACCEPT}


def headers(base: dict[str, str], changes: dict[str, str | None]) -> list[Header]:
    return [(name, value) for name, value in (base | changes).items() if value is not None]


def request(changes: dict[str, str | None] | None = None, **values: str) -> Requested:
    return Requested(
        url=values.pop("url", "wss://example.com/"), headers=headers(REQUEST, changes or {}), **values
    )


def response(changes: dict[str, str | None] | None = None, **values: str) -> Opened:
    return Opened(headers=headers(RESPONSE, changes or {}), **values)  # type: ignore[arg-type]


def problems(requested: Requested, opened: Opened | None = None) -> list[P]:
    return [finding.problem for finding in analyse(requested, opened)]


def test_accept_key_of_section_1_3() -> None:
    assert accept_key(KEY) == ACCEPT == their_accept_key(KEY)


def test_a_healthy_handshake_has_no_findings() -> None:
    assert analyse(request(), response()) == []
    assert analyse(request(), None) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Host": None}, [P.HOST_MISSING]),
        ({"Upgrade": None}, [P.REQUEST_UPGRADE]),
        ({"Upgrade": "h2c"}, [P.REQUEST_UPGRADE]),
        ({"Connection": "keep-alive"}, [P.REQUEST_CONNECTION]),
        ({"Sec-WebSocket-Key": None}, [P.KEY_MISSING]),
        ({"Sec-WebSocket-Key": "c2hvcnQ="}, [P.KEY_BAD]),
        ({"Sec-WebSocket-Key": "not base64!"}, [P.KEY_BAD]),
        ({"Sec-WebSocket-Key": "schlüssel"}, [P.KEY_BAD]),
        ({"Sec-WebSocket-Version": None}, [P.VERSION_MISSING]),
        ({"Sec-WebSocket-Version": "8"}, [P.VERSION_UNSUPPORTED]),
        ({"Sec-WebSocket-Version": "13, 8"}, [P.VERSION_UNSUPPORTED]),
        ({"Sec-WebSocket-Extensions": "a b"}, [P.EXTENSIONS_SYNTAX]),
        ({"Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits"}, [P.DEFLATE_OFFER]),
        ({"Origin": None}, [P.ORIGIN_MISSING]),
        ({"Origin": "https://other.example"}, [P.ORIGIN_DIFFERS]),
        ({"Origin": "https://example.com:8443"}, [P.ORIGIN_DIFFERS]),
        ({"Origin": "null"}, [P.ORIGIN_DIFFERS]),
        ({"Origin": "https://[broken"}, [P.ORIGIN_DIFFERS]),
        ({"Origin": "https://example.com:443"}, []),
        ({"Origin": "https://EXAMPLE.com"}, []),
        ({"Host": "example.com:443"}, []),
    ],
    ids=str,
)
def test_requests(changes: dict[str, str | None], expected: list[P]) -> None:
    assert problems(request(changes)) == expected


def test_method_and_version_of_the_request() -> None:
    assert problems(request(method="POST", http_version="HTTP/1.0")) == [P.METHOD, P.HTTP_VERSION]


def test_a_key_that_stands_twice() -> None:
    requested = request()
    requested.headers.append(("sec-websocket-key", KEY))
    assert problems(requested) == [P.KEY_BAD]


def test_reverse_mode_may_part_host_from_origin() -> None:
    (finding,) = analyse(
        request(mode="reverse:http://backend:9000", url="ws://backend:9000/", changes=LOCAL), None
    )
    assert finding.problem is P.ORIGIN_DIFFERS
    assert finding.detail == "Origin http://localhost:8080, the server is ws://backend:9000/"


LOCAL: dict[str, str | None] = {"Host": "localhost:8080", "Origin": "http://localhost:8080"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Upgrade": None}, [P.RESPONSE_UPGRADE]),
        ({"Connection": "close"}, [P.RESPONSE_CONNECTION]),
        ({"Sec-WebSocket-Accept": None}, [P.ACCEPT_MISSING]),
        ({"Sec-WebSocket-Accept": KEY}, [P.ACCEPT_MISMATCH]),
        ({"Content-Length": "0"}, []),
        ({"Content-Length": "5"}, [P.RESPONSE_BODY]),
        ({"Transfer-Encoding": "chunked"}, [P.RESPONSE_BODY]),
        ({"Sec-WebSocket-Protocol": "chat"}, [P.SUBPROTOCOL_NOT_OFFERED]),
        ({"Sec-WebSocket-Extensions": "permessage-deflate"}, [P.EXTENSION_NOT_OFFERED]),
        ({"Sec-WebSocket-Extensions": "foo"}, [P.EXTENSION_NOT_OFFERED]),
        ({"Sec-WebSocket-Extensions": ";"}, [P.EXTENSIONS_SYNTAX]),
    ],
    ids=str,
)
def test_responses(changes: dict[str, str | None], expected: list[P]) -> None:
    assert problems(request(), response(changes)) == expected


def test_an_old_response_and_a_raw_one() -> None:
    assert problems(request(), response(http_version="HTTP/1.0")) == [P.HTTP_VERSION]
    assert problems(request({"Upgrade": "other"}), response(transport="raw")) == []


@pytest.mark.parametrize(
    ("offered", "chosen", "expected"),
    [
        ("a, b", "b", []),
        ("a, b", None, [P.SUBPROTOCOL_NONE]),
        ("a, b", "B", [P.SUBPROTOCOL_NOT_OFFERED]),
        ("a, b", "a, b", [P.SUBPROTOCOL_SEVERAL]),
    ],
)
def test_subprotocols(offered: str, chosen: str | None, expected: list[P]) -> None:
    name = "Sec-WebSocket-Protocol"
    assert problems(request({name: offered}), response({name: chosen})) == expected


@pytest.mark.parametrize(
    ("offer", "answer", "why"),
    [
        ("", "", None),
        ("", "; server_no_context_takeover; client_no_context_takeover", None),
        ("", "; server_max_window_bits=9", None),
        ("", "; client_max_window_bits=9", "was not offered"),
        ("; client_max_window_bits", "; client_max_window_bits=9", None),
        ("; client_max_window_bits", "; client_max_window_bits", "needs a value"),
        ("; client_max_window_bits=10", "; client_max_window_bits=11", "where 10 was offered"),
        ("; client_max_window_bits=10", "", None),
        ("; server_max_window_bits=10", "; server_max_window_bits=10", None),
        ("; server_max_window_bits=10", "; server_max_window_bits=11", "at most 10"),
        ("; server_max_window_bits=10", "", "at most 10"),
        ("; server_max_window_bits=10, permessage-deflate", "", None),
        ("; server_no_context_takeover", "", "is not in the answer"),
        ("", "; foo=1", "no parameter 'foo'"),
        ("", "; server_max_window_bits=16", "from 8 to 15"),
        ("", ", permessage-deflate", "2 times"),
    ],
)
def test_answers_to_permessage_deflate(offer: str, answer: str, why: str | None) -> None:
    """RFC 7692 7.1."""
    name = "Sec-WebSocket-Extensions"
    findings = analyse(
        request({name: f"permessage-deflate{offer}"}), response({name: f"permessage-deflate{answer}"})
    )
    if why is None:
        assert findings == []
    else:
        (finding,) = findings
        assert finding.problem is P.DEFLATE_ANSWER
        assert why in str(finding)


def test_all_problems_have_their_words() -> None:
    assert len({problem.slug for problem in P}) == len(P)
    for problem in P:
        assert problem.section.startswith("RFC ")
        assert problem.severity in ("problem", "info")
        assert problem.sentence


# ---- extensions, RFC 6455 9.1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("foo", [("foo", [])]),
        ("foo, bar; baz=2", [("foo", []), ("bar", [("baz", "2")])]),
        ('foo; a="1"; b="\\2"', [("foo", [("a", "1"), ("b", "2")])]),
        ("foo;a = 1 ,,bar ;", [("foo", [("a", "1")])]),
        ('foo; a="x,y", bar', [("bar", [])]),
        ('foo; a="1', []),
        ("foo bar, baz", [("baz", [])]),
        ("foo; =1, foo; a=, foo;;a", []),
        ("", []),
    ],
)
def test_extensions(value: str, expected: list[object]) -> None:
    assert parse_extensions([value]) == expected


TOKENS = st.text("abcXYZ019-_!", min_size=1, max_size=6)
EXTENSIONS = st.lists(
    st.tuples(TOKENS, st.lists(st.tuples(TOKENS, st.none() | TOKENS), max_size=3)), min_size=1
)


@given(EXTENSIONS)
def test_extensions_that_websockets_writes(extensions) -> None:
    value = ", ".join(build_extension([extension]) for extension in extensions)
    assert parse_extensions([value]) == extensions == parse_extension(value)


@given(st.text('ab,;="\\ ', max_size=24))
def test_any_extensions_header_is_read_as_websockets_reads_it(value: str) -> None:
    """Where it is an error for websockets, we leave out some of it; else it is the same."""
    ours = parse_extensions([value])
    try:
        assert ours == parse_extension(value)
    except InvalidHeader:
        pass


def test_a_long_hostile_header_takes_no_time() -> None:
    assert parse_extensions(['"\\' * 30_000, ";" * 60_000, "," * 60_000]) == []


# ---- what was agreed


def test_negotiated() -> None:
    agreed = negotiated(
        [
            ("sec-websocket-protocol", "chat"),
            ("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover"),
        ]
    )
    assert (agreed.subprotocol, agreed.extensions, agreed.rsv_allowed) == ("chat", ["permessage-deflate"], 4)
    assert agreed.deflate == DeflateParams(server_no_context_takeover=True)


def test_nothing_negotiated() -> None:
    agreed = negotiated([("Upgrade", "websocket")])
    assert (agreed.subprotocol, agreed.deflate, agreed.extensions, agreed.rsv_allowed) == (None, None, [], 0)


@pytest.mark.parametrize("value", ["foo", "foo, permessage-deflate", "permessage-deflate, foo"])
def test_an_unknown_extension_may_use_any_reserved_bit(value: str) -> None:
    assert negotiated([("Sec-WebSocket-Extensions", value)]).rsv_allowed == 7


def test_bad_deflate_parameters_count_as_none() -> None:
    agreed = negotiated([("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=99")])
    assert agreed.deflate == DeflateParams()


@pytest.mark.parametrize(
    ("value", "names", "left"),
    [
        ("permessage-deflate", ["permessage-deflate"], ""),
        ("PerMessage-Deflate; a=1, x-two", ["permessage-deflate"], "x-two"),
        ('x-one;a="1, x-two", x-two', ["x-two"], 'x-one;a="1, x-two"'),
        (", x-one ,, x-two;b", ["x-three"], "x-one, x-two;b"),
        ("x-one, x-two", ["*"], ""),
    ],
)  # fmt: skip
def test_extensions_taken_out_of_a_header(value: str, names: list[str], left: str) -> None:
    assert without_extensions(value, names) == left
