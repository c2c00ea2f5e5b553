"""A view drawn over its frame: what the window shows."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevid.sinks.contract import View

Image = NDArray[np.uint8]
"""BGR, uint8, `(H, W, 3)`, as OpenCV shows it."""

HEIGHT = 540
FRESH_S = 1.5
"""How long an action that has ended stays in large letters."""
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_WHITE, _GREY, _GREEN, _BLUE, _YELLOW = (240, 240, 240), (160, 160, 160), (120, 220, 90), (230, 180, 60), (60, 200, 250)
_LINE = 24
_NAME, _BAR, _SCORE = 96, 120, 44  # columns of the table of scores, in pixels


def draw(view: View, height: int = HEIGHT) -> Image:
    """The newest frame, `height` pixels high, with scores, going and past actions and figures on it."""
    image = _enlarged(view, height)
    _scores(image, view)
    _actions(image, view)
    _figures(image, view)
    _faults(image, view)
    return image


def _enlarged(view: View, height: int) -> Image:
    if view.frame is None:
        image = np.full((height, height * 4 // 3, 3), 24, np.uint8)
        _text(image, "waiting for the first frame", (20, height // 2), _GREY)
        return image
    tall, wide = view.frame.pixels.shape[:2]
    size = (max(480, round(wide * height / tall)), height)
    bgr = cv2.cvtColor(view.frame.pixels, cv2.COLOR_RGB2BGR)
    return np.asarray(cv2.resize(bgr, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _scores(image: Image, view: View) -> None:
    shown = view.shown_labels()
    _shade(image, 12, 12, _NAME + _BAR + _SCORE + 20, _LINE * len(shown) + 14)
    for row, i in enumerate(shown):
        label, score = view.labels[i], float(view.scores[i])
        colour = _GREEN if label in view.going_on else _GREY if i == view.background else _BLUE
        y, x = 12 + 22 + row * _LINE, 12 + 10 + _NAME
        _text(image, label[:10], (22, y), _GREEN if label in view.going_on else _WHITE if score >= 0.1 else _GREY)
        cv2.rectangle(image, (x, y - 11), (x + _BAR, y - 1), (70, 70, 70), -1)
        cv2.rectangle(image, (x, y - 11), (x + round(_BAR * min(1.0, score)), y - 1), colour, -1)
        if i != view.background:
            on = x + round(_BAR * view.on)
            cv2.line(image, (on, y - 13), (on, y), _WHITE, 1)
        _text(image, f"{score:.2f}", (x + _BAR + 8, y), _GREY)


def _actions(image: Image, view: View) -> None:
    """At the right: what goes on, or has just ended, large; what was before it small."""
    width, top = image.shape[1], 12
    for event in view.actions[:5]:
        now = event.end_s is None
        fresh = top == 12 and (event.end_s is None or view.time_s - event.end_s < FRESH_S)
        text = f"{event.label}  {event.score:.2f}" if fresh else f"{event.start_s:.1f} s  {event.label}"
        scale, thickness, line = (0.9, 2, 44) if fresh else (0.5, 1, 24)
        w = cv2.getTextSize(text, _FONT, scale, thickness)[0][0]
        _shade(image, width - w - 36, top, w + 24, line)
        colour = _GREEN if now else _WHITE if fresh else _GREY
        _text(image, text, (width - w - 24, top + line - (14 if fresh else 7)), colour, scale, thickness)
        top += line + 2 * fresh


def _figures(image: Image, view: View) -> None:
    height, width = image.shape[:2]
    _shade(image, 0, height - 30, width, 30)
    p50, p95 = view.latency_ms["p50"], view.latency_ms["p95"]
    latency = "" if p50 is None or p95 is None else f"latency {p50:.0f} ms, p95 {p95:.0f}"
    dropped = view.frames["dropped"]
    parts = [
        f"{view.captured_hz:.0f} fps",
        f"computed {view.computed_hz:.0f}",
        latency,
        f"dropped {dropped}",
        f"exit {view.exit}",
    ]
    x = 14
    for part in filter(None, parts):
        _text(image, part, (x, height - 10), _YELLOW if dropped and part.startswith("dropped") else _WHITE)
        x += cv2.getTextSize(part, _FONT, 0.5, 1)[0][0] + 22
    source = f"{view.source}  {view.model}"
    w = cv2.getTextSize(source, _FONT, 0.45, 1)[0][0]
    if x + w + 14 < width:
        _text(image, source, (width - w - 14, height - 10), _GREY, 0.45)


def _faults(image: Image, view: View) -> None:
    """What is wrong with the picture, in the line above the figures."""
    for row, fault in enumerate(view.faults):
        y = image.shape[0] - 66 - 30 * row
        w = cv2.getTextSize(fault, _FONT, 0.55, 1)[0][0]
        _shade(image, 12, y, w + 24, 28)
        _text(image, fault, (24, y + 19), _YELLOW, 0.55)


def _shade(image: Image, x: int, y: int, width: int, height: int) -> None:
    """Darken a rectangle, so that light text on it can be read over any picture."""
    part = image[max(0, y) : y + height, max(0, x) : x + width]
    part[...] = (part * np.float32(0.3)).astype(np.uint8)


def _text(
    image: Image, text: str, at: tuple[int, int], colour: tuple[int, int, int], scale: float = 0.5, thickness: int = 1
) -> None:
    cv2.putText(image, text, at, _FONT, scale, colour, thickness, cv2.LINE_AA)
