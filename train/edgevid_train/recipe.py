"""A recipe: one way of training, in one TOML file that is a small diff against the defaults written here."""

import math
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from edgevid.errors import InputError, first_fault
from edgevid.manifest import ClipPool, EventRule, HoldRule
from edgevid_train.loop.curriculum import CurriculumConfig
from edgevid_train.loop.optim import MemoryOptimConfig, OptimConfig, PretrainOptimConfig
from edgevid_train.losses.distill import DistillConfig
from edgevid_train.losses.label_loss import TaskConfig
from edgevid_train.masked import PretrainConfig
from edgevid_train.models.student import StudentConfig
from edgevid_train.models.teachers.build import TeacherConfig
from edgevid_train.paths import PathsConfig
from edgevid_train.samples.augment import AugmentConfig
from edgevid_train.samples.drawn import DrawnConfig
from edgevid_train.samples.mix import MixConfig
from edgevid_train.samples.sights import MemoryConfig
from edgevid_train.samples.step_targets import StreamConfig
from edgevid_train.storage import is_written
from edgevid_train.toml import apply, dump_toml, parse_toml

LARGEST_SEED = 2**31
"""Of everything that takes seeds numpy's old generator takes the smallest ones; processes count on from theirs."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AboutConfig(_Part):
    """For people: what the recipe is for, and what a model trained by it must say about its data and licences."""

    note: str = ""
    data: str = ""
    licences: str = ""


class DataConfig(_Part):
    """`seed`: of the order of the clips and how each is changed; the recipe's when None. With one of their own,
    trainings of several seeds see the same clips in the same way, and share a teacher's answers.

    `split_seed`: of what is held out, which no other seed moves: trainings of several seeds are judged by the same
    clips, and a teacher of one has not seen what judges the next.

    `folder`: where the clips are, unless `--data` says otherwise.

    `format`, `target`, `classes`, `min_clip_s`, `max_clip_s`: as the options of these names, where none is given.

    `max_skipped_share`: of all clips; when more cannot be read, training stops. `short_side`: pixels kept in memory.

    `disk_cache_mb`: of decoded training clips on disk, in the cache folder, below those in memory; 0 for none.

    `holdout`: one of so many grouped folds is held out where the data has no split of its own. `cache_mb`: memory for
    decoded clips. `loaders`: threads that prepare batches while the network computes. `shard_buffer`: clips of tar
    shards are shuffled among so many shards at a time, which are read in order; 0 for all of them.

    `balance`: clips come more often by this power of the inverse of their label's frequency, from 0, each clip as often
    as any other, to 1, each label as often as any other. An epoch has as many clips as without.
    """

    seed: int | None = Field(default=None, ge=0, lt=LARGEST_SEED)
    split_seed: int = Field(default=0, ge=0, lt=LARGEST_SEED)
    folder: str | None = None
    format: str | None = None
    target: str | None = None
    classes: tuple[str, ...] | None = None
    min_clip_s: float | None = Field(default=None, ge=0)
    max_clip_s: float | None = Field(default=None, ge=0)
    max_skipped_share: float = Field(default=0.02, ge=0, le=1)
    short_side: int = Field(default=120, ge=16)
    holdout: int = Field(default=5, ge=2)
    cache_mb: int = Field(default=2048, gt=0)
    disk_cache_mb: int = Field(default=0, ge=0)
    loaders: int = Field(default=1, ge=1, le=64)
    shard_buffer: int = Field(default=8, ge=0)
    balance: float = Field(default=0.0, ge=0, le=1)

    @field_validator("folder")
    @classmethod
    def _unsigned(cls, value: str | None) -> str | None:
        if value is not None and is_written(value) and "?" in value:
            raise ValueError("a recipe is kept with its runs, and a signature is not to be: give the address by --data")
        return value


class Recipe(_Part):
    """Everything that decides what a training run computes, except the data itself.

    `clip_pool`, `hold` and `events` go into the manifest; validation scores a clip by `clip_pool` too. Without a weight
    on the response, feature or relation term, and without a tap, there is nothing to distil, and no teacher is trained.
    `log`: `wandb` sends the figures of a training to Weights & Biases too.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    seed: int = Field(default=0, ge=0, lt=LARGEST_SEED)
    precision: Literal["no", "bf16", "fp16"] = "no"
    log: Literal["tensorboard", "wandb"] = "tensorboard"
    about: AboutConfig = AboutConfig()
    data: DataConfig = DataConfig()
    drawn: DrawnConfig = DrawnConfig()
    task: TaskConfig = TaskConfig()
    stream: StreamConfig = StreamConfig()
    paths: PathsConfig = PathsConfig()
    augment: AugmentConfig = AugmentConfig()
    mix: MixConfig = MixConfig()
    student: StudentConfig = StudentConfig()
    teacher: TeacherConfig = TeacherConfig()
    distill: DistillConfig = DistillConfig()
    pretrain: PretrainConfig = PretrainConfig()
    pretrain_optim: PretrainOptimConfig = PretrainOptimConfig()
    teacher_optim: OptimConfig = OptimConfig()
    optim: OptimConfig = OptimConfig()
    memory: MemoryConfig = MemoryConfig()
    memory_optim: MemoryOptimConfig = MemoryOptimConfig()
    curriculum: CurriculumConfig = CurriculumConfig()
    clip_pool: ClipPool = ClipPool(kind="peak", smooth_s=0.3)
    hold: HoldRule = HoldRule()
    events: EventRule = EventRule()

    @model_validator(mode="after")
    def _one_task(self) -> Self:
        if self.task.multi_label and self.paths.steps:
            raise ValueError("paths.steps: drawn paths have one label each; it is not for task.kind = multi_label")
        if self.task.multi_label and self.memory.streams:
            raise ValueError("memory.streams: its steps have one label each; it is not for task.kind = multi_label")
        return self

    @model_validator(mode="after")
    def _enough_to_compare(self) -> Self:
        compares = self.distill.relation > 0 or any(tap.kind == "relation" for tap in self.distill.taps)
        if compares and min(self.optim.batch, self.optim.micro_batch or self.optim.batch) < 3:
            raise ValueError("distill.relation compares distances between clips: optim.micro_batch must be 3 or more")
        return self

    @model_validator(mode="after")
    def _able_to_hold(self) -> Self:
        if (self.hold.quiet or self.hold.busy) and len(self.student.exits) == 1:
            raise ValueError("hold: a student with one exit looks at every frame")
        return self

    @model_validator(mode="after")
    def _weights_of_exits(self) -> Self:
        weights, inner = self.distill.inner_exits, len(self.student.exits) - 1
        if isinstance(weights, tuple) and len(weights) != inner:
            raise ValueError(f"distill.inner_exits: {len(weights)} weights; the student has {inner} inner exits")
        return self

    @property
    def clips_seed(self) -> int:
        """Of the order of clips and how each is changed; `seed` is that of networks."""
        return self.seed if self.data.seed is None else self.data.seed

    @property
    def needs_teacher(self) -> bool:
        distill = self.distill
        return max(distill.response, distill.feature, distill.look, distill.relation) > 0 or bool(distill.taps)

    def to_toml(self) -> str:
        """Every field with its value, so that a later change of a default changes nothing."""
        return dump_toml(self.model_dump(mode="json"))

    @classmethod
    def from_values(cls, values: Mapping[str, Any], where: str) -> Self:
        """Validate. Raises InputError that names the key, e.g. `student.shift`."""
        try:
            recipe = cls.model_validate(values)
        except ValidationError as error:
            key, what = first_fault(error)
            raise InputError(f"{where}: {key}: {what}" if key else f"{where}: {what}") from None
        for key, number in _numbers(recipe.model_dump()):
            if not math.isfinite(number):
                raise InputError(f"{where}: {key}: {number} is no number to compute with")
        return recipe


def _numbers(value: Any, key: str = "") -> Iterator[tuple[str, float]]:
    """The numbers with a fraction in nested mappings and lists, each with where it stands."""
    if isinstance(value, float):
        yield key, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _numbers(inner, f"{key}.{name}" if key else name)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _numbers(inner, key)


def recipe_names() -> list[str]:
    """The recipes that come with edgevid."""
    return sorted(entry.name.removesuffix(".toml") for entry in _bundled().iterdir() if entry.name.endswith(".toml"))


def load_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """A bundled recipe by name, or a recipe file by its path, with `--set` changes `key.sub=value` applied in order.

    Raises:
        InputError: no such recipe, not TOML, an unknown key or a value out of range: says which.
    """
    if name.endswith(".toml") or "/" in name:
        path = Path(name)
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"recipe {name}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from None
    elif name in recipe_names():
        text = (_bundled() / f"{name}.toml").read_text(encoding="utf-8")
    else:
        raise InputError(f"recipe {name!r} is neither a .toml file nor one of {', '.join(recipe_names())}")
    values = parse_toml(text, f"recipe {name}")
    for change in changes:
        apply(values, change)
    return Recipe.from_values({"name": Path(name).stem, **values}, f"recipe {name}")


def read_resolved(path: Path) -> Recipe:
    """The recipe that a run saved."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from None
    return Recipe.from_values(parse_toml(text, str(path)), str(path))


def _bundled() -> Any:
    return files("edgevid_train") / "recipes"
