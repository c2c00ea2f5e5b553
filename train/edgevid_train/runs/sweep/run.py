"""Running a sweep: what has been done is kept, whatever happens to the rest."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from edgevid.errors import CheckFailedError, InputError
from edgevid.files import write_json
from edgevid_train.loop.devices import Device
from edgevid_train.loop.interrupt import StoppedError
from edgevid_train.reporter import Reporter
from edgevid_train.runs.clearing import clear
from edgevid_train.runs.folder import LOCK, run_folder
from edgevid_train.runs.readiness import ready
from edgevid_train.runs.request import RUN, RunRequest, Start, resumed
from edgevid_train.runs.sweep.figures import compare
from edgevid_train.runs.sweep.plan import PLAN, RESULT, Combination, SweepPlan
from edgevid_train.runs.sweep.table import rows_of, show, write_table
from edgevid_train.runs.sweep.teacher import taught_before
from edgevid_train.runs.train import train_folds
from edgevid_train.storage import LostError


def is_sweep(out: Path) -> bool:
    return (out / PLAN).is_file()


def train_sweep(
    plan: SweepPlan,
    out: Path,
    *,
    device: Device | None,
    resume: bool,
    force: bool,
    report: Reporter,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Train what is not trained yet. A run whose loss is no number any more is a row without a figure.

    Where runs would train the same teacher, the first one's is that of all: what they learn is what they would have.

    Returns: what stands in `sweep.json`.

    Raises:
        InputError: bad data or output.
        StoppedError: the person asked to stop; the message says how to go on.
    """
    with run_folder(out, force=force or resume, say=report.say):
        return _train_sweep(plan, out, device, resume, report, stop)


def _train_sweep(
    plan: SweepPlan, out: Path, device: Device | None, resume: bool, report: Reporter, stop: Callable[[], bool]
) -> dict[str, Any]:
    if not resume:
        combination, number = plan.runs[0]
        folder = combination.run_folder(out, number)
        first = Start(combination.request, combination.recipe(number), folder, resume=False)
        # before anything of an earlier sweep is removed
        ready(first, device, Reporter(Console(quiet=True)), stop, room=out)
        clear(out)
        for combination, number in plan.runs:  # whatever else is there: no figures but its own are a run's
            (combination.run_folder(out, number) / RESULT).unlink(missing_ok=True)
        plan.write(out)
    for count, (combination, number) in enumerate(plan.runs, start=1):
        folder = combination.run_folder(out, number)
        if (folder / RESULT).is_file():
            continue
        teacher = taught_before(plan, out, combination, number, _ended_well)
        taught = f", with the teacher of {teacher.relative_to(out.absolute())}" if teacher is not None else ""
        seed = combination.recipe(number).seed
        report.say(f"run {count} of {len(plan.runs)}: {combination.name}, seed {seed}{taught}")
        again = f"it is saved, go on with: edgevid train-distill --resume --out {out}"
        try:
            result = _train(combination, number, folder, teacher, device, resume, report, stop)
        except StoppedError:
            raise StoppedError(f"stopped in run {count} of {len(plan.runs)}; {again}") from None
        except LostError as error:
            raise type(error)(f"{error.__cause__ or error}; {again}") from None
        except InputError:
            _forget_unbegun(out)
            raise
        write_json(folder / RESULT, result)
        write_table(out, plan, _rows(plan, out))
    rows = _rows(plan, out)
    show(report.console, rows)
    return write_table(out, plan, rows)


def _train(
    combination: Combination,
    number: int,
    folder: Path,
    teacher: Path | None,
    device: Device | None,
    resume: bool,
    report: Reporter,
    stop: Callable[[], bool],
) -> dict[str, Any]:
    request = combination.request if teacher is None else combination.request.model_copy(update={"teacher": teacher})
    start = Start(request, combination.recipe(number), folder, resume=False)
    if resume and (folder / RUN).is_file():
        start = resumed(RunRequest, folder, None, {"command": combination.request.command})
    try:
        return train_folds(start, device=device, force=True, report=report, stop=stop)
    except CheckFailedError as error:
        report.say(f"failed: {error}")
        return {"failed": str(error)}


def _forget_unbegun(out: Path) -> None:
    """Leave nothing of a sweep of which no run could begin, so that the next try needs no --force."""
    if {path.name for path in out.iterdir()} == {PLAN, LOCK}:
        (out / PLAN).unlink()


def _ended_well(folder: Path) -> bool:
    return (folder / RESULT).is_file() and "failed" not in _read(folder / RESULT)


def _rows(plan: SweepPlan, out: Path) -> list[dict[str, Any]]:
    """Of the runs that are done."""
    found = {}
    for combination in plan.combinations:
        folders = (combination.run_folder(out, number) for number in range(plan.seeds))
        results = [_read(folder / RESULT) for folder in folders if (folder / RESULT).is_file()]
        if results:
            found[combination.folder] = compare(results)
    return rows_of(plan, found)


def _read(path: Path) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(path.read_bytes())
        if not isinstance(result, dict) or not result.keys() & {"predictions", "failed"}:
            raise ValueError("neither figures nor a failure")
        compare([result])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged: {error}; remove it to train again") from None
    return result
