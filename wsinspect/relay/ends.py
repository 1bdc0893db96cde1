"""The table of ends: what one side did is what the other side sees.

A drop is never disguised: FIN for FIN, RST for RST, close_notify for close_notify, and never a Close
frame of our own. Where only one leg speaks TLS, the nearest mechanism of the other is used.
"""

from __future__ import annotations

import enum

from wsinspect.model import How


class Finish(enum.Enum):
    """What the shell does to a leg's outgoing half, in order behind the bytes before it."""

    CLOSE_NOTIFY = "close_notify"
    """Send the TLS alert; the TCP connection stays open."""
    FIN = "fin"
    """Shut down writing."""
    RST = "rst"
    """Drain what was written, at most `DRAIN_S`, then reset: a reset sent at once loses data [measured]."""


DRAIN_S = 5.0
"""Seconds that a reset waits for written bytes to be acknowledged."""

_PLAIN, _TLS = False, True
_NOTIFIED = True
"""The side had sent close_notify before."""

MIRROR: dict[tuple[How, bool, bool, bool], tuple[Finish, ...]] = {
    # how it ended, came on TLS, goes out on TLS, had sent close_notify before
    (How.FIN, _PLAIN, _PLAIN, not _NOTIFIED): (Finish.FIN,),
    (How.FIN, _PLAIN, _TLS, not _NOTIFIED): (Finish.CLOSE_NOTIFY, Finish.FIN),
    (How.FIN, _TLS, _PLAIN, not _NOTIFIED): (Finish.FIN,),
    (How.FIN, _TLS, _TLS, not _NOTIFIED): (Finish.FIN,),
    (How.FIN, _TLS, _PLAIN, _NOTIFIED): (),
    (How.FIN, _TLS, _TLS, _NOTIFIED): (Finish.FIN,),
    (How.CLOSE_NOTIFY, _TLS, _PLAIN, not _NOTIFIED): (Finish.FIN,),
    (How.CLOSE_NOTIFY, _TLS, _TLS, not _NOTIFIED): (Finish.CLOSE_NOTIFY,),
}

_ABORTS = frozenset({How.RST, How.TIMEOUT, How.UNREACHABLE, How.ALERT})


def mirrored(how: How, *, came_on_tls: bool, goes_on_tls: bool, notified: bool) -> tuple[Finish, ...]:
    """What the other leg gets when a side ends in this way.

    Our own stop (`How.INSPECTOR`) is handled by `Session.stop`: FIN both ways, since nobody ended.
    """
    if how in _ABORTS:
        return (Finish.RST,)
    return MIRROR.get((how, came_on_tls, goes_on_tls, notified), ())
