from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest

from wsinspect.entry.signals import Signals, Stopped

LISTENER = """
import signal, sys
def heard(number, frame):
    print(signal.Signals(number).name, flush=True)
    if number == signal.SIGTERM:
        sys.exit(9)
for name in ("SIGINT", "SIGUSR1", "SIGTERM", "SIGHUP"):
    signal.signal(getattr(signal, name), heard)
print("ready", flush=True)
while True:
    signal.pause()
"""


@contextmanager
def listener() -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """A program that says which signals it gets."""
    with subprocess.Popen([sys.executable, "-c", LISTENER], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        yield child, child.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_us_once(number: int) -> None:
    before = signal.signal(number, signal.SIG_DFL)  # a run of the tests may be one under nohup
    try:
        with Signals():
            with pytest.raises(Stopped) as caught:
                os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)  # what is put away now is put away in peace
        assert caught.value.number == number
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_held_off() -> None:
    with Signals() as signals:
        signals.hold_off()
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def ignored() -> Iterator[None]:
    """What nohup and `&` in a script do."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGHUP, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("ignored")
def test_an_ignored_signal_stays_ignored() -> None:
    with Signals():
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@pytest.mark.usefixtures("ignored")
def test_an_interrupt_may_end_us_in_any_case() -> None:
    with Signals(always_int=True):
        os.kill(os.getpid(), signal.SIGHUP)
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.usefixtures("ignored")
def test_what_we_ignore_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was started with `&` in a script could not be interrupted, although it listened."""
    monkeypatch.setattr("wsinspect.entry.signals._in_foreground", lambda: False)
    with listener() as (child, heard), Signals() as signals:
        signals.pass_to(child)
        os.kill(os.getpid(), signal.SIGINT)
        assert heard.readline() == b"SIGINT\n"
        os.kill(os.getpid(), signal.SIGTERM)
        assert child.wait(10) == 9


def test_passed_on_to_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsinspect.entry.signals._in_foreground", lambda: False)
    with listener() as (child, heard), Signals() as signals:
        signals.pass_to(child)
        for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGHUP, signal.SIGTERM):
            os.kill(os.getpid(), number)
            assert heard.readline().decode().strip() == signal.Signals(number).name
        assert child.wait(10) == 9


def test_a_key_of_the_terminal_has_reached_the_child_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsinspect.entry.signals._in_foreground", lambda: True)
    with listener() as (child, heard), Signals() as signals:
        signals.pass_to(child)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard.read() == b"SIGTERM\n"
        assert child.wait(10) == 9
