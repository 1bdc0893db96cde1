"""`captures list` and `captures purge`."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import session, write_capture
from wsinspect.capture.files import default_folder
from wsinspect.capture.writer import Writer
from wsinspect.cli import main

NAMES = [f"2026-11-2{day}T10-00-00-77.wscap" for day in range(4)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return default_folder()


@pytest.fixture
def captures(folder: Path) -> Iterator[list[Path]]:
    """A file, two folders of segments, the last of which is being written; and a file that is none."""
    paths = [folder / name for name in NAMES[:3]]
    write_capture(paths[0])
    for path in paths[1:]:
        writer = Writer(path, limit=8 << 20)
        for record in session():
            writer.append(record)
        writer.close()
    (folder / "mine.wscap").write_bytes(paths[0].read_bytes())
    for age, path in zip((10, 5, 0), paths, strict=True):
        then = time.time() - age * 86400
        for each in [path, *path.glob("*.wscap")]:
            os.utime(each, (then, then))
    writing = Writer(paths[2], limit=8 << 20)
    yield paths
    writing.close()


def test_the_list(captures: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["captures", "list"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert [line.split()[0] for line in lines] == NAMES[:3]
    assert all("  1 connection" in line for line in lines)
    assert ["a proxy writes it" in line for line in lines] == [False, False, True]
    assert str(captures[0].parent) in err


def test_the_list_as_json(captures: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["captures", "list", "--format", "json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["path"] for each in found] == [str(path) for path in captures]
    assert [each["writing"] for each in found] == [False, False, True]
    assert found[0]["size"] == captures[0].stat().st_size
    assert found[1]["size"] == sum(file.stat().st_size for file in captures[1].iterdir())
    assert [each["connections"] for each in found] == [1, 1, 1]


def test_an_empty_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["captures", "list"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "no captures" in err


def there(captures: list[Path]) -> list[bool]:
    assert (captures[0].parent / "mine.wscap").exists(), "it has a name of the user's"
    return [path.exists() for path in captures]


def test_purge_all_but_what_is_written(captures: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["captures", "purge", "--all"]) == 0
    assert there(captures) == [False, False, True]
    err = capsys.readouterr().err
    assert "deleted 2 captures" in err
    assert f"{NAMES[2]} stays" in err
    assert main(["captures", "purge", "--all"]) == 0
    assert "nothing was deleted" in capsys.readouterr().err


def test_purge_what_is_old(captures: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["captures", "purge", "--older-than", "2w"]) == 0
    assert there(captures) == [True, True, True]
    assert main(["captures", "purge", "--older-than", "7d"]) == 0
    assert there(captures) == [False, True, True]
    assert "deleted 1 capture," in capsys.readouterr().err


def test_what_cannot_be_deleted_says_why(
    captures: list[Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It said `a proxy writes it, or it cannot be deleted`, and exit 0."""

    def unlink(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("wsinspect.capture.files.os.unlink", unlink)
    assert main(["captures", "purge", "--older-than", "7d"]) == 3
    err = capsys.readouterr().err
    assert f"{NAMES[0]} stays: it cannot be deleted (Permission denied)\n" in err
    assert "a proxy writes it" not in err
    assert there(captures) == [True, True, True]


def test_purge_by_name(captures: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["captures", "purge", NAMES[1].removesuffix(".wscap")]) == 0
    assert there(captures) == [True, False, True]
    assert main(["captures", "purge", NAMES[2]]) == 3
    err = capsys.readouterr().err
    assert f"{NAMES[2]} stays: a proxy writes it\n" in err
    assert f"not deleted: {NAMES[2]}" in err
    assert main(["captures", "purge", NAMES[0], NAMES[1]]) == 2, "one of them is not there"
    assert there(captures) == [True, False, True]
    err = capsys.readouterr().err
    assert "there is no unnamed capture" in err
    assert main(["captures", "purge", "../mine.wscap"]) == 2
    assert there(captures) == [True, False, True]


@pytest.mark.parametrize(
    "words", [[], ["--all", NAMES[0]], ["--all", "--older-than", "1d"], ["--older-than", "x"]]
)
def test_a_purge_wants_to_know_what(
    words: list[str], captures: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["captures", "purge", *words]) == 2
    assert there(captures) == [True, True, True]
    assert len(capsys.readouterr().err.splitlines()) == 1
