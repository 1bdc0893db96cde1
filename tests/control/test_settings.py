from __future__ import annotations

from wsinspect.control.settings import ProxySettings


def test_arguments_say_what_differs_from_the_defaults() -> None:
    assert ProxySettings().arguments() == ["--mode=regular", "--listen-host=127.0.0.1"]
