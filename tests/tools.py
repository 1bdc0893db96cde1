"""Programs that tests want and a machine may lack, and processes that run."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
from types import ModuleType
from typing import NoReturn

import pytest


def need(tool: str) -> str:
    """The program's path. Without it the test is skipped, or fails where WSINSPECT_REQUIRE_ALL=1 says so."""
    found = shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        unavailable(f"{tool} is not installed")
    return found


def need_module(name: str) -> ModuleType:
    """An oracle's module, of a development dependency. Without it the test module is skipped, or fails."""
    try:
        return importlib.import_module(name)
    except ImportError:
        if os.environ.get("WSINSPECT_REQUIRE_ALL") == "1":
            raise
        pytest.skip(f"{name} is not installed: uv sync", allow_module_level=True)


def unavailable(reason: str) -> NoReturn:
    """Skip the test, or fail it where WSINSPECT_REQUIRE_ALL=1 says so."""
    if os.environ.get("WSINSPECT_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def runs(pid: int) -> bool:
    """A zombie whose parent is gone counts as ended: whether init buries it is the machine's affair."""
    words = ["ps", "-o", "stat=", "-p", str(pid)]
    state = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    return bool(state) and not state.startswith("Z")
