"""What a sweep trains: every combination of the values, each with several seeds.

OUT/plan.json             what was asked for, so that `--resume` needs nothing else
OUT/sweep-N-…/seed-S/     the run of a combination with a seed, as `train-distill` leaves it, and result.json
OUT/sweep.json, sweep.csv the table, written anew after every run
"""

import itertools
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgevid.errors import InputError, first_line
from edgevid.files import exists, write_text
from edgevid_train.models.student import Student
from edgevid_train.models.teachers.build import build_teacher
from edgevid_train.recipe import Recipe, load_recipe
from edgevid_train.runs.request import RunRequest, begun, check_same, check_same_recipe, check_signed

PLAN = "plan.json"
RESULT = "result.json"
"""In the folder of a sweep's run, once that is over: its figures."""
MOST_RUNS = 1000


class Combination(BaseModel):
    """Values by key, as they were given. `request`: what every run of it is asked; `recipes`: of each seed, resolved,
    as TOML.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: str
    values: dict[str, str]
    request: RunRequest
    recipes: tuple[str, ...]

    @property
    def name(self) -> str:
        return ", ".join(f"{key}={value}" for key, value in self.values.items()) or "the recipe as it is"

    def recipe(self, number: int) -> Recipe:
        return Recipe.from_values(tomllib.loads(self.recipes[number]), self.folder)

    def run_folder(self, out: Path, number: int) -> Path:
        return out / self.folder / f"seed-{self.recipe(number).seed}"


class SweepPlan(BaseModel):
    """`sweeps`: `key=a,b,c` as given. `seeds`: of each combination, from the recipe's own on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sweeps: tuple[str, ...]
    seeds: int = Field(ge=1, le=100)
    combinations: tuple[Combination, ...]

    @classmethod
    def begin(
        cls, recipe: str | None, changes: Sequence[str], sweeps: Sequence[str], seeds: int, asked: Mapping[str, Any]
    ) -> Self:
        """Every recipe is tried now, and its networks: what cannot be is found before the first run.

        Raises:
            InputError: as `begun`, or a key or value that the recipe does not allow, two combinations that are the
                same, a network that cannot be built, or nothing is held out.
        """
        if recipe is None:
            raise InputError("--sweep changes a recipe; give --recipe too")
        if asked.get("all"):
            raise InputError("--sweep compares figures of held-out clips, and --all holds none out")
        grid = [parse(sweep) for sweep in sweeps]
        if len({key for key, _ in grid}) < len(grid) or {"seed", "name"} & {key for key, _ in grid}:
            raise InputError("--sweep: each key once, and neither name nor seed, which is for --seeds")
        own = load_recipe(recipe, changes)
        combinations: list[Combination] = []
        names: dict[tuple[str, ...], str] = {}
        for number, values in enumerate(itertools.product(*(values for _, values in grid)), start=1):
            chosen = dict(zip([key for key, _ in grid], values, strict=True))
            said = [f"{key}={value}" for key, value in chosen.items()]
            recipes = [load_recipe(recipe, [*changes, *said, f"seed={own.seed + i}"]) for i in range(seeds)]
            combination = Combination(
                folder=f"sweep-{number}-{_slug(chosen)}",
                values=chosen,
                request=begun(RunRequest, Path(), recipes[0], asked).request,
                recipes=tuple(found.to_toml() for found in recipes),
            )
            twin = names.setdefault(combination.recipes, combination.name)
            if twin != combination.name:
                raise InputError(f"--sweep: {twin} and {combination.name} are the same")
            combinations.append(combination)
        if len(combinations) * seeds > MOST_RUNS:
            raise InputError(f"--sweep: {len(combinations) * seeds} runs are more than {MOST_RUNS}")
        _try_networks([combination.recipe(0) for combination in combinations], asked)
        return cls(sweeps=tuple(sweeps), seeds=seeds, combinations=tuple(combinations))

    @classmethod
    def resume(
        cls,
        out: Path,
        recipe: str | None,
        changes: Sequence[str],
        sweeps: Sequence[str],
        seeds: int | None,
        asked: Mapping[str, Any],
    ) -> Self:
        """Raises InputError when the plan in `out` is damaged, or is not what is asked for again."""
        if exists(out) and not exists(out / PLAN):
            raise InputError(f"--resume: {out} holds no sweep; of a run leave --sweep and --seeds out")
        try:
            plan = cls.model_validate_json((out / PLAN).read_bytes())
            saved = plan.combinations[0].recipe(0)
            for combination, number in plan.runs:
                combination.recipe(number)
        except (OSError, ValidationError, IndexError, tomllib.TOMLDecodeError) as error:
            raise InputError(f"--resume: {out / PLAN} is damaged: {first_line(error)}") from None
        if sweeps and tuple(sweeps) != plan.sweeps:
            raise InputError(f"--resume: {out} holds another sweep, {' '.join(plan.sweeps)}; leave --sweep out")
        if seeds is not None and seeds != plan.seeds:
            raise InputError(f"--resume: the sweep in {out} has {plan.seeds} seeds; leave --seeds out")
        check_same(plan.combinations[0].request, asked, out)
        check_signed(plan.combinations[0].request)
        if recipe is not None:
            said = [f"{key}={value}" for key, value in plan.combinations[0].values.items()]
            check_same_recipe(load_recipe(recipe, [*changes, *said]), saved, out)
        return plan

    def write(self, out: Path) -> None:
        write_text(out / PLAN, json.dumps(self.model_dump(mode="json"), indent=2) + "\n")

    @property
    def runs(self) -> list[tuple[Combination, int]]:
        """All combinations with the first seed, then with the next: whoever stops early has something to compare."""
        return [(combination, number) for number in range(self.seeds) for combination in self.combinations]


def parse(sweep: str) -> tuple[str, tuple[str, ...]]:
    """`optim.lr=1e-3,3e-3`: key and values; a comma inside brackets or quotes is none of ours. Raises InputError."""
    key, equals, text = sweep.partition("=")
    values = tuple(part.strip() for part in _parts(text))
    if not equals or not key.strip() or not all(values) or len(set(values)) < len(values):
        raise InputError(f"--sweep {sweep!r}: expected key=a,b,c with each value once, for example optim.lr=1e-3,3e-3")
    return key.strip(), values


def _try_networks(recipes: Sequence[Recipe], asked: Mapping[str, Any]) -> None:
    """Build each network once, and throw it away. Raises InputError when one cannot be built."""
    for student in {recipe.student.model_dump_json(): recipe.student for recipe in recipes}.values():
        Student(student, labels=2)
    own = [recipe.teacher for recipe in recipes if recipe.needs_teacher and not asked.get("teacher")]
    for teacher in {config.model_dump_json(): config for config in own if config.kind != "ensemble"}.values():
        build_teacher(teacher, 2)


def _parts(text: str) -> list[str]:
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        else:
            depth += (character in "[{") - (character in "]}")
        if character == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _slug(values: Mapping[str, str]) -> str:
    """For people who look into the folder: `mixup-0.4-lr-0.001`."""
    short = "-".join(f"{key.rpartition('.')[2]}-{value}" for key, value in values.items())
    return re.sub(r"[^A-Za-z0-9.]+", "-", short)[:60].strip("-.") or "run"
