"""The head of teachers that look: where in a frame something is, over time, with the whole clip in view."""

import torch
from torch import Tensor, nn

from edgevid_train.models.heads import Eye
from edgevid_train.models.teachers.config import TeacherConfig, TeacherOutputs


class Looking(nn.Module):
    """Looks where in each map something is (`Eye`), then convolutions over time.

    `times`: maps of a clip. `middle`, `finer`, `last`: channels of the maps that are looked at: one half-way, beside it
    a finer one where a fingertip still has a place (0 for none), and the last.
    """

    def __init__(self, config: TeacherConfig, labels: int, times: int, middle: int, finer: int, last: int) -> None:
        super().__init__()
        size = config.size
        self.times = times
        self.look_middle = Eye(middle, finer, config.points, size)
        self.look = Eye(last, 0, config.points, size)
        self.over_time = nn.Sequential(
            nn.Conv1d(2 * size, size, 5, padding=2, bias=False),
            nn.BatchNorm1d(size),
            nn.ReLU(inplace=True),
            nn.Conv1d(size, size, 5, padding=2, bias=False),
            nn.BatchNorm1d(size),
            nn.ReLU(inplace=True),
        )
        # Order matters (up is down in reverse): the clip is read in place, not averaged over time.
        self.read = nn.Linear(size * times, size)
        self.dropout = nn.Dropout(config.dropout)
        self.decide = nn.Linear(size, labels)

    def forward(self, middle: Tensor, finer: Tensor | None, last: Tensor) -> TeacherOutputs:
        """Maps `(B * times, C, h, w)` of a batch; the places that are given are of each of the times."""
        half_way, places, _ = self.look_middle(middle, finer)
        seen = torch.cat([half_way, self.look(last).what], 1)
        seen = seen.reshape(-1, self.times, seen.shape[1]).transpose(1, 2)
        features = torch.relu(self.read(self.dropout(self.over_time(seen).flatten(1))))
        return TeacherOutputs(
            self.decide(self.dropout(features)), features, places.reshape(-1, self.times, *places.shape[1:])
        )
