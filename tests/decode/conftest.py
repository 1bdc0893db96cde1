"""Property tests without hypothesis's deadline: on a busy machine any example may take 200 ms."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
