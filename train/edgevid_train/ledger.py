"""Every sample that is skipped has a name, a reason and a place in a count."""

import csv
import io
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from edgevid.errors import InputError
from edgevid.files import write_text
from edgevid_train.annotations import ClipRecord

LEDGER = "ledger.csv"


@dataclass
class Ledger:
    """The clips of one run that could not be used, and why. A clip stands in it once."""

    reasons: dict[ClipRecord, str] = field(default_factory=dict)

    def skip(self, record: ClipRecord, reason: str) -> None:
        self.reasons.setdefault(record, reason)

    def __len__(self) -> int:
        return len(self.reasons)

    def check(self, total: int, max_share: float) -> None:
        """Stop when more of `total` clips are skipped than can be the odd bad file.

        Raises:
            InputError: says how many, which share is allowed, and names the first.
        """
        if len(self) > max_share * total:
            first, reason = next(iter(self.reasons.items()))
            raise InputError(
                f"{len(self)} of {total} clips cannot be used, more than the recipe's share of {max_share:.0%} "
                f"(data.max_skipped_share); the first: {first.id}: {reason}"
            )

    def summary(self) -> str:
        """One line: how many were skipped, by reason, the commonest first."""
        counts = Counter(self.reasons.values()).most_common()
        return f"{len(self)} skipped" + "".join(f"; {n} x {reason}" for reason, n in counts)

    def write(self, path: Path) -> None:
        """`clip,label,reason`, one row a clip; the header alone when nothing was skipped."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["clip", "label", "reason"])
        writer.writerows([record.id, record.label, reason] for record, reason in self.reasons.items())
        write_text(path, text.getvalue())
