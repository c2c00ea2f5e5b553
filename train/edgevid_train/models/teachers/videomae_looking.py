"""VideoMAE's encoder under a head of ours."""

from typing import Any

from torch import Tensor, nn

from edgevid_train.models.teachers.config import TeacherConfig, TeacherOutputs
from edgevid_train.models.teachers.looking import Looking
from edgevid_train.models.teachers.normalised import Normalised
from edgevid_train.models.teachers.pretrained import load_transformers
from edgevid_train.models.teachers.tokens import TokenGrid
from edgevid_train.models.teachers.videomae import check_size, new_encoder


class VideoMAELookingTeacher(Normalised):
    """VideoMAE (Tong et al. 2022) under the head of the shifted teachers: its tokens are maps that the head looks at.

    VideoMAE's own averages over places and times, and is slow to learn a movement's form from few clips.

    Raises:
        InputError: weights that cannot be had or do not fit.
    """

    def __init__(self, config: TeacherConfig, labels: int) -> None:
        super().__init__()
        assert config.videomae is not None
        self.config = config
        self.feature_size = config.size
        self.videomae: Any = _encoder(config)
        self.grid = TokenGrid.of(config, self.videomae)
        width = config.videomae.width
        self.looking = Looking(config, labels, self.grid.times, width, 0, width)

    def forward(self, frames: Tensor) -> TeacherOutputs:
        out = self.videomae(self.normal(frames), output_hidden_states=True)
        middle, last = (
            self.grid.maps(tokens).transpose(1, 2).flatten(0, 1)
            for tokens in (out.hidden_states[len(self.layers) // 2], out.last_hidden_state)
        )
        found: TeacherOutputs = self.looking(middle, None, last)
        assert found.places is not None
        of_frames = found.places.repeat_interleave(frames.shape[1] // self.grid.times, 1)
        return TeacherOutputs(found.logits, found.features, of_frames)

    @property
    def layers(self) -> nn.ModuleList:
        layers: nn.ModuleList = self.videomae.encoder.layer
        return layers

    def body(self) -> tuple[str, ...]:
        """Beginnings of the names of the parameters that come from elsewhere."""
        return ("videomae.",)


def _encoder(config: TeacherConfig) -> Any:
    assert config.videomae is not None
    if config.weights == "none":
        return new_encoder(config.videomae, config.input, config.frames)
    # The classifier that comes with it is thrown away, whatever its labels.
    loaded = load_transformers("videomae", config.weights, config.input, config.frames, 1, ("classifier", "fc_norm"))
    check_size(loaded, config.videomae, config.weights)
    return loaded.videomae
