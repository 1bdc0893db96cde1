"""Memory that large reads have freed serves the next ones."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PAGES = 100 * (256 << 10) // 4096

FILLED_TWICE = """
import resource, sys
from wsinspect.proxy import memory
if sys.argv[1:] == ["keep"]:
    memory.keep_freed()
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    reads = [b"x" * (256 << 10) for _ in range(100)]
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    while reads:
        reads.pop()
print(faults)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt(3) is glibc's")
def test_freed_reads_cost_no_page_faults() -> None:
    def faults(*words: str) -> int:
        command = [sys.executable, "-c", FILLED_TWICE, *words]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert faults("keep") < PAGES // 10
    assert faults() > PAGES // 2, "the test shows what it should"
