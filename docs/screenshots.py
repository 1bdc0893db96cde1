"""Make the pictures in docs/images/ from the real program: `uv run python docs/screenshots.py [NAME …]`.

The demo's services and clients talk through a real proxy, and the real screen reads its capture. An exported
SVG is made self-contained (Textual refers to a web font) and is painted as PNG by a headless Chromium, where
one is installed.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from wsinspect.control.client import ControlClient
from wsinspect.control.launch import launch_proxy
from wsinspect.control.settings import ProxySettings
from wsinspect.demo import DemoThread
from wsinspect.model import ConnectionState
from wsinspect.tui.app import InspectorApp
from wsinspect.tui.capture_source import CaptureSource
from wsinspect.tui.source import LogLine

IMAGES = Path(__file__).with_name("images")
LARGE, MIDDLE, SMALL = (150, 44), (130, 36), (80, 24)
TIMEOUT_S = 60.0
FONTS = "'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PORT = 8080
SCALE = {"screen": 0.8, "screen-small": 1.0, "verdict": 0.8}
"""Pixels of the PNG for each of the SVG: sharp on GitHub, and still small."""


def main(names: list[str]) -> int:
    """The named pictures, or all of them."""
    IMAGES.mkdir(exist_ok=True)
    wanted = names or list(SCALE)
    for ruled in (False, True):
        pictures = [each for each in PICTURES if each.name in wanted and each.ruled == ruled]
        if pictures:
            with demo_capture(ruled=ruled) as (capture, client):
                for picture in pictures:
                    asyncio.run(take(picture, capture, client))
    for name in wanted:
        paint(IMAGES / f"{name}.svg")
    return 0


@contextmanager
def demo_capture(*, ruled: bool) -> Iterator[tuple[Path, ControlClient]]:
    """The demo's world behind a proxy, under the tutorial's first rule where `ruled`.

    The capture that grows, and the way to the proxy.
    """
    world = DemoThread()
    with tempfile.TemporaryDirectory() as folder:
        capture, rules = Path(folder) / "demo.wscap", Path(folder) / "cheap.yaml"
        rules.write_text(first_rule())
        settings = ProxySettings(
            modes=[f"reverse:http://127.0.0.1:{world.start()}"],
            listen_port=PORT,
            capture=capture,
            rules=[rules] if ruled else [],
        )
        try:
            with launch_proxy(settings.arguments()) as launched, ControlClient(launched.hello.pid) as client:
                world.run_clients(f"ws://127.0.0.1:{PORT}")
                yield capture, client
                world.stop()
        finally:
            world.stop()


def first_rule() -> str:
    """The first file of the tutorial."""
    return Path(__file__).with_name("rules.md").read_text().partition("```yaml\n")[2].partition("```")[0]


async def take(picture: Picture, capture: Path, client: ControlClient) -> None:
    """Wait until there is enough to see, do what the picture asks for, and wait until all of it is drawn."""
    source = CaptureSource(capture, client)
    app = InspectorApp(source)
    async with app.run_test(size=picture.size):
        await until(lambda: app.main.is_mounted and there_is_enough(app))
        picture.then(app)
        await asyncio.sleep(0.5)
        await until(lambda: all_is_drawn(app))
        path = IMAGES / f"{picture.name}.svg"
        app.export_svg(path)
        path.write_text(self_contained(path.read_text()))
    source.close()
    print(path, path.stat().st_size // 1024, "kB")


async def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("waited in vain")
        await asyncio.sleep(0.05)


def there_is_enough(app: InspectorApp) -> bool:
    """A dropped, a failed and a closed connection beside the open ones, and rates of some seconds."""
    rows = app.source.snapshot().connections
    wanted = {ConnectionState.OPEN, ConnectionState.DROPPED, ConnectionState.FAILED, ConnectionState.CLOSED}
    busy = any(sum(row.rate) > 10 and sum(map(bool, row.spark)) >= 6 for row in rows)
    return busy and wanted <= {row.state for row in rows} and app.main.log_list.count > 400


def choose_json(app: InspectorApp) -> None:
    """Pause in the middle of lively traffic, on a compressed change of the order book."""
    wishes = ('"type":"diff"', '"type":"message"', '"type":"tick"')
    choose(app, *(lambda line, wish=wish: wish in line.preview for wish in wishes))


def choose_verdict(app: InspectorApp) -> None:
    """Pause on a message that a rule changed; its detail begins with the verdict."""
    choose(app, lambda line: "modified" in line.flags)


def choose(app: InspectorApp, *wishes: Callable[[LogLine], bool]) -> None:
    """Select a row in the lower half, by the first wish that one of them meets."""
    log = app.main.log_list
    log.set_follow(False)
    lines = [log.line_at(index) for index in log.shown()]
    found = (index for wish in wishes for index in range(len(lines) - 4, 3, -1) if wish(lines[index]))
    log.select(log.shown()[0] + next(found, len(lines) - 1))


def follow(app: InspectorApp) -> None:
    app.main.log_list.set_follow(True)


def all_is_drawn(app: InspectorApp) -> bool:
    """No preview is awaited, and the detail is that of the selected row."""
    log = app.main.log_list
    if any(log.line_at(index).pending for index in log.shown()):
        return False
    if log.follow or not app.main.detail.display:
        return True
    row = log.selected_row
    frame = None if row is None else app.source.detail(row).frame
    shown = str(app.main.detail.border_title)
    return frame is not None and (f"Frame {frame.number} " in shown or "of ours" in shown)


def self_contained(svg: str) -> str:
    """Fonts of the reader's machine in the place of those that Textual would fetch."""
    svg = re.sub(r"@font-face\s*\{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family:\s*Fira Code[^;]*;", f"font-family: {FONTS};", svg)
    svg = re.sub(r"font-family:\s*arial;", "font-family: 'DejaVu Sans', Helvetica, Arial, sans-serif;", svg)
    if outside := re.search(r"(?:url\(|href=)[\"']?https?:[^\"')]*", svg):
        raise SystemExit(f"the picture still refers to {outside[0]}")
    return svg


def paint(svg: Path) -> None:
    """The same as PNG, which every place shows alike."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print("no Chromium here: the PNG stays as it was", file=sys.stderr)
        return
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg.read_text())
    assert box is not None
    width, height = (round(float(number)) for number in box.groups())
    png = svg.with_suffix(".png")
    with tempfile.TemporaryDirectory() as profile:
        page = Path(profile) / "page.html"
        page.write_text(f"<body style='margin:0'>{svg.read_text()}</body>")
        subprocess.run(
            [
                *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *(f"--user-data-dir={profile}", "--default-background-color=00000000"),
                *(f"--window-size={width},{height}", f"--force-device-scale-factor={SCALE[svg.stem]}"),
                *(f"--screenshot={png}", page.as_uri()),
            ],
            check=True,
            capture_output=True,
            timeout=TIMEOUT_S,
        )
    print(png, png.stat().st_size // 1024, "kB")


class Picture(NamedTuple):
    name: str
    size: tuple[int, int]
    then: Callable[[InspectorApp], object]
    ruled: bool = False


PICTURES = (
    Picture("screen", LARGE, choose_json),
    Picture("screen-small", SMALL, follow),
    Picture("verdict", MIDDLE, choose_verdict, ruled=True),
)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
