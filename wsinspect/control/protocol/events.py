"""What a proxy tells those who watch: lines with `event`, beside the answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, assert_never, cast

from wsinspect.control.protocol.lines import LIST_BYTES, encode_line, fitting, is_int, texts
from wsinspect.control.protocol.ruling import HeldMessage
from wsinspect.errors import ProxyUnreachable


@dataclass(frozen=True, slots=True)
class NoticeEvent:
    """What a `model.Notice` says, at once and also where the disk is full."""

    text: str
    level: Literal["info", "warning", "error"] = "info"
    conn: int | None = None


@dataclass(frozen=True, slots=True)
class CaptureMoved:
    """Records go on in another place: to memory where the disk takes nothing, and back again."""

    path: str
    position: int
    """Where those who have read the old place go on."""
    left: int
    """Where the old place ends for them."""
    saved: bool
    """The new place outlives the proxy."""


@dataclass(frozen=True, slots=True)
class RulesEvent:
    """Rules were loaded, switched on or off, or (`error`) could not be loaded: the old ones stay."""

    files: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    """Their ids, in order, as many as the line has room for."""
    off: tuple[str, ...] = ()
    """Those of them that are switched off."""
    shadow: bool = False
    error: str = ""
    """A line for each mistake."""


@dataclass(frozen=True, slots=True)
class HeldEvent:
    """A message waits for somebody's word. Those already held are told when a client begins to watch, and one
    is told again where its time limit began anew."""

    message: HeldMessage


@dataclass(frozen=True, slots=True)
class ReleasedEvent:
    """It does not wait any more."""

    conn: int
    hold: int
    how: Literal["release", "edit", "drop", "discard"]
    """`discard`: the connection ended first."""
    by: Literal["user", "default", "reset"] = "user"
    """`default`: its time was over, or nobody was attached any more."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """The proxy ends. The last event."""


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event of a newer proxy."""

    name: str
    values: dict[str, Any]


type Event = NoticeEvent | CaptureMoved | RulesEvent | HeldEvent | ReleasedEvent | Stopping | UnknownEvent

_HOW = ("release", "edit", "drop", "discard")
_BY = ("user", "default", "reset")


def event_values(event: Event) -> dict[str, Any]:
    """`event` and its values."""
    match event:
        case NoticeEvent():
            return {"event": "notice", "level": event.level, "text": event.text, "conn": event.conn}
        case CaptureMoved():
            return {"event": "capture"} | asdict(event)
        case RulesEvent():
            rules, off = fitting(event.rules), fitting(event.off, LIST_BYTES // 4)
            values = {"files": list(event.files), "rules": rules, "off": off, "shadow": event.shadow}
            return {"event": "rules"} | values | {"error": event.error}
        case HeldEvent():
            return {"event": "held"} | event.message.values()
        case ReleasedEvent():
            return {"event": "released"} | asdict(event)
        case Stopping():
            return {"event": "stopping"}
        case UnknownEvent():
            return {"event": event.name} | event.values
        case _:
            assert_never(event)


def encode_event(event: Event) -> bytes:
    return encode_line(event_values(event))


def parse_event(values: dict[str, Any]) -> Event:
    """From a line's values that have `event`."""
    return _known(values) or UnknownEvent(
        str(values["event"]), {key: value for key, value in values.items() if key != "event"}
    )


def _known(values: dict[str, Any]) -> Event | None:
    match values["event"]:
        case "notice":
            level, conn = values.get("level"), values.get("conn")
            return NoticeEvent(
                text=str(values.get("text", "")),
                level=level if level in ("info", "warning", "error") else "info",
                conn=conn if isinstance(conn, int) else None,
            )
        case "capture":
            return _moved(values)
        case "rules":
            files, rules, off = (texts(values.get(name)) for name in ("files", "rules", "off"))
            return RulesEvent(files, rules, off, values.get("shadow") is True, str(values.get("error", "")))
        case "held":
            try:
                return HeldEvent(HeldMessage.parse(values))
            except ProxyUnreachable:
                return None
        case "released":
            return _released(values)
        case "stopping":
            return Stopping()
    return None


def _moved(values: dict[str, Any]) -> CaptureMoved | None:
    path, position, left = values.get("path"), values.get("position"), values.get("left")
    if isinstance(path, str) and is_int(position) and is_int(left):
        return CaptureMoved(path, position, left, values.get("saved") is True)
    return None


def _released(values: dict[str, Any]) -> ReleasedEvent | None:
    conn, hold, how, by = (values.get(name) for name in ("conn", "hold", "how", "by"))
    if is_int(conn) and is_int(hold) and how in _HOW and by in _BY:
        words = cast(Literal["release"], how), cast(Literal["user"], by)  # one of each, as just checked
        return ReleasedEvent(conn, hold, *words)
    return None
