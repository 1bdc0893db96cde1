"""For all tests: no config file of the machine's user."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _no_config_file() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WSINSPECT_CONFIG", "")
        yield
