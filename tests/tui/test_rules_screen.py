"""The list of rules: on and off, hits, mistakes in the files; keys alone, at 80 by 24 and without colour."""

from __future__ import annotations

import pytest

from tests.tui.fake_source import FakeSource
from tests.tui.scene import scene
from tests.tui.test_detail import HOSTILE, check_screen
from wsinspect.tui.ruling import RuleRow, RulesView
from wsinspect.tui.screens.rules import RulesScreen

SIZES = pytest.mark.parametrize("size", [(80, 24), (200, 60)])
RULES = (
    RuleRow("fake-price", True, 1204, "1,204 hits, 1,204 changed", "if so: set $.price to 1", "demo.yaml:3"),
    RuleRow("no-heartbeats", False, 12, "12 hits, 12 dropped", "if it is a ping: drop it", "demo.yaml:9"),
    RuleRow("slow", True, 0, "no hit", "delay it", "demo.yaml:20", failed=2),
)
MISTAKE = "demo.yaml:12:7: no action is called drip; did you mean drop?"


def ruled() -> FakeSource:
    source = scene()
    source.load(*RULES)
    return source


async def opened(screen) -> RulesScreen:
    await screen.press("R")
    await screen.until(lambda: isinstance(screen.app.screen, RulesScreen), "the rules")
    await screen.sees("Rules")
    return screen.app.screen


@SIZES
async def test_rules_with_what_they_did(run, size):
    async with run(ruled(), size=size) as screen:
        await screen.sees("R rules")
        await opened(screen)
        await screen.sees("3 rules of rules/demo.yaml")
        for words in (
            "● on       fake-price     1,204 hits, 1,204 changed",
            "○ off      no-heartbeats  12 hits, 12 dropped",
            "⚠ failed in 2 connections  no hit",
            "fake-price  if so: set $.price to 1  demo.yaml:3",
            "space on/off · r load anew · esc closes",
        ):
            assert words in screen.text()
        await screen.press("j")
        await screen.sees("if it is a ping: drop it  demo.yaml:9")
        await screen.press("escape")
        await screen.until(lambda: screen.app.screen is screen.main)


@SIZES
async def test_space_switches_a_rule(run, size):
    source = ruled()
    async with run(source, size=size) as screen:
        await opened(screen)
        await screen.press("j", "space")
        await screen.sees("● on       no-heartbeats")
        await screen.press("k", "space")
        await screen.sees("○ off      fake-price")
        assert source.asked_for == [("switch", "no-heartbeats", True), ("switch", "fake-price", False)]


async def test_what_the_proxy_refuses_is_said(run):
    source = ruled()
    source.refusal = "there is no rule fake-price (any more)"
    async with run(source) as screen:
        await opened(screen)
        await screen.press("space")
        await screen.sees("there is no rule fake-price")
        assert "● on       fake-price" in screen.text()


async def test_hits_count_on_while_the_list_is_open(run):
    source = ruled()
    async with run(source) as screen:
        rules = await opened(screen)
        await screen.until(lambda: rules.list_of_rules.draws >= 3)
        drawn = rules.list_of_rules.draws
        source.load(RuleRow("fake-price", True, 1205, "1,205 hits, 1,205 changed"), *RULES[1:])
        await screen.sees("1,205 hits")
        assert rules.list_of_rules.draws == drawn + 1


@SIZES
async def test_files_that_could_not_be_loaded(run, size):
    source = ruled()
    async with run(source, size=size) as screen:
        await screen.sees("R rules")
        source.load(error="\n".join([MISTAKE, *(f"demo.yaml:{n}:1: mistake {n}" for n in range(20, 29))]))
        await screen.sees("the rules stay as they were")
        await screen.sees("✗ RULES NOT LOADED")
        await opened(screen)
        await screen.sees("these rules stay")
        await screen.sees("drip; did you mean drop?")
        await screen.sees("mistake 22")
        await screen.sees("… and 6 more")
        assert "mistake 23" not in screen.text()
        assert "fake-price" in screen.text()
        await screen.press("r")
        await screen.until(lambda: ("reload",) in source.asked_for)
        source.load(error="")
        await screen.until(lambda: "these rules stay" not in screen.text())
        await screen.sees("3 rules are loaded")
        await screen.press("escape")
        await screen.until(lambda: "RULES NOT LOADED" not in screen.text())


async def test_a_reload_that_fails_says_the_first_mistake(run):
    source = ruled()
    source.refusal = f"{MISTAKE}\nanother\nand another"
    async with run(source) as screen:
        await opened(screen)
        await screen.press("r")
        await screen.sees("no action is called drip")
        await screen.sees("(and 2 more)")


async def test_shadow_is_said(run):
    source = ruled()
    source.load(shadow=True)
    async with run(source) as screen:
        await screen.sees("☾ SHADOW")
        await opened(screen)
        await screen.sees("in shadow: what they would do is recorded, no traffic is touched")


async def test_of_a_file_the_list_is_to_be_read(run):
    source = FakeSource(live=False)
    source.rules = RulesView((RuleRow("old", None, 3, "3 hits, 3 dropped"),), ("a.yaml",))
    async with run(source) as screen:
        await opened(screen)
        await screen.sees("▤ captured old")
        assert "space on/off" not in screen.text()
        await screen.press("space")
        await screen.sees("nobody runs these rules now")
        assert not source.asked_for


async def test_without_rules_it_says_how_to_have_some(run):
    async with run(scene()) as screen:
        await screen.until(lambda: screen.main.log_list.count)
        assert "R rules" not in screen.text()
        await opened(screen)
        await screen.sees("start the proxy with --rules FILE")


async def test_more_rules_than_lines(run):
    source = scene()
    source.load(*(RuleRow(f"rule-{n}", True, n, f"{n} hits") for n in range(500)), left_out=7)
    async with run(source, size=(80, 24)) as screen:
        await opened(screen)
        await screen.sees("507 rules of rules/demo.yaml  the first 500 are listed")
        await screen.press("G")
        await screen.sees("rule-499")


@pytest.mark.parametrize("payload", HOSTILE)
async def test_hostile_words_stay_text(run, payload):
    source = scene()
    source.load(
        RuleRow(payload, True, 1, payload, payload, payload), error=f"{payload}\n{payload}", files=(payload,)
    )
    async with run(source, size=(80, 24)) as screen:
        await opened(screen)
        await screen.sees("these rules stay")
        check_screen(screen)
        source.refusal = payload
        await screen.press("space")
        await screen.until(lambda: source.asked_for)
        await screen.until(lambda: screen.app._notifications)
        check_screen(screen)


async def test_no_colour(run, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    source = ruled()
    source.load(error=MISTAKE)
    async with run(source, size=(80, 24)) as screen:
        await opened(screen)
        await screen.sees("● on")
        for strip in screen.app.screen._compositor.render_strips():
            for segment in strip:
                for colour in (segment.style.color, segment.style.bgcolor) if segment.style else ():
                    assert colour is None or colour.is_default
