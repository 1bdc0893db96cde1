"""The carriage table is closed and BLIND is for good."""

from __future__ import annotations

from wsinspect.relay.states import TABLE, Carriage, Turn, turned


def test_blind_is_for_good() -> None:
    assert all(turned(Carriage.BLIND, turn) is Carriage.BLIND for turn in Turn)


def test_every_other_carriage_goes_blind_when_frames_cannot_be_parsed() -> None:
    assert {each for each in Carriage if turned(each, Turn.UNPARSEABLE) is Carriage.BLIND} == set(Carriage)


def test_reencode_is_left_only_through_inspect() -> None:
    ways_out = {turn: after for (before, turn), after in TABLE.items() if before is Carriage.REENCODE}
    assert ways_out == {Turn.WINDOWS_MET: Carriage.INSPECT, Turn.UNPARSEABLE: Carriage.BLIND}
