"""What opened each connection that lives: the facts that a checkpoint repeats."""

from __future__ import annotations

from collections.abc import Iterator

from wsinspect.capture import facts
from wsinspect.model import Closed, FactRecord, Failed, Opened, Requested

BATCH_BYTES = 1 << 20
"""A checkpoint of more than this becomes several records."""

type Entry = tuple[int, int, bytes]
"""Connection, time, the fact's JSON."""


class LiveConnections:
    """Learns from the facts that pass by: Requested and Opened add, Failed and Closed remove."""

    def __init__(self) -> None:
        self._entries: dict[int, list[Entry]] = {}

    def take(self, record: FactRecord) -> bytes:
        """Note what the fact says of its connection; returns the fact's JSON."""
        payload = facts.dumps(record.fact)
        match record.fact:
            case Requested() | Opened():
                self._entries.setdefault(record.conn, []).append((record.conn, record.t_ns, payload))
            case Failed() | Closed():
                self._entries.pop(record.conn, None)
            case _:
                pass
        return payload

    def batches(self) -> Iterator[list[Entry]]:
        """All entries, in lists of about BATCH_BYTES of JSON; nothing where no connection lives."""
        batch: list[Entry] = []
        size = 0
        for entries in self._entries.values():
            for entry in entries:
                batch.append(entry)
                size += len(entry[2])
            if size >= BATCH_BYTES:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch
