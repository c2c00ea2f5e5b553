"""Which clips to look at: what was confused with what, answers that were wrong and sure, or right and unsure."""

from collections.abc import Sequence
from dataclasses import dataclass

from edgevid_train.evaluate.figures.metrics import Prediction


@dataclass(frozen=True)
class Confusion:
    """`n` clips of `label` were taken for `predicted`; `clips`: the surest of these mistakes, the surest first."""

    label: str
    predicted: str
    n: int
    clips: tuple[Prediction, ...]


def confusions(predictions: Sequence[Prediction], most: int = 12, clips: int = 4) -> list[Confusion]:
    """Pairs of labels that were confused, the commonest first, of equals the one with the surest mistake."""
    pairs: dict[tuple[str, str], list[Prediction]] = {}
    for prediction in surest_wrong(predictions, len(predictions)):
        assert prediction.predicted is not None
        pairs.setdefault((prediction.label, prediction.predicted), []).append(prediction)
    found = [Confusion(*labels, len(wrong), tuple(wrong[:clips])) for labels, wrong in pairs.items()]
    return sorted(found, key=lambda confusion: -confusion.n)[:most]


def surest_wrong(predictions: Sequence[Prediction], most: int = 12) -> list[Prediction]:
    """Wrong answers, that with the highest score first. What could not be read is no answer."""
    wrong = [p for p in predictions if p.scores and not p.right]
    return sorted(wrong, key=lambda p: -p.confidence)[:most]


def least_sure_right(predictions: Sequence[Prediction], most: int = 8) -> list[Prediction]:
    """Right answers, that with the lowest score first."""
    return sorted((p for p in predictions if p.right), key=lambda p: p.confidence)[:most]


def samples(predictions: Sequence[Prediction], labels: Sequence[str], most: int = 24) -> list[Prediction]:
    """Of each label the right answer whose score is the middle one; of the first `most` labels that have one."""
    found = []
    for label in labels:
        right = sorted((p for p in predictions if p.right and p.label == label), key=lambda p: p.confidence)
        if right:
            found.append(right[len(right) // 2])
    return found[:most]
