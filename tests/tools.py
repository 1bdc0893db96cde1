"""Programs that tests want and a machine may lack."""

from __future__ import annotations

import os
import shutil

import pytest


def need(tool: str) -> str:
    """The program's path. Without it the test is skipped, or fails where WSINSPECT_REQUIRE_ALL=1 says so."""
    if found := shutil.which(tool):
        return found
    reason = f"{tool} is not installed"
    if os.environ.get("WSINSPECT_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
