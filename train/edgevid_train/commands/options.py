"""Words that several commands of training share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer.models import ArgumentInfo, OptionInfo

if TYPE_CHECKING:
    from edgevid_train.annotations import ReadOptions

Device = Literal["cpu", "cuda", "mps"]


def data_argument(said: str) -> ArgumentInfo:
    """Where data is: a path, an address, which may be signed, or `file:///…`."""
    return typer.Argument(parser=_named, metavar="DATA", help=said)  # type: ignore[no-any-return]


def data_option(said: str) -> OptionInfo:
    """As `data_argument`."""
    return typer.Option(parser=_named, metavar="PATH", help=said)  # type: ignore[no-any-return]


def _named(text: str) -> Path:
    from edgevid_train.storage import named

    return named(text)


Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="Layout of the data: clips, folders, shards or names, which are found out when not given; list, "
        "ego4d-lta, ego4d-fho, ego4d-moments, ego4d-goalstep, epic, ucf101, hmdb51, kinetics, ssv2, jester or coin.",
    ),
]
Group = Annotated[str | None, typer.Option(help="Column of the annotations that says what must not be split.")]
LabelPattern = Annotated[str | None, typer.Option(help="Regular expression that finds the label in a file's name.")]
Split = Annotated[str | None, typer.Option(help="Only clips of this split: train, val or test.")]
Classes = Annotated[str | None, typer.Option(help="Labels to keep, in this order: a,b,c.")]
Target = Annotated[
    str | None, typer.Option(help="Which of the format's labels: verb, noun or action; step, task or domain; …")
]
MinClip = Annotated[float | None, typer.Option("--min-clip-s", min=0, help="Leave shorter clips out.")]
MaxClip = Annotated[float | None, typer.Option("--max-clip-s", min=0, help="Leave longer clips out.")]


def read_options(
    format_: str | None,
    group: str | None,
    label_pattern: str | None,
    classes: str | None,
    target: str | None,
    min_clip_s: float | None,
    max_clip_s: float | None,
) -> "ReadOptions":
    """How the data is to be read, from the words for it. Raises InputError as `names_in`."""
    from edgevid_train.annotations import ReadOptions

    kept = names_in(classes, "--classes")
    return ReadOptions(format_, group, label_pattern, kept, target, min_clip_s, max_clip_s)


def names_in(text: str | None, option: str) -> tuple[str, ...] | None:
    """`a,b,c`. Raises InputError when a name is empty or occurs twice."""
    from edgevid.errors import InputError

    if text is None:
        return None
    names = tuple(part.strip() for part in text.split(","))
    if not all(names) or len(set(names)) != len(names):
        raise InputError(f"{option} {text!r}: expected names, each once, with commas between")
    return names
