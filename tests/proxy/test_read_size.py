from __future__ import annotations

import asyncio

from wsinspect.proxy.read_size import FIRST, LEAST, MOST, WANTED_NS, ReadSize


class Transport(asyncio.Transport):
    max_size = 256 << 10


def test_asyncios_transports_have_a_size_to_set() -> None:
    from asyncio.selector_events import _SelectorTransport  # type: ignore[attr-defined]

    assert isinstance(_SelectorTransport.max_size, int)


def test_what_nobody_looks_into_is_read_in_large_parts() -> None:
    transport = Transport()
    ReadSize(transport)
    assert transport.max_size == MOST


def test_the_size_follows_what_a_read_costs() -> None:
    transport = Transport()
    size = ReadSize(transport)
    size.inspected(True)
    assert transport.max_size == FIRST
    size.took(FIRST, 4 * WANTED_NS)
    assert transport.max_size == FIRST // 4
    size.took(FIRST // 4, 400 * WANTED_NS)
    assert transport.max_size == LEAST
    size.took(LEAST, WANTED_NS)  # as it should be
    size.took(10, 1)  # not a full read: it tells nothing
    assert transport.max_size == LEAST
    for _ in range(20):
        size.took(transport.max_size, 1000)
    assert transport.max_size == MOST - 1
    size.inspected(True)  # nothing new
    assert transport.max_size == MOST - 1
    size.inspected(False)
    assert transport.max_size == MOST


def test_a_transport_without_a_size_is_left_alone() -> None:
    transport = asyncio.Transport()
    size = ReadSize(transport)
    size.inspected(True)
    size.took(FIRST, 100 * WANTED_NS)
    assert not hasattr(transport, "max_size")
