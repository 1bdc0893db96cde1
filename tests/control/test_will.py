"""What is done for a parent that was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wsinspect.control import will
from wsinspect.control.will import Will, read_will

STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
signal.pause()
"""


def test_the_last_word_counts() -> None:
    reading, writing = os.pipe()
    os.write(writing, Will("/tmp/a").line())
    os.write(writing, Will("/tmp/\udce4 \n", -7, force=True).line())
    os.close(writing)
    assert read_will(reading) == Will("/tmp/\udce4 \n", -7, force=True)
    os.close(reading)


def test_none_is_left() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    read_will(reading).execute()
    os.close(reading)


def test_a_folder_and_a_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(will, "END_S", 1.0)  # nobody reaps the program meanwhile, so that it counts as there
    folder = tmp_path / "profile"
    folder.mkdir()
    (folder / "cookies").touch()
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        Will(str(folder), -process.pid, force=True).execute()
        assert process.wait(10) == -signal.SIGTERM
    assert not folder.exists()


@pytest.mark.parametrize("force", [True, False])
def test_what_does_not_go(force: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser is killed then, a user's program may go on."""
    monkeypatch.setattr(will, "END_S", 0.05)
    words = [sys.executable, "-c", STUBBORN]
    with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        Will(program=process.pid, force=force).execute()
        if not force:
            assert process.poll() is None
            process.kill()
        assert process.wait(10) == -signal.SIGKILL
