"""`edgevid evaluate --stream`: clips as long streams, the live path over them, its events against what happened."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevid.cascade import saving
from edgevid.errors import InputError
from edgevid.manifest import EventRule
from edgevid.models.contract import ClipModel, StreamModel
from edgevid.models.load import load
from edgevid.sources import open_source
from edgevid_train.annotations import ReadOptions
from edgevid_train.evaluate.clips import clips_to_judge, say_unknown
from edgevid_train.evaluate.streams.plan import Plans, StreamPlan, StreamSettings, plan_streams
from edgevid_train.evaluate.streams.report import PlayedStream, StreamReport
from edgevid_train.evaluate.streams.run import watch
from edgevid_train.evaluate.streams.source import StreamSource
from edgevid_train.evaluate.subjects import is_checkpoint, open_subject
from edgevid_train.marks import Seen, refuse_trained, seen_among
from edgevid_train.negatives import refuse_actions, whole_negatives
from edgevid_train.reporter import Reporter


def play(
    plan: StreamPlan, model: StreamModel | ClipModel, *, gate: bool = True, rule: EventRule | None = None
) -> tuple[PlayedStream, dict[str, str]]:
    """Run the live path over one stream; also the files in it that ended too early, with the reason.

    Raises: as `watch`.
    """
    with StreamSource(plan, several=model.manifest.activation == "sigmoid") as source:
        watched = watch(source, model, gate=gate, rule=rule, actions=source.actions)
        return PlayedStream(plan, watched, source.gap_s, tuple(source.missing)), source.faults


@dataclass(frozen=True)
class Trial:
    """A model, and the streams and the negatives that it is to be run over, as often as anybody likes.

    `name`: name@digest of a model file, or the path of a checkpoint; `negatives`: files; `seen`, `negatives_seen` as of
    `StreamReport`.
    """

    name: str
    network: StreamModel | ClipModel
    data: Path
    settings: StreamSettings
    gate: bool
    plans: Plans
    negatives: tuple[Path, ...]
    seen: Seen | None
    negatives_seen: Seen | None

    def run(self, report: Reporter, rule: EventRule | None = None) -> StreamReport:
        """The live path over all of it, under the model's event rule or another one.

        Raises:
            EdgevidError: the model computed NaN or infinity.
            KeyboardInterrupt: Ctrl-C.
        """
        manifest, plans = self.network.manifest, self.plans
        done = StreamReport(
            self.name,
            manifest.with_events(rule) if rule else manifest,
            str(self.data),
            self.settings,
            self.gate,
            skipped=plans.skipped,
            unreadable=plans.unreadable,
            left_out=plans.left_out,
            seen=self.seen,
            negatives_seen=self.negatives_seen,
        )
        with report.bar(f"running {manifest.name}", len(plans.streams) + len(self.negatives)) as advance:
            for plan in plans.streams:
                played, faults = play(plan, self.network, gate=self.gate, rule=rule)
                done.played.append(played)
                done.faults |= faults
                advance(plan.name)
            for file in self.negatives:
                if str(file) not in plans.skipped:
                    with open_source(file, pace="fast") as source:
                        done.negatives.append(watch(source, self.network, gate=self.gate, rule=rule))
                        if source.fault is not None:
                            done.faults[str(file)] = source.fault
                advance(file.name)
        return done


def prepare(
    model: str,
    data: Path,
    options: ReadOptions,
    settings: StreamSettings,
    *,
    negatives: Sequence[Path] = (),
    split: str | None = None,
    gate: bool = True,
    threshold: str | None = None,
    hold: str | None = None,
    threads: int = 1,
    unseen: bool = False,
    report: Reporter,
) -> Trial:
    """Open a model, and plan streams of the clips of `data`.

    `model`: a bundled model's name, a model file, or a student's checkpoint, whose stream graph torch then computes.
    `threshold`, `hold`: as of `edgevid.cascade.saving`.
    `unseen`: refuse clips and negatives that the model says it was trained on.

    Raises:
        InputError: no such model, data or negatives, a model that does not step, no clip in `split`, no action that
            the model knows, or a model that cannot save as it is asked to.
    """
    name, network = _open(model, threads)
    network = saving(network, threshold, hold, gate=gate)
    several = network.manifest.activation == "sigmoid"
    records = clips_to_judge(data, options, split, report.say, several=several)
    say_unknown(name, network.manifest.labels, records, data, report.say)
    marks = network.manifest.provenance.trained_on
    if unseen:
        refuse_trained(records, marks, model, str(data), "a rule is fitted to")
    quiet = whole_negatives(negatives)
    files = tuple(record.file for record in quiet)
    refuse_actions(files, records)
    if unseen:
        refuse_trained(quiet, marks, model, "the negatives", "a rule is fitted to")
    plans = plan_streams(records, files, settings)
    seen, negatives_seen = seen_among(records, marks), seen_among(quiet, marks)
    return Trial(name, network, data, settings, gate, plans, files, seen, negatives_seen)


def _open(model: str, threads: int) -> tuple[str, StreamModel | ClipModel]:
    """What a report calls it, and the model itself."""
    if not is_checkpoint(model):
        network = load(model, threads=threads)
        return network.manifest.id, network
    from edgevid_train.checkpoint import folds_of
    from edgevid_train.evaluate.subjects.student import StudentCheckpoint
    from edgevid_train.evaluate.torch_stream import TorchStream

    if folds := folds_of(Path(model)):
        raise InputError(f"{model} is cross-validated: --stream judges one of its runs, like {folds[0]}")
    subject = open_subject(model, threads, "cpu")
    if not isinstance(subject, StudentCheckpoint):
        raise InputError(
            f"{model} is a teacher, which sees a clip as a whole: --stream is for what sees frame by frame"
        )
    return subject.name, TorchStream(subject.student, subject.manifest)
