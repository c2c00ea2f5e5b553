"""When to stop: which exit decides a step, and what a person may ask for instead of what the manifest says."""

import re
from collections.abc import Sequence

import numpy as np

from edgevid.errors import InputError
from edgevid.manifest import MOST_HELD, ExitSpec, HoldRule, Manifest
from edgevid.models.contract import ClipModel, Outputs, StreamModel
from edgevid.models.scores import Scores, activate


def decide(outputs: Outputs, manifest: Manifest) -> tuple[Scores, int]:
    """Of one step: the scores of the exits that were computed, `(computed, labels)`, and which of them decided.

    A conditional model has decided itself, and what its logits say of later exits is no score of theirs.

    Raises:
        EdgevidError: a logit is NaN or infinite.
    """
    if outputs.exit is not None:
        return activate(outputs.logits[: outputs.exit + 1], manifest.activation), outputs.exit
    scores = activate(outputs.logits, manifest.activation)
    return scores, deciding_exit(scores, manifest.exits, manifest.activation)


def deciding_exit(scores: Scores, exits: tuple[ExitSpec, ...], activation: str = "softmax") -> int:
    """Index of the first exit that is sure enough, from the scores of every exit, `(exits, labels)`.

    The last exit always decides, whatever its threshold.

    Raises:
        ValueError: there is not one row of scores for each exit.
    """
    if len(scores) != len(exits):
        raise ValueError(f"{len(exits)} exits, but scores of shape {scores.shape}")
    for i, exit_spec in enumerate(exits[:-1]):
        if is_sure(scores[i], exit_spec.threshold, activation):
            return i
    return len(exits) - 1


def is_sure(scores: Scores, threshold: float | None, activation: str = "softmax") -> bool:
    """Whether an exit with these scores, `(labels,)`, decides: never without a threshold.

    It is compared in float32, as an exported graph compares it.
    """
    return threshold is not None and bool(sureness(scores, activation) >= np.float32(threshold))


def sureness(scores: Scores, activation: str) -> Scores:
    """How sure exits with these scores are, `(..., labels)` -> `(...)`: of their best score, background included.

    Where labels are independent of one another (`sigmoid`) an exit is as sure as of the label of which it is least
    sure: that it is there or, `1 - score`, that it is not.
    """
    if activation == "sigmoid":
        return np.asarray(np.maximum(scores, 1 - scores).min(axis=-1), np.float32)
    return np.asarray(scores.max(axis=-1), np.float32)


def saving(
    network: StreamModel | ClipModel, threshold: str | None = None, hold: str | None = None, *, gate: bool = True
) -> StreamModel | ClipModel:
    """The network under a cascade that a person asks for; what is None stays as its manifest has it.

    Both in words: see `thresholds_of` and `hold_rule`. `gate`: whether there is one, which alone can hold.

    Raises:
        InputError: no such score or rule, no exit before the last, a model that looks at every frame, or no gate.
    """
    if hold is not None:
        if not isinstance(network, StreamModel) or not network.manifest.can_hold:
            raise InputError(f"--hold is for stream models with several exits, and {network.manifest.name} is none")
        rule, most = hold_rule(hold), network.manifest.most_held
        if max(rule.quiet, rule.busy) > most:
            raise InputError(f"--hold {hold}: of {network.manifest.name} a look is good for {most} frames more at most")
        if not gate and max(rule.quiet, rule.busy):
            raise InputError(f"--hold {hold} and --no-gate: it is the gate that holds; leave out one of them")
        network = network.with_hold(rule)
    if threshold is None:
        return network
    exits = network.manifest.exits
    if not isinstance(network, StreamModel) or len(exits) < 2:
        raise InputError(f"--threshold is for stream models with several exits, and {network.manifest.name} is none")
    return network.with_thresholds(thresholds_of(threshold, [spec.name for spec in exits]))


def thresholds_of(text: str, exits: Sequence[str]) -> list[float | None]:
    """Of each of these exits, by name: from one score for all but the last, or a score or `never` for each of those.

    Raises:
        InputError: it is something else.
    """
    *before, _ = exits
    parts = text.split(",")
    parts = parts * len(before) if len(parts) == 1 else parts
    try:
        scores = [None if part == "never" else float(part) for part in parts]
    except ValueError:
        scores = []
    if len(scores) != len(before) or not all(score is None or 0 <= score <= 1 for score in scores):
        each = f"a score or 'never' for each of {', '.join(before)}"
        raise InputError(f"--threshold is a score from 0 to 1, or with commas {each}, not {text}")
    return [*scores, None]


def hold_rule(text: str) -> HoldRule:
    """`QUIET,BUSY`, or one number for both.

    Raises:
        InputError: it is something else.
    """
    numbers = [int(part) if re.fullmatch(r"[0-9]{1,3}", part) else -1 for part in text.split(",")]
    if len(numbers) > 2 or not all(0 <= number <= MOST_HELD for number in numbers):
        raise InputError(f"--hold is one or two numbers of frames from 0 to {MOST_HELD}, such as 3,1, not {text}")
    return HoldRule(quiet=numbers[0], busy=numbers[-1])
