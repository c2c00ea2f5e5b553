"""Pictures of reports: whatever labels are called, and however many there are."""

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgevid_train.evaluate.plots import MOST_NAMED, draw_confusion, draw_embeddings, draw_timeline
from edgevid_train.evaluate.streams.matching import Action, Found, Stream

STRANGE = ["$x^$", r"$\\bad$", "pay $5 & $6", "$", "ノ日本"]


def test_labels_are_no_formulas_and_letters_that_a_font_lacks_no_warnings(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # as the module does for its users
        draw_confusion(STRANGE, np.eye(len(STRANGE), dtype=np.int64), tmp_path / "confusion.png")
        places = np.random.default_rng(0).random((2 * len(STRANGE), 2), np.float32)
        draw_embeddings(places, STRANGE * 2, [True, False] * len(STRANGE), tmp_path / "embeddings.png")
        actions = [Action(label, 2.0 * i, 2.0 * i + 1) for i, label in enumerate(STRANGE)]
        found = [Found(label, 2.0 * i, 2.0 * i + 1, 2.0 * i + 1) for i, label in enumerate(STRANGE)]
        draw_timeline(Stream("$a", 20.0, tuple(actions), tuple(found)), tmp_path / "timeline.png")
    for name in ("confusion", "embeddings", "timeline"):
        assert cv2.imread(str(tmp_path / f"{name}.png")) is not None


@pytest.mark.parametrize("labels", [MOST_NAMED, 800])
def test_a_confusion_of_many_labels_is_no_larger_than_one_of_sixty(tmp_path: Path, labels: int) -> None:
    draw_confusion([f"label {i}" for i in range(labels)], np.eye(labels, dtype=np.int64), tmp_path / "c.png")
    height, width, _ = cv2.imread(str(tmp_path / "c.png")).shape
    assert max(height, width) < 6000


@pytest.mark.parametrize("labels", [2, 7, 60])
def test_long_names_are_not_cut_at_the_picture_s_edge(tmp_path: Path, labels: int) -> None:
    names = [f"putting something similar to other things that are already on the table {i}" for i in range(labels)]
    draw_confusion(names, np.eye(labels, dtype=np.int64), tmp_path / "c.png")
    picture = cv2.imread(str(tmp_path / "c.png"))
    for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
        assert (edge == 255).all()
