"""State folders of the tests' own, and one proxy process for all that do not end theirs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.proxy.conftest import Stage, staged
from tests.proxy.raw import close_all

own_stage = contextmanager(staged)
"""A stage for one test, in a `with` statement."""


@pytest.fixture(scope="session", autouse=True)
def runtime() -> Iterator[Path]:
    """Folders for sockets, captures and logs; with a path short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="wsi"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        patch.setenv("PYTHONUNBUFFERED", "1")
        yield folder
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
async def _nothing_stays_open() -> AsyncIterator[None]:
    yield
    await close_all()


@pytest.fixture(scope="session")
def confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mitmproxy's CA, made once."""
    return tmp_path_factory.mktemp("ca")


@pytest.fixture(scope="session")
def stage(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A proxy with two reverse modes, to a plain and to a TLS server."""
    yield from staged(tmp_path_factory.mktemp("e2e"))
