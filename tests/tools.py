"""Programs that tests want and a machine may lack."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def need(tool: str) -> str:
    """The program's path. Without it the test is skipped, or fails where WSINSPECT_REQUIRE_ALL=1 says so."""
    found = shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        unavailable(f"{tool} is not installed")
    return found


def unavailable(reason: str) -> NoReturn:
    """Skip the test, or fail it where WSINSPECT_REQUIRE_ALL=1 says so."""
    if os.environ.get("WSINSPECT_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
