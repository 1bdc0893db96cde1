"""One proxy process for all that do not end theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.proxy.conftest import Stage, staged
from tests.proxy.raw import close_all

own_stage = contextmanager(staged)
"""A stage for one test, in a `with` statement."""


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
