from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.control.fake_proxy import FakeProxy


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder of our own, with a path short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="wsi"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def proxy(runtime: Path) -> Iterator[FakeProxy]:
    with FakeProxy() as fake:
        yield fake
