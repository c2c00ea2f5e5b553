"""Sinks: a slow or broken one harms nobody else; files hold what they should; screens show what there is."""

import _thread
import contextlib
import io
import json
import os
import select
import signal
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from edgevid.errors import InputError
from edgevid.events import Event
from edgevid.frame import Frame
from edgevid.interrupts import counted
from edgevid.notice import Notice
from edgevid.sinks import collected, queued, screens
from edgevid.sinks.collected import Collected
from edgevid.sinks.contract import View
from edgevid.sinks.jsonl import JsonLines
from edgevid.sinks.keyboard import Keyboard
from edgevid.sinks.overlay import draw
from edgevid.sinks.plain import event_line
from edgevid.sinks.queued import QueuedSink
from edgevid.sinks.terminal import LiveTerminal, render
from edgevid.sinks.window import has_display

START = Event("start", "a-0", "left", 0.7, 1.0, None, 1.25, "2026-01-01T00:00:00.000Z", 9.0, "final", 0, "demo", "m@1")
END = replace(START, type="end", score=0.9, end_s=1.6, emitted_s=1.7)


def view(number: int = 0, labels: tuple[str, ...] = ("left", "right", "other"), **changes: object) -> View:
    frames = dict.fromkeys(("captured", "unsampled", "repeated", "gated", "dropped", "computed", "pending"), number)
    scores = np.linspace(0.9, 0.1, len(labels), dtype=np.float32)
    whole = View(
        "demo", "m@1", labels, len(labels) - 1, 0.6, 2.0, scores, ("left",), "final", (START,), frames, 30.0, 10.0,
        {"p50": 8.0, "p95": 12.0, "p99": 20.0}, 2.0,
    )  # fmt: skip
    return replace(whole, **changes)  # type: ignore[arg-type]


class Gated:
    """A sink that hands on nothing before `opened` is set, and fails on an event called `broken`."""

    def __init__(self, *, wants_views: bool = True, error: Exception | None = None) -> None:
        self.wants_views = wants_views
        self.opened = threading.Event()
        self.entered = threading.Event()
        self.seen: list[object] = []
        self._error = error

    def event(self, event: Event) -> None:
        self.entered.set()
        self.opened.wait(60)
        if self._error and event.label == "broken":
            raise self._error
        self.seen.append(event.id)

    def notice(self, notice: Notice) -> None:
        self.seen.append(notice.notice)

    def view(self, view: View) -> None:
        self.entered.set()
        self.opened.wait(60)
        self.seen.append(view.frames["captured"])

    def close(self) -> None:
        self.seen.append("closed")


def test_a_slow_sink_loses_old_views_counted_and_no_event() -> None:
    sink = Gated()
    queue = QueuedSink(sink, "test", views=2)
    queue.view(view(0))
    assert sink.entered.wait(60)  # one is in its hands, from now on they wait
    for number in range(1, 6):
        queue.view(view(number))
        queue.event(replace(START, id=f"e{number}"))
    sink.opened.set()
    queue.close()
    assert sink.seen == [0, "e1", "e2", "e3", "e4", "e5", 4, 5, "closed"]
    assert (queue.dropped_views, queue.lost_events) == (3, 0)
    queue.check()


def test_a_sink_that_wants_no_views_is_not_woken_by_them() -> None:
    sink = Gated(wants_views=False)
    sink.opened.set()
    queue = QueuedSink(sink, "test")
    queue.view(view())
    queue.close()
    assert sink.seen == ["closed"]


def test_events_wait_for_room_and_are_not_dropped() -> None:
    sink = Gated()
    queue = QueuedSink(sink, "test", events=2)
    giver = threading.Thread(target=lambda: [queue.event(replace(START, id=str(n))) for n in range(9)], daemon=True)
    giver.start()
    assert sink.entered.wait(60)
    giver.join(0.05)
    assert giver.is_alive()  # it waits: one in hand, two queued
    sink.opened.set()
    giver.join(60)
    queue.close()
    assert sink.seen == [*map(str, range(9)), "closed"]


def test_a_sink_that_hangs_is_given_up_soon_after_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queued, "GIVE_UP_S", 0.1)
    sink = Gated()
    queue = QueuedSink(sink, "events")
    queue.event(START)
    assert sink.entered.wait(60)
    timer = threading.Timer(0.2, _thread.interrupt_main)
    with counted() as interrupts:
        timer.start()
        queue.close()  # for ever, if nobody asks for an end
        assert interrupts() == 1
    assert queue.lost_events == 1
    sink.opened.set()


def test_a_sink_that_hangs_is_given_up_and_what_it_did_not_take_is_counted() -> None:
    sink = Gated()
    queue = QueuedSink(sink, "events to x")
    for number in range(3):
        queue.event(replace(START, id=str(number)))
    assert sink.entered.wait(60)
    queue.close(timeout_s=0.01)
    assert queue.lost_events == 3  # the one that it was given last, too: it may hang for ever
    with pytest.raises(InputError, match="3 events to x were not written in time"):
        queue.check()
    sink.opened.set()


def test_an_error_of_a_sink_is_kept_and_told_and_stops_nobody() -> None:
    sink = Gated(error=OSError(28, "No space left on device"))
    sink.opened.set()
    queue = QueuedSink(sink, "events to x")
    queue.event(replace(START, label="broken"))
    queue.close()
    queue.event(START)
    assert queue.lost_events == 2
    with pytest.raises(InputError, match="cannot write events to x: No space left on device"):
        queue.check()
    assert sink.seen[-1] == "closed"  # a file is closed, a terminal has its cursor again
    gone = Gated(error=BrokenPipeError())
    gone.opened.set()
    queue = QueuedSink(gone, "events to -")
    queue.event(replace(START, label="broken"))
    queue.close()
    queue.check()  # whoever read it has had enough


def test_json_lines_are_there_as_soon_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"of": "an earlier run"}\n')
    sink = JsonLines.open(str(path))
    assert path.read_text() == ""
    sink.event(replace(START, label="größer"))
    assert json.loads(path.read_text(encoding="utf-8"))["label"] == "größer"
    sink.event(END)
    assert [json.loads(line)["type"] for line in path.read_text(encoding="utf-8").splitlines()] == ["start", "end"]
    sink.close()


def test_json_lines_refuse_what_would_be_lost(tmp_path: Path) -> None:
    video = tmp_path / "video.mp4"
    video.write_bytes(b"\0\0\0\x18ftyp")
    link = tmp_path / "link.jsonl"
    link.symlink_to(video)
    for target, sources, reason in (
        (tmp_path, (), "Is a directory"),
        (tmp_path / "no" / "events", (), "No such file or directory"),
        (video / "events", (), "Not a directory"),
        (link, (str(video),), "it is the source"),
        (video, (), "holds no events"),
    ):
        with pytest.raises(InputError, match=reason):
            JsonLines.check(str(target), sources=sources)
    assert video.stat().st_size == 8
    JsonLines.check(str(video), force=True)
    assert video.stat().st_size == 8
    JsonLines.open(str(video)).close()
    assert video.stat().st_size == 0


@pytest.mark.parametrize("text", ["# Notes\n", "file,label\na.mp4,up\n", "{}\n", "[1]\n", '{"type": "start"'])
def test_json_lines_replace_no_text_of_others(tmp_path: Path, text: str) -> None:
    (tmp_path / "notes").write_text(text)
    with pytest.raises(InputError, match="holds no events"):
        JsonLines.check(str(tmp_path / "notes"))
    assert (tmp_path / "notes").read_text() == text


def test_json_lines_replace_their_own(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    JsonLines.check(str(path))
    assert not path.exists()
    for _ in range(2):
        sink = JsonLines.open(str(path))
        sink.event(START)
        sink.close()
        JsonLines.check(str(path))
    assert len(path.read_text().splitlines()) == 1
    path.write_text("")
    JsonLines.check(str(path))
    link = tmp_path / "link.jsonl"
    link.symlink_to(tmp_path / "later.jsonl")
    JsonLines.check(str(link))
    JsonLines.open(str(link)).close()
    assert (tmp_path / "later.jsonl").exists()


def test_standard_output_stays_open(capsys: pytest.CaptureFixture[str]) -> None:
    sink = JsonLines.open("-")
    sink.event(START)
    sink.close()
    print("still here")
    first, second = capsys.readouterr().out.splitlines()
    assert json.loads(first)["id"] == "a-0"
    assert second == "still here"


def test_what_is_collected_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collected, "MOST", 2)
    sink = Collected()
    for number in range(4):
        sink.event(START)
        sink.event(replace(END, id=str(number)))
    assert [event.id for event in sink.events] == ["2", "3"]
    assert sink.left_out == 2


def test_plain_lines_say_when_what_and_how_sure() -> None:
    assert event_line(START) == "    1.25 s  start  left"
    assert event_line(END) == "    1.70 s  end    left  1.00 to 1.60 s, score 0.90"


def printed(of: View, width: int, height: int | None = None) -> list[str]:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(render(of, width, height))
    return console.export_text().splitlines()


@pytest.mark.parametrize("width", [48, 60, 80, 100, 200])
def test_the_terminal_view_fits_and_shows_everything(width: int) -> None:
    events = (START, replace(END, id="a-1", label="right"), replace(START, id="a-2", label="left"))
    lines = printed(view(7, events=events), width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for part in ("demo", "m@1", "left", "right", "other", "0.90", "0.4 s ago", "now", "dropped 7", "exit final"):
        assert part in text
    bars = {line.split()[1]: line.count("█") for line in lines if "█" in line}
    assert bars["left"] == 21
    assert bars["right"] == 12


LONG = tuple(f"{word} with both hands" for word in ("push", "pull", "turn", "wave", "other"))
GESTURES = ("caret", "circle", "delete", "down", "left", "right", "square", "star", "tick", "up", "other")


@pytest.mark.parametrize("labels", [GESTURES, LONG, tuple(f"action {n}" for n in range(400))])
@pytest.mark.parametrize(
    ("time_s", "faults"), [(20.0, ()), (7300.0, ("the picture is nearly black, and has been so for quite a while",))]
)
def test_from_40_columns_and_8_lines_on_an_event_a_bar_and_figures_are_whole(
    labels: tuple[str, ...], time_s: float, faults: tuple[str, ...]
) -> None:
    ended = [
        replace(END, id=f"a-{n}", label=labels[n], start_s=time_s - 4.6 * n, end_s=time_s - 4.6 * n + 2.3)
        for n in (4, 3, 2, 1)
    ]
    now = view(5, labels, events=tuple(ended), time_s=time_s, faults=faults, latency_ms={"p50": 9.0, "p95": 205.0})
    for width in (40, 41, 47, 59, 60, 66, 75, 76, 80, 140):
        for height in (8, 9, 10, 12, 15, 18, 24, 60):
            lines = printed(now, width, height)
            text = "\n".join(lines)
            assert len(lines) <= height, (width, height, text)
            assert {len(line) for line in lines} == {min(width, 100)}, (width, height, text)
            assert len([line for line in lines if " 0.90 " in line and labels[1][:4] in line]) >= 1, text
            assert "█" in text, text
            assert "205 ms" in text, text
            assert "5" in next(line for line in lines if "drop" in line), text
            figures = [line for line in lines if " ms" in line or " fps" in line or "drop" in line]
            assert not any("…" in line for line in figures), text


def test_where_it_is_low_events_come_before_bars() -> None:
    lines = printed(view(labels=GESTURES, events=(replace(END, label="circle"),), going_on=()), 40, 10)
    assert len(lines) <= 10
    assert "1.0–1.6 circle 0.90  0.4 s ago" in lines[1]
    assert all("█" in line for line in lines[2:7])


def test_a_bar_and_an_event_stay_in_their_columns() -> None:
    seen = set()
    for end_s, ago_s in ((1.6, 0.4), (13.8, 10.0), (99.9, 300.0), (1000.0, 3300.0)):
        event = replace(END, start_s=end_s - 1, end_s=end_s)
        (line,) = (line for line in printed(view(events=(event,), time_s=end_s + ago_s), 80, 24) if "–" in line)
        seen.add((line.index("0.90"), line.rindex("left"), line.rindex("0.90"), line.index("ago")))
    assert len(seen) == 1


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("way", [(80, 24), (40, 10)])
def test_another_size_leaves_no_ghost(way: tuple[int, int]) -> None:
    file = Terminal()
    console = Console(file=file, force_terminal=True, width=60, height=15, legacy_windows=False)
    terminal = LiveTerminal(console)
    terminal.view(view())
    terminal.view(view())
    cleared = file.getvalue().count("\x1b[2J")
    console.width, console.height = way
    terminal.view(view())
    assert file.getvalue().count("\x1b[2J") == cleared + 1
    *before, after = file.getvalue().split("\x1b[H")
    assert all(frame.count("\n") < 15 for frame in before)
    assert after.count("\n") < way[1]  # a new line on the last would move everything up
    with terminal.left():
        assert file.getvalue().endswith("\x1b[?25h\x1b[?1049l")
    terminal.view(view())
    assert file.getvalue().count("\x1b[?1049h") == 2
    terminal.close()
    assert file.getvalue().count("\x1b[?1049l") == 2
    assert "╰" in file.getvalue().rpartition("\x1b[?1049l")[2]


def test_many_labels_and_no_events_yet() -> None:
    many = view(labels=tuple(f"action {n}" for n in range(400)), events=(), going_on=(), exit="")
    nothing = replace(many, latency_ms={"p50": None, "p95": None, "p99": None})
    lines = printed(nothing, 80)
    assert len(lines) < 24
    assert "no event yet" in "\n".join(lines)
    assert draw(nothing).shape == (540, 720, 3)


def test_a_source_cannot_forge_the_view() -> None:
    text = "\n".join(printed(view(source="[red]x[/red].mp4"), 80))
    assert "[red]x[/red].mp4" in text


def test_a_source_is_told_and_not_obeyed() -> None:
    text = "".join(printed(view(source="a\x1b[2J\nb.mp4", faults=("a\x1b[2J lost",)), 80))
    assert "a\\x1b[2J\\nb.mp4" in text
    assert "! a\\x1b[2J lost" in text


@pytest.mark.parametrize(
    ("typed", "closed"),
    [
        ([b"q"], True),
        ([b"make", b"ls\n"], False),
        ([b"xq"], True),
        ([b"\x1b", b""], True),
        ([b"\x1b\x1b"], True),
        ([b"\x1b", b"[A", b""], False),
        ([b"\x1b[", b"1;5q", b""], False),
        ([b"\x1b[A\x1bOP\x1b[15~\x1bq", b""], False),
        ([b"\x1b["], False),
        ([b"\x1b[", b"", b""], False),
        (["éQß".encode()], False),
    ],
)
def test_keys_are_taken_and_q_and_escape_end_it(
    typed: list[bytes], closed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    termios = pytest.importorskip("termios")
    ours, theirs = os.openpty()
    found, handler = termios.tcgetattr(ours), signal.getsignal(signal.SIGTSTP)
    with open(theirs) as stdin:  # noqa: PTH123
        monkeypatch.setattr("sys.stdin", stdin)
        keyboard = Keyboard(contextlib.nullcontext)
        keyboard.look()
        assert not termios.tcgetattr(ours)[3] & (termios.ECHO | termios.ICANON)
        assert termios.tcgetattr(ours)[3] & termios.ISIG  # Ctrl-C is as ever
        for part in typed:
            if part:
                os.write(ours, part)
                assert select.select([theirs], [], [], 60)[0]
            keyboard.look()
        assert keyboard.closed is closed
        os.write(ours, b"rm")
        assert select.select([theirs], [], [], 60)[0]
        keyboard.close()
        assert not select.select([theirs], [], [], 0)[0]  # nothing is left for a shell
    assert termios.tcgetattr(ours) == found
    assert signal.getsignal(signal.SIGTSTP) is handler
    os.close(ours)


def test_a_keyboard_that_is_gone_or_none_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("termios")
    ours, theirs = os.openpty()
    with open(theirs) as stdin:  # noqa: PTH123
        monkeypatch.setattr("sys.stdin", stdin)
        gone = Keyboard(contextlib.nullcontext)
        gone.look()
        os.close(ours)
        gone.look()
        gone.close()
    for file in (None, io.StringIO("q")):
        monkeypatch.setattr("sys.stdin", file)
        none = Keyboard(contextlib.nullcontext)
        none.look()
        none.close()
        assert not none.closed


def test_a_terminal_that_never_saw_a_view_leaves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = LiveTerminal(Console(force_terminal=True))
    terminal.close()
    assert capsys.readouterr().out == ""


def test_the_overlay_draws_bars_as_long_as_the_scores_and_leaves_the_frame_alone() -> None:
    pixels = np.full((240, 320, 3), 200, np.uint8)
    image = draw(view(frame=Frame(pixels, 0.0, 0)))
    assert image.shape == (540, 720, 3)
    assert (pixels == 200).all()
    assert (image[300, 300] == 200).all()  # in the middle the picture is as it was
    bar = image[12 + 22 - 6, 118:239]
    green = (bar[:, 1].astype(int) - bar[:, 0]) > 80
    assert green.sum() == pytest.approx(0.9 * 120, abs=3)
    waiting = draw(view(frame=None))
    assert waiting.shape == (540, 720, 3)


@pytest.mark.parametrize("display", ["", ":4711", "nonsense", "localhost:4711", ":x.0"])
def test_without_a_display_there_is_no_window(monkeypatch: pytest.MonkeyPatch, display: str) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("DISPLAY", display)
    assert not has_display()
    assert screens.window(None) is None
    assert screens.window(False) is None
    with pytest.raises(InputError, match="needs a display"):
        screens.window(True)


def test_events_on_standard_output_have_it_for_themselves() -> None:
    assert screens.terminal(stdout_is_taken=True) is None
    assert screens.terminal(stdout_is_taken=False) is not None


@pytest.mark.skipif(os.name == "nt", reason="no such locks on Windows")
def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    file = tmp_path / "e.jsonl"
    first = JsonLines.open(str(file))
    first.event(START)
    with pytest.raises(InputError, match=r"cannot write events to .*e\.jsonl: another run is writing it"):
        JsonLines.open(str(file))
    first.event(START)
    first.close()
    assert file.read_text().count("\n") == 2
    JsonLines.open(str(file)).close()
    assert file.read_text() == ""


def test_a_file_that_is_cut_short_while_it_grows_has_no_hole(tmp_path: Path) -> None:
    file = tmp_path / "e.jsonl"
    sink = JsonLines.open(str(file))
    for _ in range(3):
        sink.event(START)
    os.truncate(file, 0)  # as logrotate's copytruncate does
    sink.event(START)
    sink.close()
    assert json.loads(file.read_text())["type"] == "start"
