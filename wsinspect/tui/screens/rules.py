"""The rules: on or off, what each did, and why files could not be loaded."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from wsinspect.tui.ruling import RulesView
from wsinspect.tui.screens.listing import ListingScreen
from wsinspect.tui.source import Snapshot
from wsinspect.tui.widgets.rule_list import RulesList
from wsinspect.tui.widgets.virtual import VirtualList

ERROR_LINES = 4
"""Of the mistakes in a rule file that are shown."""


class RulesScreen(ListingScreen):
    """A list of rules with their hits; space switches one on or off."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,R", "dismiss(None)", "close"),
        Binding("space,enter", "switch", "on, off"),
        Binding("r", "reload", "load anew"),
    ]

    view: RulesView | None = None
    """As last shown."""

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = "Rules"
            yield Static("", classes="head", markup=False)
            yield Static("", classes="banner", markup=False)
            yield RulesList(self.palette, id="rules")
            yield Static("", classes="foot", markup=False)

    @property
    def list_of_rules(self) -> RulesList:
        return self.query_one(RulesList)

    def show(self, snapshot: Snapshot) -> None:
        """The rules of a snapshot."""
        if snapshot.rules == self.view:
            return
        view = self.view = snapshot.rules
        self.query_one(".head", Static).update(self.styled(*_head(view)))
        banner = self.query_one(".banner", Static)
        banner.set_class(bool(view.error), "-said")
        banner.update(Text("\n").join(self.styled(line) for line in _banner(view.error)))
        rules = self.list_of_rules
        rules.hint = [] if view.rules else [(line, "muted") for line in _hint(view)]
        rules.show(view.rules)
        keys = "space on/off · r load anew · esc closes" if view.live else "esc closes"
        self.query_one(Vertical).border_subtitle = keys
        self.explain()

    @on(VirtualList.Moved)
    def explain(self) -> None:
        """What the chosen rule is to do, and where it stands."""
        rule = self.list_of_rules.selected
        parts: list[tuple[str, str]] = []
        if rule is not None:
            parts = [(f"{rule.id}  ", "accent-strong"), (rule.explain[:500], "text")]
            parts += [(f"  {rule.place}", "muted")] if rule.place else []
        self.query_one(".foot", Static).update(self.styled(*parts))

    def action_switch(self) -> None:
        rule = self.list_of_rules.selected
        if rule is None:
            return
        if rule.enabled is None:
            self.refused("nobody runs these rules now: they are those of the capture")
            return
        self.ask(partial(self.source.switch_rule, rule.id, not rule.enabled))

    def action_reload(self) -> None:
        self.ask(self.source.reload_rules, "the rules were loaded anew")


def _head(view: RulesView) -> list[tuple[str, str]]:
    count = len(view.rules) + view.left_out
    words = f"{count:,} rule{'' if count == 1 else 's'}"
    parts = [(words, "strong")]
    parts += [(f" of {', '.join(view.files)}", "muted")] if view.files else []
    parts += [
        ("  ☾ in shadow: what they would do is recorded, no traffic is touched", "warning")
    ] * view.shadow
    parts += [(f"  the first {len(view.rules):,} are listed", "muted")] if view.left_out else []
    return parts


def _banner(error: str) -> list[tuple[str, str]]:
    """A line each."""
    lines = error.splitlines()
    parts = [("✗ the files as they are now could not be loaded; these rules stay:", "error-strong")]
    parts += [(f" {line}", "error") for line in lines[:ERROR_LINES]]
    if len(lines) > ERROR_LINES:
        parts.append((f" … and {len(lines) - ERROR_LINES:,} more", "error"))
    return parts


def _hint(view: RulesView) -> list[str]:
    if view.files:
        return ["the rule files are empty"]
    return ["no rules", "", "start the proxy with --rules FILE"]
