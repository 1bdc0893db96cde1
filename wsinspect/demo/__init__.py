"""A demo world on the loopback interface: services and clients whose traffic is worth looking at."""

from __future__ import annotations

from wsinspect.demo.thread import DemoThread
from wsinspect.demo.world import DemoWorld

__all__ = ["DemoThread", "DemoWorld"]
