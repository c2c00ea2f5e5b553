"""Words that several commands of training share."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

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


Split = Annotated[str | None, typer.Option(help="Only clips of this split: train, val or test.")]


def _said(said: str, *names: str, **own: Any) -> Any:
    return typer.Option(*names, help=said, rich_help_panel="How the data is read", **own)


@dataclass(frozen=True)
class Reading:
    """How labelled data is read."""

    format_: Annotated[
        str | None,
        _said(
            "Layout of the data: clips, folders, shards or names, which are found out when not given; list, ego4d-lta, "
            "ego4d-fho, ego4d-moments, ego4d-goalstep, epic, ucf101, hmdb51, kinetics, ssv2, jester or coin.",
            "--format",
        ),
    ] = None
    group: Annotated[str | None, _said("Column of the annotations that says what must not be split.")] = None
    label_pattern: Annotated[str | None, _said("Regular expression that finds the label in a file's name.")] = None
    classes: Annotated[str | None, _said("Labels to keep, in this order: a,b,c.")] = None
    target: Annotated[
        str | None, _said("Which of the format's labels: verb, noun or action; step, task or domain; …")
    ] = None
    min_clip_s: Annotated[float | None, _said("Leave shorter clips out.", min=0)] = None
    max_clip_s: Annotated[float | None, _said("Leave longer clips out.", min=0)] = None

    def options(self) -> "ReadOptions":
        """Raises InputError as `names_in`."""
        from edgevid_train.annotations import ReadOptions

        kept = names_in(self.classes, "--classes")
        return ReadOptions(
            self.format_, self.group, self.label_pattern, kept, self.target, self.min_clip_s, self.max_clip_s
        )


def spread_options(command: Callable[..., None]) -> Callable[..., None]:
    """What the command line sees of a command: of each parameter that is a dataclass of options these options."""
    parameters = inspect.signature(command).parameters
    groups: dict[str, Any] = {name: p.annotation for name, p in parameters.items() if is_dataclass(p.annotation)}

    @functools.wraps(command)
    def run(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        command(**values)

    seen = [
        own
        for name, parameter in parameters.items()
        for own in (_options_of(groups[name]) if name in groups else [parameter])
    ]
    run.__signature__ = inspect.Signature(seen)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in seen}
    return run


def _options_of(group: Any) -> list[inspect.Parameter]:
    return [
        inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
        for field in fields(group)
    ]


def names_in(text: str | None, option: str) -> tuple[str, ...] | None:
    """`a,b,c`. Raises InputError when a name is empty or occurs twice."""
    from edgevid.errors import InputError

    if text is None:
        return None
    names = tuple(part.strip() for part in text.split(","))
    if not all(names) or len(set(names)) != len(names):
        raise InputError(f"{option} {text!r}: expected names, each once, with commas between")
    return names
