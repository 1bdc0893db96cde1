"""The table of ends, row by row."""

from __future__ import annotations

import pytest

from wsinspect.model import How
from wsinspect.relay.ends import Finish, mirrored


@pytest.mark.parametrize(
    ("how", "came_on_tls", "goes_on_tls", "notified", "expected"),
    [
        (How.FIN, False, False, False, (Finish.FIN,)),
        (How.FIN, False, True, False, (Finish.CLOSE_NOTIFY, Finish.FIN)),
        (How.FIN, True, False, False, (Finish.FIN,)),
        (How.FIN, True, True, False, (Finish.FIN,)),
        (How.CLOSE_NOTIFY, True, True, False, (Finish.CLOSE_NOTIFY,)),
        (How.CLOSE_NOTIFY, True, False, False, (Finish.FIN,)),
        (How.FIN, True, False, True, ()),
        (How.FIN, True, True, True, (Finish.FIN,)),
    ],
)
def test_a_clean_end(
    how: How, came_on_tls: bool, goes_on_tls: bool, notified: bool, expected: tuple[Finish, ...]
) -> None:
    assert mirrored(how, came_on_tls=came_on_tls, goes_on_tls=goes_on_tls, notified=notified) == expected


@pytest.mark.parametrize("how", [How.RST, How.TIMEOUT, How.UNREACHABLE, How.ALERT])
@pytest.mark.parametrize("tls", [False, True])
def test_a_failure_is_a_reset_on_the_other_leg(how: How, tls: bool) -> None:
    assert mirrored(how, came_on_tls=tls, goes_on_tls=not tls, notified=False) == (Finish.RST,)
