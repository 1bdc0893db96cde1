from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from wsinspect.proxy import file_watch
from wsinspect.proxy.file_watch import FileWatch, look_at

TIMEOUT_S = 10.0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(file_watch, "EVERY_S", 0.01)
    monkeypatch.setattr(file_watch, "SETTLE_S", 0.005)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text("one")
    (tmp_path / "b.yaml").write_text("one")
    return tmp_path


def replace(folder: Path) -> None:
    """As editors do: a new file in the place of the old one, of the same size and time."""
    old = (folder / "b.yaml").stat()
    (folder / "b.yaml.new").write_text("two")
    os.utime(folder / "b.yaml.new", ns=(old.st_atime_ns, old.st_mtime_ns))
    (folder / "b.yaml.new").rename(folder / "b.yaml")


def same_size(folder: Path) -> None:
    with (folder / "b.yaml").open("r+") as file:
        file.write("two")


CHANGES: dict[str, Callable[[Path], object]] = {
    "written": lambda folder: (folder / "b.yaml").write_text("longer"),
    "same size": same_size,
    "replaced": replace,
    "removed": lambda folder: (folder / "b.yaml").unlink(),
    "another in the folder": lambda folder: (folder / "rules" / "c.yaml").write_text("new"),
    "written in the folder": lambda folder: (folder / "rules" / "a.yaml").write_text("longer"),
    "removed from the folder": lambda folder: (folder / "rules" / "a.yaml").unlink(),
    "it comes to be": lambda folder: (folder / "later.yaml").write_text("new"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_a_change_is_seen(folder: Path, change: Callable[[Path], object]) -> None:
    watch = FileWatch(lambda: [folder / "rules", folder / "b.yaml", folder / "later.yaml"])
    await watch.take()
    change(folder)
    await asyncio.wait_for(watch.changed(), TIMEOUT_S)
    before = look_at([folder / "rules"])
    waiting = asyncio.create_task(watch.changed())  # and once only
    done, _ = await asyncio.wait([waiting], timeout=0.1)
    assert not done
    waiting.cancel()
    assert look_at([folder / "rules"]) == before


async def test_a_file_under_way_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([1, 2, 3, 4, 4, 5])
    monkeypatch.setattr(file_watch, "look_at", lambda paths: next(looks))
    watch = FileWatch(lambda: [folder / "b.yaml"])
    await watch.take()
    await asyncio.wait_for(watch.changed(), TIMEOUT_S)
    assert next(looks) == 5


async def test_a_file_that_is_always_written_is_not_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter(range(1000))
    monkeypatch.setattr(file_watch, "look_at", lambda paths: next(looks))
    watch = FileWatch(lambda: [folder / "b.yaml"])
    await watch.take()
    await asyncio.wait_for(watch.changed(), TIMEOUT_S)
