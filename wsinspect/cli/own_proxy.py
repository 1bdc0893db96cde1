"""A proxy for one client of ours: it comes and goes with the block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wsinspect.cli.narration import say

if TYPE_CHECKING:
    from wsinspect.control.launch import Launched
    from wsinspect.control.settings import ProxySettings


@contextmanager
def own_proxy(settings: ProxySettings) -> Iterator[Launched]:
    """At the end of a block without an error it is said what was captured, and where.

    Where we are killed it ends too, and does what was bequeathed to it.
    """
    from wsinspect.control.launch import launch_proxy

    with launch_proxy([*settings.arguments(), "--end-with-parent"]) as launched:
        yield launched
        died = launched.process.poll()
        launched.stop()
        if died is not None:
            say(f"the proxy ended by itself (exit code {died}); see {launched.log}")
        elif not settings.quiet and (words := launched.last_words()):
            say(words.splitlines()[-1])
