from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from wsinspect.proxy.background import in_background

HANGING = """
import asyncio, time
from wsinspect.proxy.background import in_background

async def main():
    task = asyncio.create_task(in_background(lambda: time.sleep(3600), "hangs"))
    await asyncio.sleep(0.05)

asyncio.run(main())
"""


async def test_what_it_returns_and_raises() -> None:
    assert await in_background(lambda: threading.current_thread().name, "reader") == "reader"
    with pytest.raises(OSError, match="gone"):
        await in_background(lambda: (_ for _ in ()).throw(OSError("gone")), "reader")


async def test_one_who_waits_no_more_is_not_told() -> None:
    go = threading.Event()
    task = asyncio.create_task(in_background(lambda: go.wait(10), "reader"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go.set()
    assert await in_background(lambda: 3, "reader") == 3


def test_a_call_that_hangs_does_not_keep_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
