"""Which browsers there are, and where one lies on this machine."""

from __future__ import annotations

import enum
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from wsinspect.errors import Unavailable


class Browser(enum.StrEnum):
    """By the names that a user types."""

    CHROMIUM = "chromium"
    CHROME = "chrome"
    FIREFOX = "firefox"


_NAMES = {
    Browser.CHROMIUM: ("chromium", "chromium-browser"),
    Browser.CHROME: ("google-chrome", "google-chrome-stable", "chrome"),
    Browser.FIREFOX: ("firefox", "firefox-esr"),
}
_APPS = {
    Browser.CHROMIUM: "/Applications/Chromium.app/Contents/MacOS/Chromium",
    Browser.CHROME: "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    Browser.FIREFOX: "/Applications/Firefox.app/Contents/MacOS/firefox",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A browser on this machine."""

    browser: Browser
    executable: Path


def find(wanted: Browser | None = None) -> Found:
    """The browser asked for, or the first that is there. Raises Unavailable, with the names looked for."""
    looked_for: list[str] = []
    for browser in [wanted] if wanted else list(Browser):
        for name in _candidates(browser):
            looked_for.append(name)
            if executable := shutil.which(name):
                return Found(browser, Path(executable))
    what = f"no {wanted.value}" if wanted else "no browser"
    raise Unavailable(f"{what} is installed here; looked for {', '.join(looked_for)}")


def _candidates(browser: Browser) -> tuple[str, ...]:
    return (*_NAMES[browser], _APPS[browser]) if sys.platform == "darwin" else _NAMES[browser]


def profile_parent(found: Found) -> Path | None:
    """Where its profile has to lie, None for anywhere. A snap sees neither our /tmp nor hidden folders."""
    resolved = found.executable.resolve()
    is_snap = found.executable.is_relative_to("/snap/bin") or resolved == Path("/usr/bin/snap")
    name = found.browser.value
    if is_snap or _is_snap_wrapper(resolved, name):
        return Path.home() / "snap" / name / "common"
    return None


def _is_snap_wrapper(executable: Path, name: str) -> bool:
    """Ubuntu's chromium-browser and firefox are scripts that start the snap."""
    with executable.open("rb") as file:
        head = file.read(4096)
    return head.startswith(b"#!") and f"/snap/bin/{name}".encode() in head
