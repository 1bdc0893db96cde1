"""What a proxy answers: one line with the request's `id` and `ok`; a refusal has a sentence and a code."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from wsinspect.control.protocol.lines import (
    ControlError,
    ErrorCode,
    encode_line,
    text_or_none,
    texts,
)
from wsinspect.errors import ProxyUnreachable

PROTOCOL = 1
"""Raised when an old client could misread an answer; new commands and fields leave it as it is."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket on which the proxy accepts clients."""

    mode: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class ProxyInfo:
    """The answer to `hello`; also the line that a starting proxy writes to its ready descriptor."""

    wsinspect: str
    """Its version."""
    pid: int
    capture: str | None
    """Where records go now: an absolute path, of a file or a folder of segments, on disk or in memory."""
    listeners: tuple[Listener, ...] = ()
    protocol: int = PROTOCOL
    capture_position: int = 0
    """Where those who have read the last place go on in this one; 0 where there was none."""
    capture_left: int = 0
    """Where the last place ended for them."""
    saved: str | None = None
    """What outlives the proxy: `capture`, but for while the disk takes nothing. None: nothing does."""
    memory: str | None = None
    """The folder in memory that is there, or was, instead of a disk; it goes with the proxy."""

    def values(self) -> dict[str, Any]:
        return asdict(self) | {"listeners": [asdict(listener) for listener in self.listeners]}

    @classmethod
    def parse(cls, values: dict[str, Any]) -> ProxyInfo:
        """Raises ProxyUnreachable where the proxy speaks another version, or no sense."""
        if values.get("protocol") != PROTOCOL:
            raise ProxyUnreachable(
                f"the proxy speaks version {values.get('protocol')!r} of the control protocol, "
                f"this wsinspect speaks version {PROTOCOL}; use the same wsinspect for both"
            )
        try:
            capture = values["capture"]
            return cls(
                wsinspect=str(values["wsinspect"]),
                pid=int(values["pid"]),
                capture=None if capture is None else str(capture),
                listeners=tuple(
                    Listener(str(each["mode"]), str(each["host"]), int(each["port"]))
                    for each in values["listeners"]
                ),
                capture_position=int(values.get("capture_position", 0)),
                capture_left=int(values.get("capture_left", 0)),
                saved=text_or_none(values.get("saved", capture)),
                memory=text_or_none(values.get("memory")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ProxyUnreachable(f"the proxy's hello cannot be understood ({error!r})") from error


@dataclass(frozen=True, slots=True)
class RulesBrief:
    """The rules in a few numbers; `rules` tells of each."""

    count: int = 0
    off: int = 0
    """Of these, switched off."""
    hits: int = 0
    files: tuple[str, ...] = ()
    shadow: bool = False
    error: str = ""
    """Why the files as they are now could not be loaded."""

    def values(self) -> dict[str, Any]:
        return asdict(self) | {"files": list(self.files)}

    @classmethod
    def parse(cls, values: dict[str, Any]) -> RulesBrief:
        return cls(
            count=int(values.get("count", 0)),
            off=int(values.get("off", 0)),
            hits=int(values.get("hits", 0)),
            files=texts(values.get("files")),
            shadow=values.get("shadow") is True,
            error=str(values.get("error", "")),
        )


@dataclass(frozen=True, slots=True)
class ProxyStatus:
    """The answer to `status`."""

    info: ProxyInfo
    live: int
    """Connections that are open now."""
    total: int
    """Connections since the start, failed set-ups included."""
    queue_bytes: int = 0
    """What the capture's writer has not written yet."""
    gaps: int = 0
    """Reads that the capture lacks so far."""
    uptime_s: float = 0.0
    trouble: list[str] = field(default_factory=list)
    """Sentences on what does not go well."""
    rules: RulesBrief | None = None
    """None: the proxy has no rules."""
    held: int = 0
    """Messages that are held now."""
    attached: int = 0
    """Clients of the control socket that could release them."""

    def values(self) -> dict[str, Any]:
        return self.info.values() | {
            "connections": {"live": self.live, "total": self.total},
            "queue_bytes": self.queue_bytes,
            "gaps": self.gaps,
            "uptime_s": self.uptime_s,
            "trouble": self.trouble,
            "rules": None if self.rules is None else self.rules.values(),
            "held": self.held,
            "attached": self.attached,
        }

    @classmethod
    def parse(cls, values: dict[str, Any]) -> ProxyStatus:
        """Raises ProxyUnreachable where the answer makes no sense."""
        info = ProxyInfo.parse(values)
        rules = values.get("rules")
        try:
            return cls(
                info=info,
                live=int(values["connections"]["live"]),
                total=int(values["connections"]["total"]),
                queue_bytes=int(values.get("queue_bytes", 0)),
                gaps=int(values.get("gaps", 0)),
                uptime_s=float(values.get("uptime_s", 0.0)),
                trouble=[str(each) for each in values.get("trouble", [])],
                rules=RulesBrief.parse(rules) if isinstance(rules, dict) else None,
                held=int(values.get("held", 0)),
                attached=int(values.get("attached", 0)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ProxyUnreachable(f"the proxy's status cannot be understood ({error!r})") from error


def encode_hello(info: ProxyInfo) -> bytes:
    """The line for the ready descriptor."""
    return encode_line(info.values())


def encode_answer(request_id: int, values: dict[str, Any] | None = None) -> bytes:
    return encode_line({"id": request_id, "ok": True} | (values or {}))


def encode_refusal(error: ControlError) -> bytes:
    return encode_line({"id": error.request_id, "ok": False, "error": str(error), "code": error.code.value})


def answer_values(values: dict[str, Any]) -> dict[str, Any]:
    """An answer's own values. Raises ControlError for a refusal."""
    if values.get("ok") is True:
        return {name: value for name, value in values.items() if name not in ("id", "ok")}
    sentence = str(values.get("error") or "the proxy refused, and gave no reason")
    try:
        code = ErrorCode(str(values.get("code")))
    except ValueError:
        code = ErrorCode.FAILED
    raise ControlError(code, sentence)
