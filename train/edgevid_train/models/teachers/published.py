"""A teacher whose network others build: one adapter from the frames of a clip to its logits and features."""

from typing import Any

from torch import Tensor, nn

from edgevid.errors import InputError, first_line
from edgevid_train.models.teachers.config import TeacherConfig, TeacherOutputs
from edgevid_train.models.teachers.normalised import NormalisedNetwork
from edgevid_train.models.teachers.pretrained import load_state_file, load_transformers
from edgevid_train.models.teachers.table import TEACHERS, Published
from edgevid_train.models.teachers.videomae import check_size, new_classifier


class PublishedTeacher(NormalisedNetwork):
    """A network of the table of teachers, of the recipe's input, from the recipe's weights.

    Its features are what its classifier reads, averaged over places and times where the classifier reads many.

    Raises:
        InputError: weights that cannot be had or do not fit, or an input that the network cannot take.
    """

    def __init__(self, config: TeacherConfig, labels: int) -> None:
        published = TEACHERS[config.kind].published
        assert published is not None
        super().__init__(_network(config, published, labels), published.normal)
        self.config = config
        self.arrange = published.arrange
        self.head = published.head[0]
        if published.idle is not None:
            self.network.get_submodule(published.idle).requires_grad_(False)
        last = [m for m in self.classifier.modules() if isinstance(m, nn.Linear | nn.Conv3d)][-1]
        self.channels_last = isinstance(last, nn.Linear)
        self.feature_size = last.in_features if isinstance(last, nn.Linear) else last.in_channels

    @property
    def classifier(self) -> nn.Module:
        found: nn.Module = self.network.get_submodule(self.head)
        return found

    def forward(self, frames: Tensor) -> TeacherOutputs:
        read: list[Tensor] = []
        tap = self.classifier.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
        try:
            out = self.network(self.arrange(self.normal(frames)))
        finally:
            tap.remove()
        features = read[0].flatten(1, -2).mean(1) if self.channels_last and read[0].ndim > 2 else read[0]
        if not self.channels_last:
            features = features.flatten(2).mean(2)
        return TeacherOutputs(getattr(out, "logits", out), features)

    def body(self) -> tuple[str, ...]:
        """Names of the parameters that come from elsewhere: all but those of the classifier and what belongs to it."""
        published = TEACHERS[self.config.kind].published
        assert published is not None
        heads = tuple(f"network.{module}." for module in published.head)
        return tuple(name for name, _ in self.named_parameters() if not name.startswith(heads))


def _network(config: TeacherConfig, published: Published, labels: int) -> Any:
    kind, spec, frames, weights = config.kind, config.input, config.frames, config.weights
    if published.library == "transformers":
        if weights != "none":
            loaded = load_transformers(kind, weights, spec, frames, labels, published.head)
            if config.videomae is not None:
                check_size(loaded, config.videomae, weights)
            return loaded
        if config.videomae is not None:
            return new_classifier(config.videomae, spec, frames, labels)
    try:
        network = published.build(labels, spec, frames)
    except (ValueError, RuntimeError, ZeroDivisionError) as error:
        reason = first_line(error)
        raise InputError(
            f"a {kind} for {frames} frames of {spec.width}x{spec.height} cannot be built: {reason}"
        ) from None
    if published.library != "transformers" and weights != "none":
        load_state_file(network, kind, weights)
    return network
