"""The field that all random actions have."""

from __future__ import annotations

from wsinspect.rules.fields import Field, Type

SEED_FIELD = Field(
    "seed",
    Type.INT,
    "Makes what is random repeat, in each connection alike; without it, it comes from the seed of the file "
    "and the connection's number.",
    None,
)
