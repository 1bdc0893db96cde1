"""For all tests: no config file and no proxies of the user's; what runs whole processes counts as slow."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

SLOW_FOLDERS = {"e2e", "modes"}
"""Each of their tests starts programs: left out by `-m "not slow"`."""

if sys.dont_write_bytecode:
    # Where the environment forbids bytecode, each program that a test starts compiles mitmproxy anew: more
    # than half of the time until it listens [measured: 1.75 s, 0.7 s with it]. It goes out of everyone's way.
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(Path(__file__).parent.parent / ".pytest_cache" / "bytecode")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix


settings.register_profile("patient", deadline=None)  # on a busy machine any example may take 200 ms
settings.load_profile("patient")

gc.set_threshold(10_000, 10, 10)
"""By Python's own 700 a third of the time of the screen's tests is garbage collection [measured: 13 s of 36 s
CPU, 3 s of 23 s so, and 10 MiB more at most]."""


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two for each core, since tests wait most of their time.

    A file that is named runs in this process: it starts at once, and a debugger works in it.
    """
    folders = all(Path(word).is_dir() for word in config.args)
    return 2 * (os.cpu_count() or 1) if folders else 0


def pytest_collection_finish() -> None:
    """What is loaded by now stays: no collection has to look at it again."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).parts[0] in SLOW_FOLDERS:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def _no_config_file() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WSINSPECT_CONFIG", "")
        yield


@pytest.fixture(scope="session", autouse=True)
def runtime() -> Iterator[Path]:
    """Folders of these tests' own for sockets, captures and logs; with a path short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="wsi"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        patch.setenv("PYTHONUNBUFFERED", "1")
        yield folder
    shutil.rmtree(folder)
