"""Words that several commands of training share."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.models import ArgumentInfo, OptionInfo

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


Split = Annotated[str | None, typer.Option(help="Only clips of this split: train, val or test.")]


def _said(said: str, *names: str, **own: Any) -> Any:
    return typer.Option(*names, help=said, rich_help_panel="How the data is read", **own)


_READING = {
    "format_": Annotated[
        str | None,
        _said(
            "Layout of the data: clips, folders, shards or names, which are found out when not given; list, ego4d-lta, "
            "ego4d-fho, ego4d-moments, ego4d-goalstep, epic, ucf101, hmdb51, kinetics, ssv2, jester or coin.",
            "--format",
        ),
    ],
    "group": Annotated[str | None, _said("Column of the annotations that says what must not be split.")],
    "label_pattern": Annotated[str | None, _said("Regular expression that finds the label in a file's name.")],
    "classes": Annotated[str | None, _said("Labels to keep, in this order: a,b,c.")],
    "target": Annotated[
        str | None, _said("Which of the format's labels: verb, noun or action; step, task or domain; …")
    ],
    "min_clip_s": Annotated[float | None, _said("Leave shorter clips out.", min=0)],
    "max_clip_s": Annotated[float | None, _said("Leave longer clips out.", min=0)],
}
"""By the fields of `ReadOptions`."""


def reads_data(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say how data is read, in the place of its keyword `options`: `ReadOptions`."""

    @functools.wraps(command)
    def run(**values: Any) -> None:
        from edgevid_train.annotations import ReadOptions

        said = {name: values.pop(name) for name in _READING}
        said |= {"format": said.pop("format_"), "classes": names_in(said["classes"], "--classes")}
        command(**values, options=ReadOptions(**said))

    signature = inspect.signature(command)
    others = [parameter for name, parameter in signature.parameters.items() if name != "options"]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint)
        for name, hint in _READING.items()
    ]
    run.__signature__ = signature.replace(parameters=[*others, *added])  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*others, *added)}
    return run


def names_in(text: str | None, option: str) -> tuple[str, ...] | None:
    """`a,b,c`. Raises InputError when a name is empty or occurs twice."""
    from edgevid.errors import InputError

    if text is None:
        return None
    names = tuple(part.strip() for part in text.split(","))
    if not all(names) or len(set(names)) != len(names):
        raise InputError(f"{option} {text!r}: expected names, each once, with commas between")
    return names
