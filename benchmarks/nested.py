"""The figure of a choice: how good a version is that was chosen without the clips that judge it.

    python benchmarks/nested.py runs/first runs/second runs/third

Each argument is a finished cross-validation over the same folds. Fold by fold, the version that was best on the other
folds answers for this one; `--by loss` chooses by log loss instead of top-1, which of few clips says more. It is a
nested choice among versions that are there, not a new training for every choice: the networks that judge a version on
the other folds have seen this one's clips.
"""

import argparse
from pathlib import Path

from ending import one_line_errors
from finished import Clip, figures_of, predictions_of

from edgevid.errors import InputError
from edgevid_train.checkpoint import folds_of
from edgevid_train.evaluate.figures.metrics import log_loss, wilson_interval

Fold = dict[Clip, tuple[bool, float]]
"""Of each clip whether it was told rightly, and its log loss."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--by", choices=["top1", "loss"], default="top1")
    args = parser.parse_args()
    with one_line_errors():
        versions = {str(run): judged(run) for run in args.runs}
        chosen = choose(versions, args.by)
    right = n = 0
    for i, name in enumerate(chosen):
        fold = versions[name][i]
        hits = sum(is_right for is_right, _ in fold.values())
        right, n = right + hits, n + len(fold)
        print(f"fold {i + 1}: {name}, {hits} of {len(fold)}")
    low, high = wilson_interval(right, n)
    print(f"chosen by {args.by} on the other folds: top-1 {right / n:.3f} ({low:.3f} to {high:.3f}, 95%), n = {n}")


def judged(run: Path) -> list[Fold]:
    """Raises InputError when it is no finished cross-validation."""
    folders = folds_of(run)
    if len(folders) < 2:
        raise InputError(f"{run}: no cross-validation")
    return [
        {
            clip: (said["predicted"] == said["label"], log_loss(said["scores"], said["label"]))
            for clip, said in predictions_of(figures_of(folder)).items()
        }
        for folder in folders
    ]


def choose(versions: dict[str, list[Fold]], by: str) -> list[str]:
    """Of every fold the name of the version that is best on the other folds; of equals the one of less loss.

    Raises:
        InputError: two versions were judged by other clips, or in other folds.
    """
    first = next(iter(versions.values()))
    for name, folds in list(versions.items())[1:]:
        if [fold.keys() for fold in folds] != [fold.keys() for fold in first]:
            raise InputError(f"{name} and {next(iter(versions))} have different folds")

    def worth(name: str, out: int) -> tuple[float, float]:
        rest = [value for i, fold in enumerate(versions[name]) if i != out for value in fold.values()]
        loss = -sum(loss for _, loss in rest)
        return (sum(is_right for is_right, _ in rest) if by == "top1" else loss), loss

    return [max(versions, key=lambda name: worth(name, out)) for out in range(len(first))]


if __name__ == "__main__":
    main()
