"""What a network is asked about labels, and what a wrong answer costs: for the teacher's clips and the student's steps.

One label a clip: softmax and cross-entropy. Several, or none: an independent sigmoid and binary cross-entropy for each.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from edgevid.manifest import Activation
from edgevid_train.samples.step_targets import IGNORE


class TaskConfig(BaseModel):
    """`kind`: `one_label` of a clip is true, the background where no other is; or `multi_label`: any number of them.

    Of multi-label clips the background is no label: it is what a clip is that has none, in the data called `other`.

    `class_weights`: how much a label's mistakes count, by its training clips: all alike (`none`), as the `inverse` of
    their number, or of its square root (`inverse_sqrt`); the mean over labels is 1. `focal`: the gamma with which
    answers that are right already count less (Lin et al. 2017, Focal Loss), 0 for none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["one_label", "multi_label"] = "one_label"
    class_weights: Literal["none", "inverse", "inverse_sqrt"] = "none"
    focal: float = Field(default=0.0, ge=0, le=10)

    @property
    def multi_label(self) -> bool:
        return self.kind == "multi_label"

    @property
    def activation(self) -> Activation:
        """How scores come from logits."""
        return "sigmoid" if self.multi_label else "softmax"


class LabelLoss(nn.Module):
    """The loss of rows of logits `(N, L)`.

    Targets are int64 `(N,)`, IGNORE where a row is asked nothing; or float32 `(N, L)`: how much of each label is true.
    `class_weights`: `(L,)`.
    """

    class_weights: Tensor | None

    def __init__(self, config: TaskConfig | None = None, smoothing: float = 0, class_weights: Tensor | None = None):
        super().__init__()
        self.config = config or TaskConfig()
        self.smoothing = smoothing
        self.register_buffer("class_weights", class_weights, persistent=False)  # follows from the data, and moves along

    def forward(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of every row and how much it counts, `(N,)` each; a mean is divided by the sum of the latter."""
        if self.config.multi_label:
            losses = self._binary(logits, targets)
        elif self.config.focal:
            losses = self._focal(logits, targets)
        else:
            losses = self._cross_entropy(logits, targets, "none")
        return losses, self.counts(targets)

    def mean(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Over rows that all have a target."""
        if not (self.config.multi_label or self.config.focal or targets.is_floating_point()):
            return self._cross_entropy(logits, targets, "mean")
        losses, counts = self.forward(logits, targets)
        mean: Tensor = losses.sum() / counts.sum()
        return mean

    def counts(self, targets: Tensor) -> Tensor:
        """How much each row counts, `(N,)`: as much as its label, as torch's cross-entropy has it; of independent
        labels all rows alike.
        """
        if not targets.is_floating_point():
            asked = targets != IGNORE
            return asked if self.class_weights is None else asked * self.class_weights[targets.clamp(min=0)]
        if self.class_weights is None or self.config.multi_label:
            return torch.ones_like(targets[:, 0])
        return targets @ self.class_weights

    def _cross_entropy(self, logits: Tensor, targets: Tensor, reduction: str) -> Tensor:
        return functional.cross_entropy(
            logits,
            targets,
            weight=self.class_weights,
            reduction=reduction,
            label_smoothing=self.smoothing,
            ignore_index=-100 if targets.is_floating_point() else IGNORE,  # shares of labels allow no other
        )

    def _focal(self, logits: Tensor, targets: Tensor) -> Tensor:
        shares = _shares(targets, logits.shape[1])
        shares = shares * (1 - self.smoothing) + shares.sum(1, keepdim=True) * self.smoothing / logits.shape[1]
        log_p = functional.log_softmax(logits, -1)
        terms = shares * _down_weighted(1 - log_p.exp(), self.config.focal) * -log_p
        return (terms if self.class_weights is None else terms * self.class_weights).sum(1)

    def _binary(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Summed over labels: the gradient at a logit is `sigmoid - target`, as cross-entropy's is with softmax."""
        targets = targets * (1 - self.smoothing) + self.smoothing / 2
        if self.config.focal:
            p, gamma = logits.sigmoid(), self.config.focal
            there = _down_weighted(1 - p, gamma) * -functional.logsigmoid(logits)
            absent = _down_weighted(p, gamma) * -functional.logsigmoid(-logits)
            terms = targets * there + (1 - targets) * absent
        else:
            terms = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
        return (terms if self.class_weights is None else terms * self.class_weights).sum(1)


def _shares(targets: Tensor, labels: int) -> Tensor:
    """Float `(N, L)`; zeros where nothing is asked."""
    if targets.is_floating_point():
        return targets
    return functional.one_hot(targets.clamp(min=0), labels).float() * (targets != IGNORE)[:, None]


def divergence(logits: Tensor, answer: Tensor, activation: Activation) -> Tensor:
    """KL from an answer to another, of logits `(..., L)`: `(...)`; of independent labels the sum over them."""
    if activation == "softmax":
        target = functional.log_softmax(answer, -1)
        return (target.exp() * (target - functional.log_softmax(logits, -1))).sum(-1)
    p = answer.sigmoid()
    there = p * (functional.logsigmoid(answer) - functional.logsigmoid(logits))
    absent = (1 - p) * (functional.logsigmoid(-answer) - functional.logsigmoid(-logits))
    return (there + absent).sum(-1)


def class_weights(config: TaskConfig, clips: Iterable[Sequence[str]], labels: Sequence[str]) -> Tensor | None:
    """`(L,)` from the labels of every training clip; None where all labels count alike.

    A label that no clip has counts 1, as the mean over the others.
    """
    if config.class_weights == "none":
        return None
    found = Counter(label for names in clips for label in names)
    counts = torch.tensor([float(found[label]) for label in labels])
    power = -1.0 if config.class_weights == "inverse" else -0.5
    weights = torch.where(counts > 0, counts.clamp(min=1) ** power, 0)
    return torch.where(counts > 0, weights / weights.sum().clamp(min=1e-12) * (counts > 0).sum(), 1.0)


def _down_weighted(wrong: Tensor, gamma: float) -> Tensor:
    """`wrong` to the power of `gamma`, 0..1. At 0 a root has no gradient, but for the clamp."""
    return wrong.clamp(min=1e-6) ** gamma
