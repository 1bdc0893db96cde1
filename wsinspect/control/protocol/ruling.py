"""Rules and held messages, as requests, answers and events speak of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from wsinspect.control.protocol.lines import (
    SIDES,
    ControlError,
    choice,
    fitting,
    payload,
    payload_fields,
    texts,
)
from wsinspect.errors import ProxyUnreachable
from wsinspect.model import Side

type HoldWord = Literal["release", "edit", "drop", "wait"]
HOLD_WORDS: tuple[HoldWord, ...] = ("release", "edit", "drop", "wait")

PREVIEW_BYTES = 64 << 10
"""What one event carries of a held message's payload."""

LIST_PREVIEW_BYTES = 256
"""What a list of held messages carries of each."""


@dataclass(frozen=True, slots=True)
class RuleStatus:
    """One rule of the proxy."""

    id: str
    explain: str = ""
    """It in a sentence."""
    place: str = ""
    """`file:line`"""
    enabled: bool = True
    hits: int = 0
    """Since the proxy started, or since the rule changed."""
    failed: int = 0
    """Connections in which it is disabled, because it failed there."""

    @classmethod
    def parse(cls, values: dict[str, Any]) -> RuleStatus:
        return cls(
            id=str(values["id"]),
            explain=str(values.get("explain", "")),
            place=str(values.get("place", "")),
            enabled=values.get("enabled") is not False,
            hits=int(values.get("hits", 0)),
            failed=int(values.get("failed", 0)),
        )


@dataclass(frozen=True, slots=True)
class RulesStatus:
    """The answer to `rules` and `reload`."""

    rules: tuple[RuleStatus, ...] = ()
    """In the order in which they apply."""
    files: tuple[str, ...] = ()
    shadow: bool = False
    """They log what they would do, and touch nothing."""
    error: str = ""
    """Why the files as they are now could not be loaded; a line for each mistake."""
    left_out: int = 0
    """Rules for which the line had no room."""

    @property
    def hits(self) -> int:
        return sum(each.hits for each in self.rules)

    def values(self) -> dict[str, Any]:
        shown = fitting([asdict(each) for each in self.rules])
        return {
            "rules": shown,
            "files": list(self.files),
            "shadow": self.shadow,
            "error": self.error,
            "left_out": self.left_out + len(self.rules) - len(shown),
        }

    @classmethod
    def parse(cls, values: dict[str, Any]) -> RulesStatus:
        """Raises ProxyUnreachable where the answer makes no sense."""
        try:
            return cls(
                rules=tuple(RuleStatus.parse(each) for each in values["rules"]),
                files=texts(values.get("files")),
                shadow=values.get("shadow") is True,
                error=str(values.get("error", "")),
                left_out=int(values.get("left_out", 0)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ProxyUnreachable(f"the proxy's rules cannot be understood ({error!r})") from error


@dataclass(frozen=True, slots=True)
class HeldMessage:
    """A message that waits for somebody's word. The capture has all of it."""

    conn: int
    hold: int
    """Unique in the connection: `CONN.HOLD` names it everywhere."""
    side: Side
    """Who sent it."""
    rule: str
    opcode: int
    payload: bytes
    """Its beginning."""
    payload_bytes: int
    """Of the whole message, inflated."""
    limit_ms: int
    """How long it is held in all; more where its limit began anew."""
    held_ms: float = 0.0
    """How long it has been held by now."""
    default: Literal["release", "drop"] = "release"
    """What happens then."""
    first_frame: int = 0
    last_frame: int = 0
    url: str = ""
    """Of the connection."""

    @property
    def name(self) -> str:
        """As commands take it."""
        return f"{self.conn}.{self.hold}"

    def values(self) -> dict[str, Any]:
        return {
            "conn": self.conn,
            "hold": self.hold,
            "side": self.side.word,
            "rule": self.rule,
            "opcode": self.opcode,
            "payload_bytes": self.payload_bytes,
            "limit_ms": self.limit_ms,
            "held_ms": round(self.held_ms, 3),
            "default": self.default,
            "first_frame": self.first_frame,
            "last_frame": self.last_frame,
            "url": self.url,
        } | payload_fields(self.payload)

    @classmethod
    def parse(cls, values: dict[str, Any]) -> HeldMessage:
        """Raises ProxyUnreachable where it makes no sense."""
        try:
            return cls(
                conn=int(values["conn"]),
                hold=int(values["hold"]),
                side=choice(values, "side", SIDES),
                rule=str(values.get("rule", "")),
                opcode=int(values["opcode"]),
                payload=payload(values),
                payload_bytes=int(values["payload_bytes"]),
                limit_ms=int(values["limit_ms"]),
                held_ms=float(values.get("held_ms", 0.0)),
                default="drop" if values.get("default") == "drop" else "release",
                first_frame=int(values.get("first_frame", 0)),
                last_frame=int(values.get("last_frame", 0)),
                url=str(values.get("url", "")),
            )
        except (KeyError, TypeError, ValueError, ControlError) as error:
            raise ProxyUnreachable(f"a held message cannot be understood ({error!r})") from error


@dataclass(frozen=True, slots=True)
class HoldsStatus:
    """The answer to `holds`."""

    holds: tuple[HeldMessage, ...] = ()
    """The oldest first."""
    left_out: int = 0

    def values(self) -> dict[str, Any]:
        shown = fitting([each.values() for each in self.holds])
        return {"holds": shown, "left_out": self.left_out + len(self.holds) - len(shown)}

    @classmethod
    def parse(cls, values: dict[str, Any]) -> HoldsStatus:
        """Raises ProxyUnreachable where the answer makes no sense."""
        holds = values.get("holds")
        if not isinstance(holds, list):
            raise ProxyUnreachable("the proxy's held messages cannot be understood")
        return cls(tuple(HeldMessage.parse(each) for each in holds), int(values.get("left_out", 0)))
