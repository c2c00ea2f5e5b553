"""A page to look at: plain HTML with its style inside, readable offline in light and dark, images beside it.

Everything here takes text as it is and escapes it; what it gives is HTML.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from edgevid.files import SIGN

Cell = str | tuple[str, str]
"""Text of a table's cell, or that and a smaller remark after it."""


def document(title: str, head: Sequence[str], sections: Mapping[str, str]) -> str:
    """The whole page. `head` is HTML under the title; `sections`: heading -> HTML, those that are empty left out."""
    shown = {name: html for name, html in sections.items() if html}
    style = files("edgevid_train.evaluate").joinpath("page.css").read_text(encoding="utf-8")
    anchors = anchors_of(shown)
    links = "".join(f'<li><a href="#{anchor}">{escape(name)}</a></li>' for name, anchor in anchors.items())
    body = "".join(
        f'<section id="{anchors[name]}">\n<h2>{escape(name)}</h2>\n{html}</section>\n' for name, html in shown.items()
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"{SIGN}\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"<header>\n<h1>{escape(title)}</h1>\n{''.join(head)}\n<nav><ul>{links}</ul></nav>\n</header>\n"
        f"<main>\n{body}</main>\n</body>\n</html>\n"
    )


def anchors_of(names: Iterable[str]) -> dict[str, str]:
    """What links to sections are called, each another: letters and digits of its heading, with hyphens between."""
    anchors: dict[str, str] = {}
    for name in names:
        words = "".join(c if c.isalnum() else " " for c in name.lower()).split()
        anchor = wanted = "-".join(words) or "section"
        number = 1
        while anchor in anchors.values():
            number += 1
            anchor = f"{wanted}-{number}"
        anchors[name] = anchor
    return {name: escape(anchor) for name, anchor in anchors.items()}


def paragraph(text: str, kind: str = "") -> str:
    """`kind`: `quiet` or `note`."""
    return f'<p class="{kind}">{escape(text)}</p>\n' if kind else f"<p>{escape(text)}</p>\n"


def heading(text: str) -> str:
    return f"<h3>{escape(text)}</h3>\n"


def key_figures(rows: Iterable[tuple[str, str, str]]) -> str:
    """Name, figure and a remark of each."""
    cells = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(figure)}<small>{escape(remark)}</small></dd></div>\n"
        for name, figure, remark in rows
    )
    return f'<dl class="figures">\n{cells}</dl>\n'


def table(head: Sequence[str], rows: Iterable[Sequence[Cell]], words: int = 1) -> str:
    """The first `words` columns are words, the others figures."""

    def cells(values: Sequence[Cell], tag: str) -> str:
        kinds = ["" if i < words else ' class="number"' for i in range(len(values))]
        return "".join(f"<{tag}{kind}>{_cell(value)}</{tag}>" for kind, value in zip(kinds, values, strict=True))

    body = "\n".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    head_row = f"<thead><tr>{cells(head, 'th')}</tr></thead>"
    return f'<div class="wide"><table>\n{head_row}\n<tbody>\n{body}\n</tbody></table></div>\n'


def picture(light: str, dark: str, about: str) -> str:
    """A drawing that was made for a light and for a dark ground; names of PNG files drawn at twice the size."""
    return (
        f'<picture><source srcset="{escape(dark)} 2x" media="(prefers-color-scheme: dark)">'
        f'<source srcset="{escape(light)} 2x"><img src="{escape(light)}" alt="{escape(about)}"></picture>\n'
    )


def clip(image: Path, about: str, caption: str, remark: str = "", chart: str = "") -> str:
    """A strip with what is to be said of it. `chart` is HTML: see `score_chart`."""
    return (
        f'<figure class="clip"><img src="{escape(image.as_posix())}" alt="{escape(about)}" loading="lazy">{chart}'
        f'<figcaption>{escape(caption)} <span class="quiet">{escape(remark)}</span></figcaption></figure>\n'
    )


def clips(figures: Iterable[str], large: bool = False) -> str:
    """Side by side where there is room; `large` ones below one another."""
    return f'<div class="clips{" large" if large else ""}">\n{"".join(figures)}</div>\n'


def score_chart(times_s: Sequence[float], lines: Mapping[str, Sequence[float]], end_s: float) -> str:
    """Scores 0..1 over a clip's time, under its strip. `lines`: `truth` and `answer`; `end_s`: where the clip ends."""
    span_s = max([end_s, *times_s[-1:], 1e-6])

    def points(values: Sequence[float]) -> str:
        return " ".join(f"{100 * t / span_s:.2f},{20 - 18 * v - 1:.2f}" for t, v in zip(times_s, values, strict=True))

    drawn = "".join(f'<polyline class="{kind}" points="{points(values)}"/>' for kind, values in lines.items())
    at = f"{100 * end_s / span_s:.2f}"
    end = f'<line class="end" x1="{at}" x2="{at}" y1="0" y2="20"/>' if end_s < span_s else ""
    shape = 'viewBox="0 0 100 20" preserveAspectRatio="none" role="img" aria-label="scores over time"'
    return f"<svg {shape}>{end}{drawn}</svg>"


def _cell(value: Cell) -> str:
    if isinstance(value, str):
        return escape(value)
    text, remark = value
    return f"{escape(text)} <small>{escape(remark)}</small>"
