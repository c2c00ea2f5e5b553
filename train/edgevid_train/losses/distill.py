"""What a student learns from: the labels, the teacher's answers, the teacher's features. One object owns the terms."""

import math
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor, nn
from torch.nn import functional

from edgevid.manifest import Activation
from edgevid_train.losses.counts import WHOLE, Counts, shares_of
from edgevid_train.losses.label_loss import LabelLoss, divergence
from edgevid_train.losses.taps import TapConfig, TapTerms, relation_loss
from edgevid_train.models.student import Student, StudentOutputs
from edgevid_train.models.teachers.build import TeacherOutputs
from edgevid_train.samples.batch import StepTargets


class DistillConfig(BaseModel):
    """Weights of the terms. `inner_exits`: weight of every exit's loss but the last, whose weight is 1; one for
    all of them, or one for each.

    `own_answer`: what inner exits learn from the last one's answer at every step, also where nobody else can say (Zhang
    et al. 2019, Be Your Own Teacher): a cascade that stops early is to say what it would have said at the end.
    `skipping`: share of training streams whose past is that of a cascade: at each step some exit decided, drawn by lot.
    `place`: where the hand points and whether it does, in clips that know it.

    `temperature` softens both answers; the term is multiplied by its square, so that its gradient keeps its size
    (Hinton et al. 2015).

    Student and teacher see the same view of a clip, each at its own size and rate: the same crop, turn, colours, hidden
    part, mirroring, speed and mixture with another clip. `one_view` (function matching, Beyer et al. 2022) gives them
    the same in time too, and in the picture's units: of an action whose beginning the student's stream has no room for
    the teacher sees what the student does; the camera shakes for both at the same moments, and blur is of the same
    share of the picture. What the student sees before and after an action stays its own; grain is drawn for each.

    `look`: that the student looks, at each step of the action, where the teacher does, in clips that do not know where
    the hand points: a teacher that was told so in other clips tells it in these.

    `relation`: that embeddings of a batch's clips, each the mean over a clip's decisive steps, are as far apart as the
    teacher's features (see `relation_loss`). `taps`: what is learned from inside of the teacher (see `TapConfig`).

    `cache_mb`: of a teacher's answers on disk, in the cache folder, for other students' trainings; 0 for none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: float = Field(default=1.0, ge=0)
    place: float = Field(default=1.0, ge=0)
    response: float = Field(default=1.0, ge=0)
    feature: float = Field(default=0.3, ge=0)
    temperature: float = Field(default=2.0, gt=0)
    look: float = Field(default=0.0, ge=0)
    relation: float = Field(default=0.0, ge=0)
    one_view: bool = False
    inner_exits: float | tuple[float, ...] = 0.5
    own_answer: float = Field(default=0.0, ge=0)
    skipping: float = Field(default=0.5, ge=0, le=1)
    label_smoothing: float = Field(default=0.05, ge=0, lt=1)
    cache_mb: int = Field(default=0, ge=0)
    taps: tuple[TapConfig, ...] = ()

    @field_validator("inner_exits", mode="before")
    @classmethod
    def _weights(cls, value: Any) -> Any:
        values = value if isinstance(value, list | tuple) else [value]
        if not all(isinstance(x, int | float) and not isinstance(x, bool) and 0 <= x < math.inf for x in values):
            raise ValueError("a weight of 0 or more, or one for each inner exit, for example [0.3, 0.6]")
        return value


def exit_weights(config: DistillConfig, exits: int) -> list[float]:
    """What each exit's loss weighs, the last one's 1."""
    inner = config.inner_exits if isinstance(config.inner_exits, tuple) else [config.inner_exits] * (exits - 1)
    return [*inner, 1.0]


def task_loss(logits: Tensor, targets: Tensor, weights: Tensor, loss: LabelLoss) -> Tensor:
    """Weighted mean over the steps that have a target. `logits` `(B, T, L)`, the others as in `StepTargets`."""
    per_step, counts = loss(logits.flatten(0, 1), targets.flatten(0, 1))
    mean: Tensor = (per_step * weights.flatten()).sum() / (weights.flatten() * counts).sum().clamp(min=1e-6)
    return mean


def place_loss(looked_at: Tensor, places: Tensor) -> Tensor:
    """Smooth L1, in tenths of the picture, between a head's first place and where the hand points.

    `looked_at` `(B, T, points, 2)`, `places` `(B, T, 2)`, NaN where unknown; nothing known, or no points: no loss. A
    network that is told where the hand is learns from far fewer clips what it draws.
    """
    known = ~places.isnan().any(-1)
    if looked_at.shape[2] == 0 or not known.any():
        return looked_at.new_zeros(())
    return functional.smooth_l1_loss(10 * looked_at[:, :, 0][known], 10 * places[known])


def pointing_loss(seen: Tensor, pointing: Tensor) -> Tensor:
    """Cross-entropy between whether a hand seems to point, a logit, and whether it does, `(B, T)`; NaN is unknown."""
    known = ~pointing.isnan()
    if not known.any():
        return seen.new_zeros(())
    return functional.binary_cross_entropy_with_logits(seen[known], pointing[known])


def look_loss(looked_at: Tensor, theirs: Tensor, progress: Tensor, unknown: Tensor) -> Tensor:
    """Smooth L1, in tenths of the picture, between a head's first place and the teacher's, taken at the same moment.

    `looked_at` `(B, T, points, 2)`, `theirs` `(B, Tt, points, 2)`; `progress` `(B, T)` as in `StepTargets`; `unknown`,
    bool `(B, T)`: the steps of which no label says where the hand points. Mean over a clip's steps, then the batch.
    """
    counts = unknown & ~progress.isnan()
    last = theirs.shape[1] - 1
    at = progress.nan_to_num() * last
    before = at.long()  # and the next one, between which the moment lies
    share = (at - before).unsqueeze(2)
    clips = torch.arange(len(theirs), device=theirs.device).unsqueeze(1)
    first = theirs[:, :, 0].float()
    places = first[clips, before] * (1 - share) + first[clips, (before + 1).clamp(max=last)] * share
    apart = functional.smooth_l1_loss(10 * looked_at[:, :, 0], 10 * places, reduction="none").mean(2)
    return (apart * shares_of(counts)).sum() / len(looked_at)


def response_loss(
    logits: Tensor, answer: Tensor, decisive: Tensor, temperature: float, activation: Activation = "softmax"
) -> Tensor:
    """KL from the teacher's softened answer `(B, L)` to the student's at the decisive steps of each clip.

    Mean over a clip's decisive steps, then divided by the batch: the mathematical KL, not torch's mean over elements.
    """
    kl = divergence(logits / temperature, answer.unsqueeze(1) / temperature, activation)  # (B, T)
    return (kl * shares_of(decisive)).sum() / len(logits) * temperature**2


def own_answer_loss(logits: Tensor, last: Tensor, activation: Activation = "softmax") -> Tensor:
    """Mean KL over all steps from the last exit's answer, taken as it is, to an inner exit's; both `(B, T, L)`."""
    return divergence(logits, last.detach(), activation).mean()


def feature_loss(projected: Tensor, features: Tensor, decisive: Tensor) -> Tensor:
    """Smooth L1 between the projected embedding at the decisive steps `(B, T, D)` and layer-normed features `(B, D)`.

    Layer-normed targets, as in MVD (Wang et al. 2023): the scale of a teacher's features is nobody's business.
    """
    target = functional.layer_norm(features, features.shape[-1:]).unsqueeze(1).expand_as(projected)
    per_step = functional.smooth_l1_loss(projected, target, reduction="none").mean(-1)
    return (per_step * shares_of(decisive)).sum() / len(projected)


class DistillTask(nn.Module):
    """Owns every loss term of the student at every exit. Without a teacher only the task loss is left."""

    def __init__(
        self,
        config: DistillConfig,
        student: Student,
        teacher_features: int | None,
        label_loss: LabelLoss | None = None,
    ) -> None:
        """`label_loss`: plain cross-entropy with the config's smoothing when it is not given."""
        super().__init__()
        self.config = config
        self.label_loss = label_loss or LabelLoss(smoothing=config.label_smoothing)
        self.exit_weights = exit_weights(config, len(student.exit_names))
        self.project = nn.Linear(student.embedding_size, teacher_features) if teacher_features else None
        self.taps: TapTerms | None = None
        """Of the config's taps, where there is a teacher."""

    def counts(self, steps: StepTargets) -> Counts:
        """What the terms are means over."""
        labels = steps.weights.flatten() * self.label_loss.counts(steps.targets.flatten(0, 1))
        places, pointing = ~steps.places.isnan().any(-1), ~steps.pointing.isnan()
        return Counts(len(steps.weights), *torch.stack([x.sum().float() for x in (labels, places, pointing)]).tolist())

    def forward(
        self,
        outputs: StudentOutputs,
        steps: StepTargets,
        teacher: TeacherOutputs | None,
        shares: Counts = WHOLE,
        heard: dict[str, Any] | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss to minimise, and its terms by name, each already weighted and summed over exits.

        `shares`: of a part of a batch in the whole batch's counts. `heard`: what the student's modules gave, by path.
        """
        config, activation = self.config, self.label_loss.config.activation
        terms: dict[str, Tensor] = {"task": outputs.embedding.new_zeros(())}
        for logits, weight in zip(outputs.logits, self.exit_weights, strict=True):
            loss = task_loss(logits, steps.targets, steps.weights, self.label_loss) * shares.labels
            terms["task"] = terms["task"] + weight * config.task * loss
        terms["place"] = outputs.embedding.new_zeros(())
        for looked_at, seen, weight in zip(outputs.places, outputs.pointing, self.exit_weights, strict=True):
            loss = place_loss(looked_at, steps.places) * shares.places
            loss = loss + pointing_loss(seen, steps.pointing) * shares.pointing
            terms["place"] = terms["place"] + weight * config.place * loss
        if config.own_answer:
            *inner, last = outputs.logits
            own = [own_answer_loss(logits, last, activation) for logits in inner]
            own_answer = torch.stack(own).sum() * shares.clips if own else last.new_zeros(())
            terms["own_answer"] = config.own_answer * own_answer
        if teacher is not None and self.project is not None:
            response = outputs.embedding.new_zeros(())
            for logits, weight in zip(outputs.logits, self.exit_weights, strict=True):
                kl = response_loss(logits, teacher.logits, steps.decisive, config.temperature, activation)
                response = response + weight * config.response * kl
            terms["response"] = response * shares.clips
            feature = feature_loss(self.project(outputs.embedding), teacher.features, steps.decisive)
            terms["feature"] = config.feature * feature * shares.clips
            if config.look:
                assert teacher.places is not None, "its task has asked whether it says so"
                looks = [
                    weight * look_loss(looked_at, teacher.places, steps.progress, steps.pointing.isnan())
                    for looked_at, weight in zip(outputs.places, self.exit_weights, strict=True)
                ]
                terms["look"] = config.look * torch.stack(looks).sum() * shares.clips
            if config.relation:
                embedding = (shares_of(steps.decisive).unsqueeze(2) * outputs.embedding).sum(1)
                relation = relation_loss(embedding, teacher.features, steps.decisive.any(1))
                terms["relation"] = config.relation * relation * shares.clips
            if self.taps is not None:
                tapped = self.taps(heard or {}, teacher.taps, steps.progress)
                terms |= {name: term * shares.clips for name, term in zip(self.taps.names, tapped, strict=True)}
        return torch.stack(list(terms.values())).sum(), terms
