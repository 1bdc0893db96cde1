"""Where captures lie, which are kept, and how one is opened again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.capture.helpers import capture_bytes, read_all, reads, start_python
from wsinspect.capture import files, locks
from wsinspect.capture.format import MAGIC
from wsinspect.capture.writer import Writer
from wsinspect.errors import CaptureLocked, NotACapture, NotFound, Unavailable, UsageError


def test_files_are_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "deep" / "state"))
    path = files.new_capture_path()
    Writer(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert files.unnamed_captures() == [path]


def test_a_second_capture_of_the_same_second_has_another_name(tmp_path: Path) -> None:
    for _ in range(3):
        path = files.new_capture_path(tmp_path)
        assert not path.exists()
        path.touch()
    assert len(files.unnamed_captures(tmp_path)) == 3


def test_keep_last_deletes_the_oldest_but_never_named_or_locked_ones(tmp_path: Path) -> None:
    unnamed = [tmp_path / f"2026-11-22T16-05-{second:02}-77.wscap" for second in range(14)]
    for path in [*unnamed, tmp_path / "mine.wscap"]:
        path.write_bytes(MAGIC)
    opened = files.open_for_writing(unnamed[1])
    assert files.keep_last(10, tmp_path) == [unnamed[0], *unnamed[2:4]]
    assert [path for path in unnamed if path.exists()] == [unnamed[1], *unnamed[4:]]
    assert (tmp_path / "mine.wscap").exists()
    os.close(opened.fd)
    assert files.keep_last(10, tmp_path / "none") == []


def test_a_second_writer_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "a.wscap"
    assert not locks.is_being_written(path)
    writer = Writer(path)
    assert locks.is_being_written(path)
    with pytest.raises(CaptureLocked, match="another process"):
        Writer(path)
    code = """
import sys; from pathlib import Path
from wsinspect.capture.writer import Writer; from wsinspect.errors import CaptureLocked
try: Writer(Path(sys.argv[1]))
except CaptureLocked as error: sys.exit(error.exit_code)
"""
    with start_python(code, path) as other:
        other.communicate(timeout=20)
    assert other.returncode == 3
    writer.close()
    assert not locks.is_being_written(path)
    Writer(path).close()


def test_appending_cuts_the_torn_tail_and_counts_connections_on(tmp_path: Path) -> None:
    path = tmp_path / "a.wscap"
    sent = reads(3, conn=7)
    path.write_bytes(capture_bytes(sent)[:-10])
    writer = Writer(path)
    assert writer.next_conn() == 8
    for read in reads(2, conn=8):
        writer.append(read)
    writer.close()
    records = read_all(path)
    assert [records[0], records[1], *records[3:]] == [*sent[:2], *reads(2, conn=8)]


@pytest.mark.parametrize("nbytes", range(9))
def test_a_file_with_less_than_a_magic_is_begun_anew(tmp_path: Path, nbytes: int) -> None:
    path = tmp_path / "a.wscap"
    path.write_bytes(MAGIC[:nbytes])
    Writer(path).close()
    assert path.read_bytes().startswith(MAGIC)
    assert read_all(path) == []


def test_anything_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_bytes(b"my notes")
    with pytest.raises(NotACapture, match="not a wsinspect capture"):
        files.open_for_writing(note)
    assert note.read_bytes() == b"my notes"
    with pytest.raises(UsageError, match="directory"):
        files.open_for_writing(tmp_path)
    with pytest.raises(NotFound, match="no folder"):
        files.open_for_writing(tmp_path / "none" / "a.wscap")
    with pytest.raises(UsageError, match="not a file"):
        files.open_for_writing(Path("/dev/full"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(Unavailable, match="Permission denied"):
        files.open_for_writing(tmp_path / "a.wscap")
