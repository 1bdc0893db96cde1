"""What a failed read or write says about the peer's end."""

from __future__ import annotations

import errno

import pytest

from wsinspect.model import How
from wsinspect.peer.tcp import address_of, end_of_error


@pytest.mark.parametrize(
    ("number", "how", "name"),
    [
        (errno.ECONNRESET, How.RST, "ECONNRESET"),
        (errno.EPIPE, How.RST, "EPIPE"),
        (errno.ETIMEDOUT, How.TIMEOUT, "ETIMEDOUT"),
        (errno.EHOSTUNREACH, How.UNREACHABLE, "EHOSTUNREACH"),
        (errno.ENETUNREACH, How.UNREACHABLE, "ENETUNREACH"),
    ],
)
def test_end_of_error(number: int, how: How, name: str) -> None:
    end = end_of_error(OSError(number, "x"))
    assert (end.how, end.errno) == (how, name)


def test_address_of() -> None:
    assert address_of(("::1", 80, 0, 0)) == ("::1", 80)
    assert address_of("/tmp/x.sock") == ("/tmp/x.sock", 0)
