"""Events of a cross-validation: each fold's student on long streams of its own held-out scenes, through the live path.

The event rule of each fold is fitted to the streams of the other folds, so no figure comes from clips that a network or
a rule has seen. Negative videos are dealt out among the folds, each to one whose network was not trained on it.

    python benchmarks/cv_streams.py runs/cv egogestar --gaps negatives --negatives negatives --negatives weizmann

`--threshold`: of all exits but the last, or of each, and `--hold`: for how many frames one look stands, to see what
these save and cost; give them several times, and each is run with each. What is said early, or of fewer looks, is said
differently, so the rule is fitted anew for each, and the streams are run again under it: the gate asks the rule whether
anything is going on. `--seed` several times lays the clips out as often, each time in
another order and between other gaps: two networks, or two rules, differ by chance less than on one layout.
"""

import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import typer
from ending import one_line_errors

from edgevid.cascade import hold_rule, thresholds_of
from edgevid.errors import EdgevidError
from edgevid.manifest import EventRule, Manifest
from edgevid.models.contract import StreamModel
from edgevid.models.load import load
from edgevid.sources import open_source
from edgevid_deploy.export import export
from edgevid_train.annotations import ClipRecord, read_data
from edgevid_train.checkpoint import folds_of, load_student
from edgevid_train.evaluate.streams.evaluate import play
from edgevid_train.evaluate.streams.fit_events import fit_rule
from edgevid_train.evaluate.streams.matching import summarise_streams
from edgevid_train.evaluate.streams.plan import StreamPlan, StreamSettings, plan_streams
from edgevid_train.evaluate.streams.report import macs_share
from edgevid_train.evaluate.streams.run import Watched, watch
from edgevid_train.marks import Known
from edgevid_train.negatives import whole_negatives


@dataclass
class Fold:
    """One student, its own streams, its share of the negatives, and what it said of them under its own event rule."""

    student: StreamModel
    plans: list[StreamPlan]
    files: list[Path]
    streams: list[Watched]
    negatives: list[Watched]
    lost: list[ClipRecord]

    @classmethod
    def of(cls, student: StreamModel, plans: list[StreamPlan], files: list[Path], unreadable: list[ClipRecord]) -> Self:
        played = [play(plan, student)[0] for plan in plans]
        lost = [*unreadable, *(record for one in played for record in one.lost)]
        return cls(student, plans, files, [one.watched for one in played], _negatives(files, student), lost)

    def under(self, rule: EventRule) -> tuple[list[Watched], list[Watched]]:
        """Streams and negatives run again, as the gate asks the rule whether anything is going on."""
        played = [play(plan, self.student, rule=rule)[0].watched for plan in self.plans]
        return played, _negatives(self.files, self.student, rule)


def main(
    run: Path,
    data: Path,
    gaps: list[Path] = typer.Option([], help="Videos without actions, pieces of which stand between actions."),
    negatives: list[Path] = typer.Option([], help="Videos without actions, whole, for false alarms."),
    threshold: list[str] = typer.Option([], help="Of every exit but the last, or of each: never,0.8."),
    hold: list[str] = typer.Option([], help="QUIET,BUSY: frames for which what was seen in one before stands."),
    seed: list[int] = typer.Option([0], help="Of the streams' layout."),
) -> None:
    folders, records = folds_of(run), read_data(data)
    exits = load_student(folders[0]).student.exit_names
    rules = [hold_rule(words) for words in ("0", *hold)]
    levels = [thresholds_of(words, exits) for words in ("never", *threshold)]
    between = whole_negatives(gaps)
    with tempfile.TemporaryDirectory() as temporary:
        models, plans, unreadable, seen = [], [], [], []
        for folder in folders:
            written = export(folder, to="onnx", out=Path(temporary) / folder.name)
            models.append(load(written[0].file))
            split = load_student(folder).info.split
            seen.append(Known(split.trained_on))
            clips = [record for record in records if record.group in split.val_groups]
            unseen = [video.file for video in between if video not in seen[-1]]
            layouts = [plan_streams(clips, unseen, StreamSettings(seed=one)) for one in seed]
            plans.append([stream for layout in layouts for stream in layout.streams])
            unreadable.append([record for layout in layouts for record in layout.unreadable])
        dealt = _deal(whole_negatives(negatives), seen)
        manifest = models[0].manifest
        for rule, thresholds in itertools.product(rules, levels):
            folds = [
                Fold.of(model.with_thresholds(thresholds).with_hold(rule), *of_fold)
                for model, *of_fold in zip(models, plans, dealt, unreadable, strict=True)
            ]
            what = f"thresholds {thresholds[:-1]}, hold {rule.quiet},{rule.busy}"
            _report(folds, manifest, what, laps=len(seed))


def _deal(videos: list[ClipRecord], seen: list[Known]) -> list[list[Path]]:
    """Each video to one of the networks that were not trained on it, to that which has fewest."""
    dealt: list[list[Path]] = [[] for _ in seen]
    for video in videos:
        free = [fold for fold, known in enumerate(seen) if video not in known]
        if free:
            dealt[min(free, key=lambda fold: len(dealt[fold]))].append(video.file)
        else:
            print(f"left out, every network was trained on it: {video.file}")
    return dealt


def _negatives(files: list[Path], model: StreamModel, rule: EventRule | None = None) -> list[Watched]:
    watched = []
    for file in files:
        try:
            with open_source(file, pace="fast") as source:
                watched.append(watch(source, model, gate=True, rule=rule))
        except EdgevidError as error:
            print(f"left out: {file}: {error}")
    return watched


def _fit(folds: list[Fold], manifest: Manifest, laps: int) -> EventRule:
    streams = [watched.trace for fold in folds for watched in fold.streams]
    negatives = [watched.trace for fold in folds for watched in fold.negatives]
    return fit_rule(streams, negatives, manifest, laps).rule


def _report(folds: list[Fold], manifest: Manifest, cascade: str, laps: int) -> None:
    rules = [_fit(folds[:i] + folds[i + 1 :], manifest, laps) for i in range(len(folds))]
    again = [fold.under(rule) for fold, rule in zip(folds, rules, strict=True)]
    streams = [watched for played, _ in again for watched in played]
    quiet = [watched.stream for _, negatives in again for watched in negatives]
    lost = [(record.label, record.group) for fold in folds for record in fold.lost]
    figures = summarise_streams([watched.stream for watched in streams], lost, laps=laps)
    by_label = figures.pop("per_label")
    steps = {e.name: sum(w.metrics["exits"][e.name] for w in streams) for e in manifest.exits}
    held, rested = (sum(w.metrics[name] for w in streams) for name in ("held", "rested"))
    share = macs_share(steps, manifest, held)
    print(f"\n{cascade}")
    for i, rule in enumerate(rules, start=1):
        print(f"  fold {i}: {rule}")
    print(f"  fitted to all of them: {_fit(folds, manifest, laps)}")
    for name, value in figures.items():
        print(f"  {name:24} {value}")
    print(f"  F1 by label              { ({label: round(of['f1'], 2) for label, of in by_label.items()}) }")
    print(f"  steps by exit            {[*steps.values()]}, {held} by the memory alone, {rested} with nothing moving")
    if share is not None:
        print(f"  multiply-accumulates     {share:.1%} of going to the end always")
    if quiet:
        minutes = sum(stream.seconds for stream in quiet) / 60
        print(f"  false alarms             {sum(len(stream.found) for stream in quiet)} in {minutes:.1f} min")


if __name__ == "__main__":
    with one_line_errors():
        typer.run(main)
