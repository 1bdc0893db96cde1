"""What opened each connection that lives: the facts that a checkpoint repeats."""

from __future__ import annotations

from collections.abc import Iterator

from wsinspect.model import Closed, Fact, Failed, Opened, Requested

BATCH_BYTES = 1 << 20
"""A checkpoint of more than this becomes several records."""

type Entry = tuple[int, int, bytes]
"""Connection, time, the fact's JSON."""


class LiveConnections:
    """Learns from the facts as they are written: Requested and Opened add, Failed and Closed remove."""

    def __init__(self) -> None:
        self.over = 0
        """Connections that have ended or failed."""
        self.highest = 0
        """The highest connection number."""
        self._entries: dict[int, list[Entry]] = {}
        self._leaving: list[int] = []

    def take(self, conn: int, t_ns: int, fact: Fact, payload: bytes) -> None:
        """Note what a fact (and its JSON) says of its connection. Who leaves counts until `settle`."""
        self.highest = max(self.highest, conn)
        match fact:
            case Requested() | Opened():
                self._entries.setdefault(conn, []).append((conn, t_ns, payload))
            case Failed() | Closed():
                self._leaving.append(conn)
            case _:
                pass

    def settle(self) -> None:
        """All facts taken so far are written."""
        for conn in self._leaving:
            self.over += 1
            self._entries.pop(conn, None)
        self._leaving.clear()

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
