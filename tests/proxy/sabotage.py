"""A script for `wsinspect proxy -s`: our own code raises where a frame's payload asks for it."""

from collections.abc import Callable
from typing import Any

from wsinspect.capture.writer import Writer
from wsinspect.relay.session import Session

_poisoned: set[int] = set()
"""Sessions in which a later call shall raise too."""


def _raising(function: Callable[..., Any], wants: Callable[..., bool]) -> Callable[..., Any]:
    def replacement(self: Any, *args: Any, **kwargs: Any) -> Any:
        if wants(self, *args):
            raise RuntimeError("sabotage")
        return function(self, *args, **kwargs)

    return replacement


def _in_settle(session: Session, now_ns: int) -> bool:
    return any(b"raise in settle" in data for d in session._directions for data in d.unscanned)


def _in_passed(session: Session, side: Any, data: bytes, *_: Any) -> bool:
    return b"raise in settle" in data


def _in_end(session: Session, side: Any, how: Any, now_ns: int) -> bool:
    return session.conn in _poisoned


def _in_receive(session: Session, side: Any, data: bytes, *_: Any) -> bool:
    if b"raise in end" in data:
        _poisoned.add(session.conn)
    return b"raise in receive" in data


Session.receive = _raising(Session.receive, _in_receive)  # type: ignore[method-assign]
Session.pass_on = _raising(Session.pass_on, _in_receive)  # type: ignore[method-assign]
Session.passed = _raising(Session.passed, _in_passed)  # type: ignore[method-assign]
Session.settle = _raising(Session.settle, _in_settle)  # type: ignore[method-assign]
Session.end = _raising(Session.end, _in_end)  # type: ignore[method-assign]
Writer.append_read = _raising(  # type: ignore[method-assign]
    Writer.append_read, lambda self, read: b"raise in append" in read[3]
)
