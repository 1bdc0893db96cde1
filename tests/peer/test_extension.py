"""permessage-deflate: which offer is taken, and how it is answered."""

from __future__ import annotations

import pytest

from wsinspect.peer.extension import accept, offer
from wsinspect.wire.deflate import DeflateParams


@pytest.mark.parametrize(
    ("choice", "header"),
    [
        (None, None),
        (False, None),
        (True, "permessage-deflate; client_max_window_bits"),
        (
            DeflateParams(True, True, 10, 11),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
            "server_max_window_bits=10; client_max_window_bits=11",
        ),
    ],
)
def test_offer(choice: DeflateParams | bool | None, header: str | None) -> None:
    assert offer(choice) == header


@pytest.mark.parametrize(
    ("offers", "choice", "answer"),
    [
        ("permessage-deflate", True, ""),
        ("permessage-deflate", None, None),
        ("x-other, permessage-deflate", True, ""),
        ("permessage-deflate; server_no_context_takeover", True, "server_no_context_takeover"),
        (
            "permessage-deflate",
            DeflateParams(True, True),
            "server_no_context_takeover; client_no_context_takeover",
        ),
        ("permessage-deflate; server_max_window_bits=10", True, "server_max_window_bits=10"),
        ("permessage-deflate; server_max_window_bits=15", True, "server_max_window_bits=15"),
        (
            "permessage-deflate; client_max_window_bits",
            DeflateParams(client_max_window_bits=11),
            "client_max_window_bits=11",
        ),
        ("permessage-deflate", DeflateParams(client_max_window_bits=11), ""),
        ("permessage-deflate", DeflateParams(server_max_window_bits=11), "server_max_window_bits=11"),
        ("permessage-deflate; x=1, permessage-deflate", True, ""),
        ("permessage-deflate; server_max_window_bits=7", True, None),
        ("permessage-deflate; server_max_window_bits", True, None),
    ],
)
def test_accept(offers: str, choice: DeflateParams | bool | None, answer: str | None) -> None:
    expected = None if answer is None else "; ".join(filter(None, ["permessage-deflate", answer]))
    assert accept([offers], choice) == expected
