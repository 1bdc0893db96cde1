"""A script for `wsinspect proxy -s`: a disk of some MB/s, and a writer with a small queue before it."""

import time
from collections.abc import Sequence
from typing import Any

from mitmproxy import ctx

from wsinspect.capture.disk import Disk

BYTES_A_SECOND = 3_000_000
QUEUE = 1 << 20

_write = Disk.write


def _slowly(self: Disk, chunks: Sequence[bytes]) -> int:
    time.sleep(sum(map(len, chunks)) / BYTES_A_SECOND)
    return _write(self, chunks)


Disk.write = _slowly  # type: ignore[method-assign]


def running() -> None:
    writer: Any = ctx.master.addons.get("wsinspect")._writer
    writer._limit = QUEUE
    writer._brim = QUEUE // 2 if writer._throttle else QUEUE
