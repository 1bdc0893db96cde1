"""The detail of what is selected: a line of tabs, and the page below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.strip import Strip
from textual.widget import Widget

from wsinspect.tui.cells import Span, plain, strip_of
from wsinspect.tui.themes import Palette

from .page import Page
from .virtual import VirtualList


class TabLine(Widget):
    """The tabs' names in one line; a click chooses one."""

    DEFAULT_CSS = """
    TabLine {
        height: 1;
    }
    """

    def __init__(self, palette: Palette, **options: Any) -> None:
        super().__init__(**options)
        self.palette = palette
        self.names: tuple[str, ...] = ()
        self.chosen = 0
        self._ends: list[int] = []

    def show(self, names: Sequence[str], chosen: int) -> None:
        """Other tabs, or another one chosen."""
        if (tuple(names), chosen) != (self.names, self.chosen):
            self.names, self.chosen = tuple(names), chosen
            self.refresh()

    def restyle(self, palette: Palette) -> None:
        """Other colours."""
        self.palette = palette
        self.refresh()

    def render_line(self, y: int) -> Strip:
        spans: list[Span] = []
        self._ends = []
        used = 0
        for index, name in enumerate(self.names):
            label = f" {name} "
            spans.append((label, self.palette["tab-on" if index == self.chosen else "tab"]))
            used += len(label)
            self._ends.append(used)
        return strip_of(spans, self.size.width, under=self.rich_style)

    def on_click(self, event: events.Click) -> None:
        for index, end in enumerate(self._ends):
            if event.x < end:
                parent = self.parent
                assert isinstance(parent, DetailPane)
                parent.choose(index)
                return


class PageView(VirtualList):
    """The lines of one page."""

    CURSOR: ClassVar[bool] = False

    page: Page | None = None
    """What is shown."""

    def show(self, page: Page | None, *, keep_top: bool = False) -> None:
        """Another page, from its first line unless the same one came again."""
        self.page = page
        self.top = self.top if keep_top else 0
        self._lay_out()

    def _lay_out(self) -> None:
        self.count = self.page.layout(max(1, self.size.width - 1)) if self.page is not None else 0
        self.top = min(self.top, self.max_top)
        self.invalidate()

    def on_resize(self) -> None:
        self._lay_out()

    def draw_row(self, index: int, width: int) -> Strip:
        assert self.page is not None
        return strip_of([(plain(text), self.palette[role]) for text, role in self.page.line(index)], width)


class DetailPane(Vertical):
    """Tabs and page. The tab that was asked for stays chosen wherever a row has it."""

    def __init__(self, palette: Palette, **options: Any) -> None:
        super().__init__(**options)
        self.palette = palette
        self.pages: list[Page] = []
        """The tabs of what is selected."""
        self.wanted: str | None = None
        """The tab that the user chose last; None shows the first."""
        self._shown: tuple[object, str] | None = None
        self._subject: object = None

    def compose(self) -> ComposeResult:
        yield TabLine(self.palette, id="tabs")
        yield PageView(self.palette, id="page")

    @property
    def tabs(self) -> TabLine:
        return self.query_one(TabLine)

    @property
    def view(self) -> PageView:
        return self.query_one(PageView)

    def show(self, subject: object, title: str, pages: Sequence[Page], subtitle: str = "") -> None:
        """Show pages. The same subject again keeps its place."""
        self._subject, self.pages = subject, list(pages)
        self.border_title, self.border_subtitle = _label(title), _label(subtitle)
        self._refresh_page()

    @property
    def chosen(self) -> int:
        """The index of the tab that is shown."""
        for index, page in enumerate(self.pages):
            if page.name == self.wanted:
                return index
        return 0

    def choose(self, index: int) -> None:
        """Show a tab, and prefer it from now on."""
        if self.pages:
            self.wanted = self.pages[index % len(self.pages)].name
            self._refresh_page()

    def step(self, step: int) -> None:
        """The next tab, or the one before."""
        self.choose(self.chosen + step)

    def _refresh_page(self) -> None:
        chosen = self.chosen
        self.tabs.show([page.name for page in self.pages], chosen)
        page = self.pages[chosen] if self.pages else None
        shown = (self._subject, page.name if page is not None else "")
        self.view.show(page, keep_top=shown == self._shown)
        self._shown = shown

    def restyle(self, palette: Palette) -> None:
        """Other colours."""
        self.palette = palette
        self.tabs.restyle(palette)
        self.view.restyle(palette)

    def text(self) -> str:
        """The page as it stands, for tests and copying."""
        page = self.view.page
        if page is None:
            return ""
        return "\n".join("".join(plain(text) for text, _ in page.line(n)) for n in range(self.view.count))


def _label(text: str) -> str:
    """A border's label: cleaned, and never markup."""
    return plain(text).replace("[", r"\[")
