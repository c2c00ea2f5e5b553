"""Several finished teachers that answer as one."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgevid.errors import InputError
from edgevid.manifest import Activation
from edgevid_train.models.teachers.config import Teacher, TeacherConfig, TeacherOutputs


class Ensemble(nn.Module):
    """The mean of its members' probabilities; as logits its logarithm, so that a temperature softens it like any other.

    Of independent labels (`sigmoid`) it is the mean of each label's probability, as a logit.

    Its features are those of all members side by side, each layer-normed: no member is heard for being loud. Where it
    looks is the mean of where its members do, those that say so: of each the first place.

    Raises:
        InputError: fewer than two members, or they do not take the same frames.
    """

    def __init__(self, config: TeacherConfig, members: Sequence[nn.Module], activation: Activation = "softmax") -> None:
        super().__init__()
        self.activation = activation
        self.config = config
        self.members = nn.ModuleList(members)
        self.feature_size = sum(member.feature_size for member in self._teachers())
        for number, member in enumerate(self._teachers(), start=1):
            theirs, ours = taken(member.config), taken(config)
            if theirs != ours:
                raise InputError(f"teacher.members: member {number} takes {theirs}, the recipe gives {ours}")

    def forward(self, frames: Tensor) -> TeacherOutputs:
        answers = [member(frames) for member in self._teachers()]
        logits = torch.stack([answer.logits.float() for answer in answers])
        features = [functional.layer_norm(answer.features, answer.features.shape[-1:]) for answer in answers]
        looks = [answer.places[:, :, :1].float() for answer in answers if answer.places is not None]
        places = torch.stack(looks).mean(0) if looks else None
        if self.activation == "sigmoid":
            return TeacherOutputs(logits.sigmoid().mean(0).logit(eps=1e-6), torch.cat(features, -1), places)
        return TeacherOutputs(logits.softmax(-1).mean(0).clamp(min=1e-12).log(), torch.cat(features, -1), places)

    def _teachers(self) -> list[Teacher]:
        return list(self.members)  # type: ignore[arg-type]  # modules are teachers here, which torch cannot know


def taken(config: TeacherConfig) -> str:
    """What a teacher takes, for people: `16 frames of 96x72 (stretch)`."""
    spec = config.input
    rate = f" at {config.rate_hz:g} Hz" if config.rate_hz else ""
    return f"{config.frames} frames of {spec.width}x{spec.height} ({spec.fit}){rate}"
