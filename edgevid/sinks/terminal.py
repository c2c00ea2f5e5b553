"""What a person sees in a terminal: a view that redraws itself in place."""

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.box import ROUNDED
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.control import Control
from rich.panel import Panel
from rich.segment import ControlType, Segment
from rich.table import Column, Table
from rich.text import Text

from edgevid.errors import one_line
from edgevid.events import Event
from edgevid.notice import Notice
from edgevid.sinks.contract import View
from edgevid.sinks.keyboard import in_front

BAR = 24
WIDE = 76
"""Columns from which the events stand beside the bars; below, only where they do not fit under them."""
MOST_COLUMNS = 100
_LABEL = 20
_LABELS = 12
_EVENTS = 4
"""Rows of events for which there is room at least, so that nothing moves when the first ones come."""
_BESIDE = ((BAR, 0), (16, 0), (16, 1), (10, 1), (10, 2))
"""Cells of a bar and how short an event is told, in the order in which they are tried side by side."""
_GAP = 3
_FIRST = ("latency", "computed", "dropped", "captured", "time", "frames", "exit", "repeated")
"""The figures in the order in which they are worth a row."""
_EIGHTHS = " ▏▎▍▌▋▊▉"


class LiveTerminal:
    """A view of the run in place: scores as bars, the last events, figures. The last view stays when it closes.

    It has a screen of its own meanwhile. In place among other lines it would leave a ghost of itself wherever a
    terminal wraps its lines anew when it becomes narrower.
    """

    wants_views = True

    def __init__(self, console: Console) -> None:
        self._console = console
        self._drawing = threading.Lock()
        self._shown = False
        self._last: View | None = None
        self._shape = (0, 0, 0)

    def event(self, event: Event) -> None:
        """Events are seen in the next view."""

    def notice(self, notice: Notice) -> None:
        """Faults are seen in the next view."""

    def view(self, view: View) -> None:
        """Draw, unless the terminal is somebody else's now."""
        with self._drawing:
            self._last = view
            if not self._is_in_front():
                self._shown = False  # whoever is in front has left it
                return
            with self._console:  # what is drawn is written at once
                if not self._shown:
                    self._enter()
                width, height = self._console.size
                whole = render(view, width, height)
                lines = self._console.render_lines(whole, self._console.options, pad=False)[:height]
                shape = (width, height, len(lines))
                if shape != self._shape:
                    self._console.control(Control.clear())
                    self._shape = shape
                self._console.control(Control.home())
                self._console.print(_InPlace(lines), end="")

    def close(self) -> None:
        """Leave the last view, and the cursor, as they should be."""
        with self._drawing:
            self._leave()
            if self._last is not None:
                width, height = self._console.size
                self._console.print(render(self._last, width, height))

    @contextmanager
    def left(self) -> Iterator[None]:
        """Inside, the terminal is as it was before the first view, and nothing is drawn."""
        got = self._drawing.acquire(timeout=1)  # not for ever: a terminal may take nothing more
        try:
            if got:
                self._leave()
            yield
        finally:
            if got:
                self._drawing.release()

    def _enter(self) -> None:
        self._console.set_alt_screen(True)
        self._console.show_cursor(False)
        self._shown, self._shape = True, (0, 0, 0)

    def _leave(self) -> None:
        if self._shown:
            self._shown = False
            self._console.show_cursor(True)
            self._console.set_alt_screen(False)

    def _is_in_front(self) -> bool:
        try:
            return in_front(self._console.file.fileno())
        except (OSError, ValueError):  # no file of the system's
            return True


class _InPlace:
    """Lines over others, the last without an end: on a terminal's last that would move all of them up."""

    def __init__(self, lines: list[list[Segment]]) -> None:
        self._lines = lines

    def __rich_console__(self, _console: Console, _options: ConsoleOptions) -> RenderResult:
        for number, line in enumerate(self._lines):
            if number:
                yield Segment.line()
            # Before the line: after one that is full the cursor still stands on its last cell.
            yield Control((ControlType.ERASE_IN_LINE, 2))
            yield from line


def render(view: View, width: int, height: int | None = None) -> RenderableType:
    """A view as a panel of at most `width` columns and `height` lines, from 40 columns and 8 lines on.

    What there is no room for goes in this order: the space around, the lesser figures, the unlikeliest labels. Where
    it is lowest the events stay, for they are what a person looks for.
    """
    width = min(width, MOST_COLUMNS)
    height = 1000 if height is None else height
    sides = 2 if width >= 60 else 1
    inner = max(1, width - 2 - 2 * sides)
    columns = 4 if inner >= 68 else 2
    label = min(_LABEL, max((cell_len(name) for name in view.labels), default=1))
    bars, events = min(len(view.labels), _LABELS), max(_EVENTS, len(view.actions))
    faults = view.faults[: max(1, (height - 6) // 3)]
    lines = max(1, height - 2 - len(faults))  # for the rest

    figures = -(-len(_FIRST) // columns)
    beside = next(
        (way for way in _BESIDE if _bars_width(label, way[0]) + _GAP + _events_width(label, way[1]) <= inner), None
    )
    if beside and (width >= WIDE or bars + 1 + events + 1 + figures > lines):
        needed = max(bars, events)
    else:
        beside, needed = None, bars + 1 + events
    spare = lines - needed - figures
    if spare < 0 and columns == 2:  # a row of three is worth more than one of two
        columns = 3
    figures = max(1, min(figures, lines - needed))
    if figures < 3 and columns == 2:
        columns = 3
    apart = spare >= 1
    around = 1 if spare >= 3 else 0
    room = max(1, lines - figures - apart)

    body: RenderableType
    if beside:
        body = Table.grid(Column(), Column(ratio=1), padding=(0, _GAP, 0, 0), expand=True, pad_edge=False)
        body.add_row(_bars(view, label, beside[0], room), _events(view, label, beside[1], room))
    else:
        bar = max(4, min(BAR, inner - _bars_width(label, 0)))
        short = next((n for n in (0, 1) if _events_width(label, n) <= inner), 2)
        if room >= needed:
            body = Group(_bars(view, label, bar, bars), Text(), _events(view, label, short, events))
        else:
            least = max(1, min(len(view.actions), room // 2))
            body = Group(_events(view, label, short, least), _bars(view, label, bar, room - least))
            if room - least < 1:
                body = _events(view, label, short, least)
    told = [Text(f"! {one_line(fault)}", "bold yellow", no_wrap=True, overflow="ellipsis") for fault in faults]
    return Panel(
        Group(body, *([Text()] if apart else []), *told, _figures(view, inner, columns, figures)),
        title=Text.assemble(("edgevid ", "bold"), one_line(view.source)),
        title_align="left",
        subtitle=Text(one_line(view.model), "dim"),
        subtitle_align="right",
        border_style="bright_black",
        box=ROUNDED,
        padding=(around, sides),
        width=width,
    )


def _bars_width(label: int, bar: int) -> int:
    return label + 1 + bar + 1 + len("0.00")


def _bars(view: View, label_width: int, bar: int, rows: int) -> Table:
    table = Table.grid(
        Column(width=label_width, no_wrap=True, overflow="ellipsis"),
        Column(no_wrap=True),
        Column(justify="right", no_wrap=True),
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for i in view.shown_labels(min(rows, _LABELS)):
        label, score = view.labels[i], float(view.scores[i])
        going_on = label in view.going_on
        style = "bold green" if going_on else "bright_black" if i == view.background else "cyan"
        name = Text(label, "bold green" if going_on else "bright_black" if score < 0.1 or i == view.background else "")
        mark = None if i == view.background else view.on
        table.add_row(name, _bar(score, style, mark, bar), Text(f"{score:.2f}", name.style))
    return table


def _bar(score: float, style: str, mark: float | None, width: int) -> Text:
    """`width` cells, filled to an eighth of a cell; a thin line where an action starts."""
    eighths = round(min(max(score, 0.0), 1.0) * width * 8)
    cells = "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
    bar = Text(cells, style)
    empty = width - len(cells)
    if mark is not None and width - empty <= (at := min(width - 1, math.floor(mark * width))):
        before = at - len(cells)
        bar.append("─" * before, "grey23").append("╎", "bright_black").append("─" * (empty - before - 1), "grey23")
    else:
        bar.append("─" * empty, "grey23")
    return bar


_EVENT_WIDTHS = ((11, None, 4, 10), (5, None, 4, 10), (None, 4, 6))
"""Columns of an event, from its long form to its short: when, what (a label's), how sure, how long ago."""


def _events_width(label: int, short: int) -> int:
    widths = [label if width is None else width for width in _EVENT_WIDTHS[short]]
    return sum(widths) + len(widths) - 1


def _events(view: View, label_width: int, short: int, rows: int) -> Table:
    """One row for each of the last actions, newest first: when, what, how sure, how long ago.

    `short` 1 leaves the end of an action out, 2 its beginning too. Columns have one width whatever is in them, so that
    nothing moves; only times of many hours take more.
    """
    actions = view.actions[:rows]
    if not actions:
        nothing = Table.grid(Column(no_wrap=True, overflow="ellipsis"))
        nothing.add_row(Text("no event yet", "bright_black"))
        return nothing
    told = Column(min_width=label_width, max_width=label_width, no_wrap=True, overflow="ellipsis")
    widths = [width for width in _EVENT_WIDTHS[short] if width is not None]
    when, sure, ago = [None] * (3 - len(widths)) + [
        Column(min_width=width, justify="right", no_wrap=True) for width in widths
    ]
    table = Table.grid(*(column for column in (when, told, sure, ago) if column), padding=(0, 1, 0, 0), pad_edge=False)
    for event in actions:
        going_on = event.end_s is None
        ago_s = view.time_s - (event.end_s if event.end_s is not None else event.start_s)
        began = _clock(event.start_s)
        went = f"{began}–{'' if event.end_s is None else _clock(event.end_s)}"
        style = "green" if going_on else "bright_black"
        cells = [
            Text(began if short else went, "bright_black"),
            Text(one_line(event.label), "bold green" if going_on else "bold"),
            Text(f"{event.score:.2f}", "green" if going_on else ""),
            Text("now" if going_on else _ago(ago_s) + ("" if short == 2 else " ago"), style),
        ]
        table.add_row(*cells[short == 2 :])
    return table


def _figures(view: View, width: int, columns: int, rows: int) -> Table:
    """The figures under the rest, each as long as its column allows; where rows are few, those that matter most."""
    p50, p95 = view.latency_ms["p50"], view.latency_ms["p95"]
    dropped, taken = view.frames["dropped"], view.frames
    captured, computed = f"{view.captured_hz:.1f}", f"{view.computed_hz:.1f}"
    latency = [("latency", "–", "ms")]
    if p50 is not None and p95 is not None:
        both = f"{p50:.0f}/{p95:.0f}"
        latency = [
            ("latency", f"{p50:.0f}, p95 {p95:.0f}", "ms"),
            *((name, both, "ms") for name in ("latency", "lat.", "")),
        ]
    told = {
        "captured": [
            ("captured", captured, "fps"),
            ("captured", captured, ""),
            ("in", captured, "fps"),
            ("in", captured, ""),
        ],
        "computed": [("computed", computed, "fps"), ("computed", computed, ""), ("", computed, "fps")],
        "latency": latency,
        "dropped": [("dropped", str(dropped), ""), ("drop", str(dropped), "")],
        "time": [("time", _age(view.time_s), ""), ("time", _ago(view.time_s), ""), ("", _ago(view.time_s), "")],
        "frames": [("frames", str(taken["captured"]), ""), ("", str(taken["captured"]), "frames")],
        "exit": [("exit", view.exit or "–", ""), ("", view.exit or "–", "")],
        "repeated": [("repeated", str(taken["repeated"]), ""), ("rep.", str(taken["repeated"]), "")],
    }
    wanted = _FIRST[: columns * rows]
    names = [name for name in told if name in wanted]
    each = max(1, (width - 2 * (columns - 1)) // columns)
    table = Table.grid(
        *[Column(width=each, no_wrap=True, overflow="ellipsis") for _ in range(columns)],
        padding=(0, 2, 0, 0),
        pad_edge=False,
    )
    cells = [_figure(told[name], each, "bold yellow" if name == "dropped" and dropped else "") for name in names]
    for first in range(0, len(cells), columns):
        table.add_row(*cells[first : first + columns])
    return table


def _figure(ways: Sequence[tuple[str, str, str]], width: int, style: str) -> Text:
    """The first of the ways to tell a figure (name, value, unit) that fits; else the last."""
    for name, value, unit in ways:
        told = Text.assemble(
            (f"{name} " if name else "", "bright_black"), (value, style), (f" {unit}" if unit else "", "bright_black")
        )
        if told.cell_len <= width:
            break
    return told


def _clock(seconds: float) -> str:
    """`3.4`, `12:05`, `1:02:05`: a moment of the source's clock in as few columns as tell it apart."""
    if seconds < 100:
        return f"{seconds:.1f}"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _ago(seconds: float) -> str:
    """`3.4 s`, `2 min`, `1 h`: at most six columns."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 59.5 * 60 else f"{seconds / 3600:.0f} h"


def _age(seconds: float) -> str:
    """`3.4 s`, `2 min 05 s`, `1 h 02 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
