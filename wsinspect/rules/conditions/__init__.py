"""When a rule acts: each condition declares its field once; loading, JSON Schema and docs derive from that.

`CONDITIONS` maps the words of YAML to the classes.
"""

from __future__ import annotations

from wsinspect.rules.conditions.base import Condition, Needles, Sought
from wsinspect.rules.conditions.combining import All, AnyOf, Not
from wsinspect.rules.conditions.connection import (
    Client,
    Cookie,
    ExtensionName,
    Header,
    Host,
    Port,
    Query,
    ResponseHeader,
    Status,
    Subprotocol,
    Tls,
    Url,
    UrlPath,
)
from wsinspect.rules.conditions.conversation import (
    After,
    Age,
    Captured,
    Counter,
    Earlier,
    Idle,
    Index,
    RateOf,
)
from wsinspect.rules.conditions.payload import (
    Bytes,
    BytesTest,
    CloseCode,
    CloseReason,
    Codec,
    From,
    Json,
    KindIs,
    MessageId,
    MessageKind,
    Size,
    Text,
)

__all__ = [
    "CONDITIONS",
    "GROUPS",
    "After",
    "All",
    "AnyOf",
    "BytesTest",
    "Condition",
    "Earlier",
    "From",
    "KindIs",
    "Needles",
    "Not",
    "Sought",
]

GROUPS: dict[str, tuple[type[Condition], ...]] = {
    "Who and what": (From, KindIs),
    "The payload": (
        Text, Bytes, Size, Json, Codec, MessageKind, MessageId, CloseCode, CloseReason,
    ),
    "The connection": (
        Url, Host, Port, UrlPath, Query, Header, Cookie, Subprotocol, ExtensionName, Client, Tls, Status,
        ResponseHeader,
    ),
    "The conversation so far": (Index, Age, Idle, RateOf, Counter, Captured, After),
    "Combining": (All, AnyOf, Not),
}  # fmt: skip
"""In the order of the docs."""

CONDITIONS: dict[str, type[Condition]] = {
    each.field.name: each for group in GROUPS.values() for each in group
}
