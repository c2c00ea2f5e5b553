"""What a person may say about a data folder, and what a reader of it says back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Say = Callable[[str], None]
"""Takes one line about annotations that were left out, cut or guessed: nothing is dropped in silence."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a person may say about a data folder on the command line.

    Attributes:
        format: one of `FORMATS`; None finds it out.
        group: the column that says what must not be split.
        label_pattern: regular expression that finds the label in a file's name.
        classes: labels to keep; None keeps all.
        target: which of a layout's labels to read: its verbs, its nouns, …; None takes the layout's first.
        min_clip_s, max_clip_s: clips whose annotated span is shorter or longer are left out.
    """

    format: str | None = None
    group: str | None = None
    label_pattern: str | None = None
    classes: tuple[str, ...] | None = None
    target: str | None = None
    min_clip_s: float | None = None
    max_clip_s: float | None = None


def some(names: Sequence[str]) -> str:
    """The first five, in ASCII, and how many more there are."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(ascii(name)[1:-1] for name in names[:5]) + more


def plural(count: int, what: str) -> str:
    """`1 span`, `2 spans`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
