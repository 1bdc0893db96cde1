"""What went wrong in the rules of one connection, each said once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsinspect.rules.rule import Rule

NOTICE_CHARS = 500
MAX_NOTICES = 100
"""Of one connection: what goes wrong with each message must not fill the capture."""


class Notices:
    """Bounded, whatever the messages do."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, str]] = []
        self._said: set[tuple[str, str]] = set()

    def add(self, code: str, text: str) -> None:
        note = (code, text if len(text) <= NOTICE_CHARS else text[: NOTICE_CHARS - 1] + "…")
        if len(self._said) < MAX_NOTICES and note not in self._said:
            self._said.add(note)
            self._waiting.append(note)

    def failed(self, where: str, error: Exception) -> None:
        self.add("rule-failed", f"{where}: {sentence(error)}")

    def rule_failed(self, rule: Rule, error: Exception) -> None:
        what = "keeps what it fails at out of the capture" if rule.private else "is off for this connection"
        self.failed(f"rule {rule.id} failed and {what}", error)

    def take(self) -> list[tuple[str, str]]:
        """(code, sentence) of those since the last call."""
        taken, self._waiting = self._waiting, []
        return taken


def sentence(error: Exception) -> str:
    """A mistake of a message in its own words; a fault of ours with its type."""
    return str(error) if isinstance(error, ValueError) and str(error) else f"{type(error).__name__}: {error}"
