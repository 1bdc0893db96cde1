"""What stands at the end of a segment, for the process that goes on behind it."""

from __future__ import annotations

from pathlib import Path

from wsinspect.capture.format import Counts, End, Segment
from wsinspect.capture.reader import Reader
from wsinspect.capture.timeline import make_decoder
from wsinspect.model import Closed, FactRecord, Failed, Read, Side


def last_counts(path: Path) -> tuple[int, Counts, int]:
    """A segment's base, the counts at its end, and where its last whole record ends.

    They stand there where its process could close it; after a kill they are made up from its reads: each says
    the number of its frame. Raises what Reader does.
    """
    first: dict[tuple[int, Side], int] = {}
    last: dict[tuple[int, Side], Read] = {}
    over = 0
    with Reader(path, final=True) as reader:
        while records := reader.read():
            for _, record in records:
                if isinstance(record, Read):
                    key = record.conn, record.side
                    first.setdefault(key, record.frame - 1 + bool(record.left))
                    last[key] = record
                elif isinstance(record, FactRecord) and isinstance(record.fact, Closed | Failed):
                    over += 1
        opening, ending = reader.opening or Segment(0, 0), reader.ending
        end, highest = reader.position, reader.highest_conn
    before = opening.before
    if isinstance(ending, End):
        return opening.base, ending.counts, end
    frames = before.frames
    if frames is not None:
        frames += sum(_frames_up_to(read) - first[key] for key, read in last.items())
    return opening.base, Counts(frames, before.connections + over, max(before.highest, highest)), end


def _frames_up_to(read: Read) -> int:
    """How many frames of its direction had begun at a read's end."""
    decoder = make_decoder(read.side, None, 0)
    decoder.resume(read.frame, read.offset, read.left, read.carry, read.state)
    if decoder.synced:
        decoder.receive(read.data)
    return decoder.frame - 1 + decoder.mid_frame
