"""Which clips of a run can be used: before anything is learned, every one is read once, each process its share."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edgevid_train.annotations import ClipRecord
from edgevid_train.decode import ClipCache, DecodedClip, DecodeError
from edgevid_train.ledger import LEDGER, Ledger
from edgevid_train.loop import processes
from edgevid_train.loop.interrupt import StoppedError
from edgevid_train.recipe import Recipe
from edgevid_train.reporter import Reporter
from edgevid_train.review.reading import Faults, Glances, summary, write_faults
from edgevid_train.samples.labelled_clip import steps_of

QUALITY = "quality.csv"


def usable_clips(
    records: Sequence[ClipRecord],
    cache: ClipCache,
    recipe: Recipe,
    out: Path,
    report: Reporter,
    stop: Callable[[], bool],
) -> dict[ClipRecord, int]:
    """Those of `records` that can be read, each with its steps. Writes the ledger and the quality of clips into `out`.

    Raises:
        InputError: more cannot be read than the recipe allows.
        StoppedError: `stop` said so.
    """

    def read() -> tuple[dict[ClipRecord, int], dict[ClipRecord, str], Faults]:
        own, ledger, glances = processes.own(records), Ledger(), Glances()
        with report.bar("reading clips", len(own)) as advance:

            def next_clip() -> None:
                advance(f"{len(ledger)} unreadable" if len(ledger) else "")
                if stop():
                    raise StoppedError("stopped before the first step")

            lengths = read_clips(
                own, cache, ledger, recipe.student.rate_hz, recipe.data.loaders, next_clip, glances.take
            )
        glances.take_some(list(lengths), cache)
        return lengths, ledger.reasons, glances.faults

    found = processes.together(read)
    lengths = {record: steps for part, _, _ in found for record, steps in part.items()}
    reasons = {record: reason for _, part, _ in found for record, reason in part.items()}
    faults = {record: those for _, _, part in found for record, those in part.items()}
    ledger = Ledger({record: reasons[record] for record in records if record in reasons})
    if processes.leads():
        ledger.write(out / LEDGER)
        write_faults(out / QUALITY, faults)
    if (line := summary(faults, len(lengths))) is not None:
        report.say(line)
    for record, reason in ledger.reasons.items():
        report.say(f"skipped: {record.id}: {reason}")
    ledger.check(len(records), recipe.data.max_skipped_share)
    return lengths


def read_clips(
    records: Sequence[ClipRecord],
    cache: ClipCache,
    ledger: Ledger,
    rate_hz: float,
    threads: int,
    on_clip: Callable[[], None] = lambda: None,
    on_decoded: Callable[[DecodedClip], None] = lambda _: None,
) -> dict[ClipRecord, int]:
    """Know that every clip can be decoded, before the first hour is spent. What cannot goes into the ledger.

    A clip is decoded now unless an earlier run decoded it and its file has not changed since. `on_decoded` is given
    those that are, by several threads.

    Returns: the readable records, in order, with their length in steps at `rate_hz`.
    """

    def length(record: ClipRecord) -> int | None:
        try:
            times_s = cache.known_times_s(record)
            if times_s is None:
                clip = cache.get(record)
                on_decoded(clip)
                times_s = clip.times_s
            return steps_of(times_s, rate_hz)
        except DecodeError as error:
            ledger.skip(record, str(error))
            return None

    lengths = {}
    with ThreadPoolExecutor(threads, thread_name_prefix="reader") as pool:
        pending = [(record, pool.submit(length, record)) for record in records]
        try:
            for record, future in pending:
                steps = future.result()
                if steps is not None:
                    lengths[record] = steps
                on_clip()
        finally:
            for _, future in pending:
                future.cancel()
    cache.remember_decoded()
    return lengths
