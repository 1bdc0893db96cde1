"""Reading: torn tails at every byte, flipped bits anywhere, junk, growth, cuts."""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path

import pytest

from tests.capture.helpers import capture_bytes, drain, read_all, reads
from wsinspect.capture import facts, format
from wsinspect.capture import reader as reader_module
from wsinspect.capture.format import HEADER, MAGIC, Segment, encode, pack, segment_record
from wsinspect.capture.locks import try_lock
from wsinspect.capture.reader import Reader
from wsinspect.errors import DamagedInput, NotACapture, NotFound
from wsinspect.model import Clock, Closed, FactRecord, Notice, Opened, Read, Requested


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_all_records_come_out_whatever_the_block_size(tmp_path: Path) -> None:
    sent = [FactRecord(1, 1, Requested(url="ws://x/")), *reads(50), *reads(3, 5000)]
    path = write(tmp_path / "a.wscap", capture_bytes(sent))
    for max_bytes in (1, 100, 4096, 1 << 20):
        assert read_all(path, max_bytes) == sent


def test_positions_lead_back_to_the_records(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wscap", capture_bytes(reads(20)))
    with Reader(path) as reader:
        for position, record in drain(reader):
            assert reader.at(position) == record
            assert reader.at(position) is not None
        for position in (0, 9, 10**9, 2**64):
            with pytest.raises(DamagedInput):
                reader.at(position)


def test_a_torn_tail_at_every_byte_is_waited_for(tmp_path: Path) -> None:
    sent = reads(4)
    whole = capture_bytes(sent)
    ends = [len(whole) - sum(len(b"".join(encode(r))) for r in sent[n:]) for n in range(len(sent) + 1)]
    path = tmp_path / "a.wscap"
    for cut in range(ends[0], len(whole)):
        path.write_bytes(whole[:cut])
        with Reader(path) as reader:
            complete = sum(end <= cut for end in ends) - 1
            assert [r for _, r in drain(reader)] == sent[:complete]
            assert not reader.damage
            assert reader.torn_bytes == cut - ends[complete]
            with path.open("ab") as file:
                file.write(whole[cut:])
            assert [r for _, r in drain(reader)] == sent[complete:]
            assert not reader.damage


def test_a_flipped_bit_costs_its_record_alone(tmp_path: Path) -> None:
    sent = reads(6)
    whole = capture_bytes(sent)
    start = len(capture_bytes([]))
    size = (len(whole) - start) // len(sent)
    path = tmp_path / "a.wscap"
    for at in range(start, len(whole)):
        for bit in (0, 3, 7):
            broken = bytearray(whole)
            broken[at] ^= 1 << bit
            path.write_bytes(broken)
            hit = (at - start) // size
            with Reader(path) as reader:
                assert [r for _, r in drain(reader)] == sent[:hit] + sent[hit + 1 :], (at, bit)
                assert reader.damage or (hit == len(sent) - 1 and reader.torn_bytes)


def test_damage_inside_the_segment_record_is_survived(tmp_path: Path) -> None:
    whole = bytearray(capture_bytes(reads(2)))
    whole[len(MAGIC) + 30] ^= 1
    assert read_all(write(tmp_path / "a.wscap", bytes(whole))) == reads(2)


@pytest.mark.parametrize("filler", [b"\0", b"\1", b"\x01\0", b"\xff", b"WSCAP\x01\r\n", b"\0\0\0\4\1\1\1\0"])
def test_junk_is_skipped_and_said(tmp_path: Path, filler: bytes) -> None:
    sent = reads(3)
    junk = filler * (300_000 // len(filler))
    path = write(tmp_path / "a.wscap", capture_bytes(sent[:1]) + junk + b"".join(encode(sent[1])) + junk)
    with Reader(path) as reader:
        assert [r for _, r in drain(reader)] == sent[:2]
        assert len(reader.damage) == 1
        with path.open("ab") as file:
            file.write(b"".join(encode(sent[2])))
        assert [r for _, r in drain(reader)] == sent[2:]
        assert len(reader.damage) == 2


def test_random_bytes_never_raise(tmp_path: Path) -> None:
    rng = random.Random(6455)
    path = tmp_path / "a.wscap"
    whole = capture_bytes([*reads(5), FactRecord(1, 1, Requested(url="ws://x/")), *reads(5)])
    for _ in range(150):
        broken = bytearray(whole)
        for _ in range(rng.randrange(1, 30)):
            at = rng.randrange(len(MAGIC), len(broken))
            match rng.randrange(3):
                case 0:
                    broken[at] = rng.randrange(256)
                case 1:
                    del broken[at : at + rng.randrange(40)]
                case _:
                    broken[at:at] = rng.randbytes(rng.randrange(40))
        path.write_bytes(broken)
        read_all(path, rng.choice([1, 64, 1 << 20]))


def test_valid_checks_over_nonsense_never_raise(tmp_path: Path) -> None:
    nonsense = [
        pack(kind, payload, 2**64 - 1, conn=9, side=side)
        for kind, payload, side in itertools.product(range(64), (b"", b"{}", b"\xff" * 30), (0, 1, 255))
    ]
    path = write(tmp_path / "a.wscap", capture_bytes([]) + b"".join(nonsense) + b"".join(encode(reads(1)[0])))
    assert read_all(path)[-1:] == reads(1)


def test_a_huge_length_is_damage_and_not_waited_for(tmp_path: Path) -> None:
    header = HEADER.pack(0, 0xFFFFFFFF, 2, 0, 0, 0, 1, 1)
    path = write(tmp_path / "a.wscap", capture_bytes([]) + header + capture_bytes(reads(2))[8:])
    assert [r for r in read_all(path) if isinstance(r, Read)] == reads(2)


def test_while_a_writer_lives_a_torn_tail_is_not_searched(tmp_path: Path) -> None:
    """A record that carries a capture (a download of one) must not be mistaken for records."""
    inner = capture_bytes(reads(3))
    record = b"".join(encode(Read(1, reads(1)[0].side, 1, inner + bytes(100), 0)))
    path = write(tmp_path / "a.wscap", capture_bytes([]) + record[:-50])
    fd = os.open(path, os.O_RDONLY)
    assert try_lock(fd)
    with Reader(path) as reader:
        assert drain(reader) == []
        with path.open("ab") as file:
            file.write(record[-50:])
        assert len(drain(reader)) == 1
        assert not reader.damage
    os.close(fd)


def test_a_length_that_grew_by_a_flipped_bit_stops_no_follower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer lives, so the record's end was waited for: all that came behind it with it, up to 64 MiB."""
    sent = reads(20)
    data = bytearray(capture_bytes(sent))
    damaged = len(capture_bytes(sent[:10]))
    data[damaged + 6] ^= 1 << 6  # the length, 4 MiB more
    path = write(tmp_path / "a.wscap", bytes(data))
    fd = os.open(path, os.O_RDWR)
    try:
        assert try_lock(fd)
        with Reader(path) as reader:
            assert [record for _, record in drain(reader)] == sent[:10]
            assert reader.read() == []
            assert reader.damage == []
            monkeypatch.setattr(reader_module, "UNFINISHED_S", 0.0)
            assert [record for _, record in drain(reader)] == sent[11:]
            assert len(reader.damage) == 1
            more = reads(23)[20:]
            os.pwrite(fd, b"".join(b"".join(encode(each)) for each in more), len(data))
            assert [record for _, record in drain(reader)] == more
            assert len(reader.damage) == 1
    finally:
        os.close(fd)


def test_an_unfinished_record_with_nothing_behind_it_is_still_taken_when_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "UNFINISHED_S", 0.0)
    sent = reads(3, 5000)
    data = capture_bytes(sent)
    path = write(tmp_path / "a.wscap", data[:-2000])
    fd = os.open(path, os.O_RDWR)
    try:
        assert try_lock(fd)
        with Reader(path) as reader:
            assert [record for _, record in drain(reader)] == sent[:2]
            assert reader.read() == []
            os.pwrite(fd, data[-2000:], len(data) - 2000)
            assert [record for _, record in drain(reader)] == sent[2:]
            assert reader.damage == []
    finally:
        os.close(fd)


def test_a_file_that_is_cut_or_replaced_under_the_reader_is_survived(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wscap", capture_bytes(reads(10)))
    with Reader(path) as reader:
        drain(reader)
        os.truncate(path, 30)
        assert drain(reader) == []
        assert "cut" in reader.damage[0]
        path.write_bytes(capture_bytes(reads(10)))
        drain(reader)
        os.unlink(path)
        assert drain(reader) == []


def test_a_checkpoint_tells_only_what_was_lost(tmp_path: Path) -> None:
    requested, opened = FactRecord(1, 1, Requested(url="ws://x/")), FactRecord(1, 2, Opened())
    closed = FactRecord(1, 3, Closed())
    entries = [(1, 1, facts.dumps(requested.fact)), (1, 2, facts.dumps(opened.fact))]
    checkpoint = format.checkpoint_record(5, entries)
    head = capture_bytes([])
    all_seen = head + b"".join(b"".join(encode(r)) for r in (requested, opened)) + checkpoint * 2
    assert read_all(write(tmp_path / "a.wscap", all_seen)) == [requested, opened]
    one_lost = head + b"".join(encode(requested)) + checkpoint * 2 + b"".join(encode(closed))
    path = write(tmp_path / "b.wscap", one_lost)
    assert read_all(path) == [requested, opened, closed]


def test_clock_pairs_hold_until_the_next_one(tmp_path: Path) -> None:
    clocks = [Clock(1000, 10**18 + 1000), Clock(2000, 10**18 + 5000)]
    again = segment_record(Segment(2 * 10**18, 500, 2, "h", "0", 2))
    path = write(tmp_path / "a.wscap", capture_bytes(clocks) + again + b"".join(encode(reads(1)[0])))
    with Reader(path) as reader:
        records = drain(reader)
        assert reader.segments == 2
        assert reader.wall_ns(1500, 40) == 10**18 + 1500
        assert reader.wall_ns(2500, 40) == 10**18 + 5500
        assert reader.wall_ns(600, records[-1][0]) == 2 * 10**18 + 100
        assert reader.wall_ns(1500) == 10**18 + 1500
        notices = [r.fact for _, r in records if isinstance(r, FactRecord)]
        assert [n.code for n in notices if isinstance(n, Notice)] == ["segment"]
    (tmp_path / "empty.wscap").write_bytes(b"")
    with Reader(tmp_path / "empty.wscap") as reader:
        assert reader.wall_ns(5) == 0


def test_what_is_not_a_capture_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such file"):
        Reader(tmp_path / "none")
    for content, said in [
        (b"PK\3\4....", "not a wsinspect capture"),
        (b"WSCAP\x02\r\n", "format 2"),
        (b"WSCAP\x01\n.", "line ends"),
    ]:
        path = write(tmp_path / "x", content)
        with pytest.raises(NotACapture, match=said):
            Reader(path)
    with pytest.raises(NotACapture, match="directory"):
        Reader(tmp_path)


def test_a_capture_whose_magic_is_not_yet_written_can_be_followed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wscap", b"")
    with Reader(path) as reader:
        assert reader.read() == []
        path.write_bytes(capture_bytes(reads(2)))
        assert [r for _, r in drain(reader)] == reads(2)


def test_follow_yields_what_was_there_when_told_to_stop(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wscap", capture_bytes(reads(3)))
    with Reader(path) as reader:
        assert [r for _, r in reader.follow(lambda: True)] == reads(3)
