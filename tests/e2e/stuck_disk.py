"""A script for `wsinspect proxy -s`: a disk that takes nothing until NAME.wscap.go is there beside it."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mitmproxy import ctx

from wsinspect.capture.disk import Disk

QUEUE = 1 << 20


def running() -> None:
    writer: Any = ctx.master.addons.get("wsinspect")._writer
    writer._limit = QUEUE
    writer._brim = QUEUE // 2 if writer._throttle else QUEUE
    go, write = Path(f"{writer.path}.go"), Disk.write

    def stuck(self: Disk, chunks: Sequence[bytes]) -> int:
        while not go.exists():
            time.sleep(0.005)
        return write(self, chunks)

    Disk.write = stuck  # type: ignore[method-assign]
