"""What a run is asked for, kept beside it, so that it can be resumed in other words or in none."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgevid.errors import InputError, first_fault, first_line
from edgevid_train.annotations import ReadOptions
from edgevid_train.checkpoint import digest_of_weights
from edgevid_train.recipe import Recipe, read_resolved
from edgevid_train.storage import absolute, address_of, is_signed, named, shown

RUN, RECIPE = "run.json", "recipe.toml"
READING = ("format", "target", "classes", "min_clip_s", "max_clip_s")
"""What a recipe may say of how the data is read."""


class RunRequest(BaseModel):
    """What a person asked for. Paths are absolute, so that a resume may start anywhere.

    `data`: None for drawn clips alone, of which none can be held out.

    `signed`: those addresses among the data that were given with a query, which is not kept.

    `extra`: folders of clips that are trained on in every fold and never held out. `negatives`: videos without any of
    the actions, files or folders, of which every fold leaves out its share. `teacher`: a checkpoint to use instead of
    training one. `init`: a run or checkpoint whose weights to begin from. `digests`: of the weights in these two, by
    which they are known again in another place; written as the run begins. At most one of `cv` (all of so many folds),
    `fold` of `folds` (counting from 1) and `all`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: Literal["train-distill", "train-teacher"] = "train-distill"
    data: Path | None = None
    format: str | None = None
    group: str | None = None
    label_pattern: str | None = None
    classes: tuple[str, ...] | None = None
    target: str | None = None
    min_clip_s: float | None = None
    max_clip_s: float | None = None
    extra: tuple[Path, ...] = ()
    negatives: tuple[Path, ...] = ()
    signed: tuple[Path, ...] = ()
    teacher: Path | None = None
    init: Path | None = None
    digests: dict[str, str] = {}
    cv: int | None = Field(default=None, ge=2)
    folds: int | None = Field(default=None, ge=2)
    fold: int | None = Field(default=None, ge=1)
    all: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.folds is None) != (self.fold is None):
            raise ValueError("--folds and --fold go together: --folds 5 --fold 1")
        if self.fold is not None and self.folds is not None and self.fold > self.folds:
            raise ValueError(f"--fold {self.fold} of {self.folds}: folds count from 1")
        if sum([self.cv is not None, self.folds is not None, self.all]) > 1:
            raise ValueError("--cv, --fold and --all exclude one another")
        return self

    def with_digests(self) -> Self:
        """Raises InputError when weights that were there cannot be read now."""
        given = {"teacher": self.teacher, "init": self.init}
        return self.model_copy(update={"digests": {name: _digest(path) for name, path in given.items() if path}})

    @property
    def sources(self) -> tuple[Path, ...]:
        """Where all its clips are."""
        return (*([self.data] if self.data is not None else []), *self.extra)

    @property
    def options(self) -> ReadOptions:
        return ReadOptions(**{field.name: getattr(self, field.name) for field in fields(ReadOptions)})


class PretrainRequest(BaseModel):
    """What a person asked of `edgevid pretrain`: where videos are, absolute; `signed` as of a `RunRequest`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: Literal["pretrain"] = "pretrain"
    data: tuple[Path, ...] = Field(min_length=1)
    signed: tuple[Path, ...] = ()

    @property
    def sources(self) -> tuple[Path, ...]:
        return self.data


Request = TypeVar("Request", RunRequest, PretrainRequest)


@dataclass(frozen=True)
class Start(Generic[Request]):
    """Everything a run begins with; `resume` when it is begun again."""

    request: Request
    recipe: Recipe
    out: Path
    resume: bool


def begun(kind: type[Request], out: Path | None, recipe: Recipe | None, asked: Mapping[str, Any]) -> Start[Request]:
    """A new run from what a person asked for, by the fields of `kind`.

    The recipe may name the data and how it is read; without `out` the run goes into `runs/RECIPE`.

    Raises:
        InputError: there is no recipe or no data, or the options make no sense together.
    """
    if recipe is None:
        raise InputError("--recipe is needed")
    data = asked["data"]
    if not data:
        data = _named_data(kind, recipe, asked)
    named: dict[str, Any] = {}
    if kind is RunRequest:
        named = {name: getattr(recipe.data, name) for name in READING if asked.get(name) is None}
    try:
        request = kind.model_validate({**asked, **named, "data": data})
    except ValidationError as error:
        place, what = first_fault(error)
        option = f"--{place.partition('.')[0]}: " if place else ""
        raise InputError(option + what) from None
    request = request.model_copy(update={"signed": tuple(path for path in request.sources if is_signed(path))})
    return Start(request, recipe, out or Path("runs") / recipe.name, resume=False)


def _named_data(kind: type[Request], recipe: Recipe, asked: Mapping[str, Any]) -> Path | tuple[Path, ...] | None:
    """What the recipe names, when the person names no data."""
    if recipe.data.folder:
        folder = absolute(named(recipe.data.folder))
        return folder if kind is RunRequest else (folder,)
    if recipe.drawn.clips and kind is RunRequest:
        if asked.get("all"):
            return None
        raise InputError("drawn clips cannot be held out: give --data, or --all to train on drawn clips alone")
    raise InputError(f"--data is needed: recipe {recipe.name} names no folder")


def resumed(kind: type[Request], out: Path | None, recipe: Recipe | None, asked: Mapping[str, Any]) -> Start[Request]:
    """The run in `out` as it was begun. What is asked for again must be the same, and its recipe as it was.

    Data that is gone from where it was may be given anew.

    Raises:
        InputError: there is no run, it is damaged, or something else is asked for now.
    """
    if out is None:
        if recipe is None:
            raise InputError("--resume needs the run's --out, or its --recipe")
        out = Path("runs") / recipe.name
    if not (out / RUN).is_file():
        raise InputError(f"--resume: {out} holds no run ({RUN} is missing)")
    try:
        values = json.loads((out / RUN).read_bytes())
        command = values.get("command", "train-distill")
        if command != asked["command"]:
            raise InputError(f"--resume: {out} holds a run of edgevid {command}, not of {asked['command']}")
        request = kind.model_validate_json((out / RUN).read_bytes())
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"--resume: {out / RUN} is damaged: {first_line(error)}") from None
    saved = read_resolved(out / RECIPE)
    for place in (f"*/last/{RECIPE}", f"fold-*/*/last/{RECIPE}"):
        for learned_by in sorted(out.glob(place)):
            check_same_recipe(saved, read_resolved(learned_by), out, f"{out / RECIPE} now")
    if recipe is not None:
        check_same_recipe(recipe, saved, out)
    if isinstance(request, RunRequest):
        request = _followed(request, asked)
    check_same(request, asked, out)
    check_signed(request)
    return Start(request, saved, out, resume=True)


def _followed(request: RunRequest, asked: Mapping[str, Any]) -> RunRequest:
    """With the places that are given now, where its own are gone.

    That the clips are the same is seen from their names later, that the weights are from their digests now.

    Raises:
        InputError: something is gone and nobody says where to, or other weights are there.
    """
    moved: dict[str, Any] = {}
    for name in ("data", "extra", "negatives", "teacher", "init"):
        then, now = getattr(request, name), asked.get(name)
        places = then if isinstance(then, tuple) else (then,)
        gone = [place for place in places if place is not None and _is_gone(place)]
        if gone and not now:
            raise InputError(f"--resume: {gone[0]} is gone; say where it is now: --{name} PLACE")
        if gone and now and (not isinstance(then, tuple) or len(now) == len(places)):
            moved[name] = now
    for name, digest in request.digests.items():
        if name in moved and moved[name].exists() and _digest(moved[name]) != digest:
            raise InputError(f"--resume: --{name} {moved[name]} holds other weights than the run began with")
    return request.model_copy(update=moved)


def _digest(path: Path) -> str:
    """Raises InputError when the weights there cannot be read."""
    try:
        return digest_of_weights(path)
    except OSError as error:
        raise InputError(f"{error.filename}: {error.strerror or error}") from None


def _is_gone(place: Path) -> bool:
    """A pattern of shards is no file, but its folder is one."""
    return address_of(place) is None and not (place.parent if "{" in place.name else place).exists()


def check_same(request: RunRequest | PretrainRequest, asked: Mapping[str, Any], out: Path) -> None:
    """Raises InputError when something is asked for that the run, or the sweep, in `out` was not begun with."""
    for name, value in asked.items():
        if value and value != getattr(request, name):
            option = name.replace("_", "-")
            raise InputError(f"--resume: --{option} is not what the run in {out} was begun with; leave it out")


def check_signed(request: RunRequest | PretrainRequest) -> None:
    """Raises InputError when an address was signed as a run, or a sweep, was begun, and is not now."""
    for path in request.signed:
        if not is_signed(path):
            option = "--extra" if isinstance(request, RunRequest) and path in request.extra else "--data"
            raise InputError(
                f"--resume: {shown(path)} was given with a signature, which is not kept; give the address again with "
                f"one that is valid now: {option} '{shown(path)}?…'"
            )


def check_same_recipe(recipe: Recipe, saved: Recipe, out: Path, what: str = "the recipe") -> None:
    """Raises InputError that names the first key in which a recipe is not the one that `out` was begun with."""
    if recipe != saved:
        key, ours, theirs = _difference(recipe.model_dump(), saved.model_dump())
        raise InputError(f"--resume: {what} has {key} = {ours!r}, the run in {out} was begun with {theirs!r}")


def _difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[str, Any, Any]:
    """The first key at which two recipes differ, and its two values."""
    name = next(name for name in ours if ours[name] != theirs[name])
    if isinstance(ours[name], dict) and ours[name].keys() == theirs[name].keys():
        inner, *values = _difference(ours[name], theirs[name])
        return f"{name}.{inner}", values[0], values[1]
    return name, ours[name], theirs[name]
