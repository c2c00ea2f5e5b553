"""What a person sees in a terminal: a view that redraws itself in place."""

import math

from rich.box import ROUNDED
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Column, Table
from rich.text import Text

from edgevid.events import Event
from edgevid.notice import Notice
from edgevid.sinks.contract import View

BAR = 24
NARROW = 76
"""Columns below which the events stand under the bars instead of beside them."""
_EIGHTHS = " ▏▎▍▌▋▊▉"


class LiveTerminal:
    """A view of the run in place: scores as bars, the last events, figures. The last view stays when it closes."""

    wants_views = True

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._started = False

    def event(self, event: Event) -> None:
        """Events are seen in the next view."""

    def notice(self, notice: Notice) -> None:
        """Faults are seen in the next view."""

    def view(self, view: View) -> None:
        """Draw."""
        if not self._started:
            self._live.start()
            self._started = True
        self._live.update(render(view, self._live.console.width), refresh=True)

    def close(self) -> None:
        """Leave the last view, and the cursor, as they should be."""
        if self._started:
            self._live.stop()


def render(view: View, width: int) -> RenderableType:
    """A view as a panel of at most `width` columns."""
    bars, events = _bars(view), _events(view)
    body: RenderableType
    if width < NARROW:
        body = Group(bars, Text(), events)
    else:
        body = Table.grid(Column(), Column(ratio=1), padding=(0, 4, 0, 0), expand=True)
        body.add_row(bars, events)
    faults = [Text(f"! {fault}", "bold yellow") for fault in view.faults]
    return Panel(
        Group(body, Text(), *faults, _figures(view, 2 if width < NARROW else 4)),
        title=Text.assemble(("edgevid ", "bold"), view.source),
        title_align="left",
        subtitle=Text(view.model, "dim"),
        subtitle_align="right",
        border_style="bright_black",
        box=ROUNDED,
        padding=(1, 2),
        width=min(width, 100),
    )


def _bars(view: View) -> Table:
    table = Table.grid(
        Column(max_width=20, no_wrap=True, overflow="ellipsis"), Column(), Column(justify="right"), padding=(0, 1)
    )
    for i in view.shown_labels():
        label, score = view.labels[i], float(view.scores[i])
        going_on = label in view.going_on
        style = "bold green" if going_on else "bright_black" if i == view.background else "cyan"
        name = Text(label, "bold green" if going_on else "bright_black" if score < 0.1 or i == view.background else "")
        table.add_row(
            name, _bar(score, style, None if i == view.background else view.on), Text(f"{score:.2f}", name.style)
        )
    return table


def _bar(score: float, style: str, mark: float | None) -> Text:
    """`BAR` cells, filled to an eighth of a cell; a thin line where an action starts."""
    eighths = round(min(max(score, 0.0), 1.0) * BAR * 8)
    cells = "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
    bar = Text(cells, style)
    empty = BAR - len(cells)
    if mark is not None and BAR - empty <= (at := min(BAR - 1, math.floor(mark * BAR))):
        before = at - len(cells)
        bar.append("─" * before, "grey23").append("╎", "bright_black").append("─" * (empty - before - 1), "grey23")
    else:
        bar.append("─" * empty, "grey23")
    return bar


def _events(view: View) -> Table:
    """One row for each of the last actions, newest first: when, what, how sure, how long ago."""
    table = Table.grid(
        Column(justify="right"),
        Column(max_width=20, no_wrap=True, overflow="ellipsis"),
        Column(),
        Column(),
        padding=(0, 1),
    )
    actions = view.actions
    for event in actions:
        going_on = event.end_s is None
        ago_s = view.time_s - (event.end_s if event.end_s is not None else event.start_s)
        table.add_row(
            Text(f"{event.start_s:.1f}" + ("" if going_on else f" to {event.end_s:.1f}") + " s", "bright_black"),
            Text(event.label, "bold green" if going_on else "bold"),
            Text(f"{event.score:.2f}", "green" if going_on else ""),
            Text("now" if going_on else f"{_age(ago_s)} ago", "green" if going_on else "bright_black"),
        )
    if not actions:
        table.add_row("", Text("no event yet", "bright_black"), "", "")
    return table


def _figures(view: View, columns: int) -> Table:
    """The figures under the rest, in rows of so many."""
    p50, p95 = view.latency_ms["p50"], view.latency_ms["p95"]
    dropped = view.frames["dropped"]
    figures = [
        _figure("captured", f"{view.captured_hz:.1f}", "fps"),
        _figure("computed", f"{view.computed_hz:.1f}", "fps"),
        _figure("latency", "–" if p50 is None or p95 is None else f"{p50:.0f}, p95 {p95:.0f}", "ms"),
        _figure("dropped", str(dropped), "", "bold yellow" if dropped else ""),
        _figure("time", _age(view.time_s), ""),
        _figure("frames", str(view.frames["captured"]), ""),
        _figure("exit", view.exit or "–", ""),
        _figure("repeated", str(view.frames["repeated"]), ""),
    ]
    table = Table.grid(*[Column(ratio=1, no_wrap=True) for _ in range(columns)], expand=True)
    for first in range(0, len(figures), columns):
        table.add_row(*figures[first : first + columns])
    return table


def _figure(name: str, value: str, unit: str, style: str = "") -> Text:
    return Text.assemble((f"{name} ", "bright_black"), (value, style), (f" {unit}", "bright_black"))


def _age(seconds: float) -> str:
    """`3.4 s`, `2 min 05 s`, `1 h 02 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
