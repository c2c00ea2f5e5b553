"""Short streams and small pictures first: how they grow, and that a resume goes on with the right ones."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tiny_run import RECIPE, distill, interrupt_at, tiny_recipe

from edgevid.errors import InputError
from edgevid_train.loop.curriculum import CurriculumConfig, EasierFirst
from edgevid_train.samples.dataset import TrainingClips
from edgevid_train.samples.sampler import ClipSampler, smaller


@given(st.integers(1, 4), st.integers(1, 5), st.floats(0.1, 6), st.floats(0.1, 0.99), st.floats(0.1, 0.99))
def test_it_begins_small_grows_evenly_and_is_over_after_its_epochs(
    clips: int, batch: int, epochs: float, length: float, size: float
) -> None:
    sampler = ClipSampler([20] * (4 * clips), batch, seed=1, max_steps=20, lead_steps=0)
    eased = EasierFirst(sampler, CurriculumConfig(epochs=epochs, length=length, size=size))
    assert eased.batches == sampler.batches
    plans = [plan for epoch in range(8) for plan in eased.epoch(epoch)]
    whole = [plan for epoch in range(8) for plan in sampler.epoch(epoch)]
    assert [(plan.clips, plan.turns) for plan in plans] == [(plan.clips, plan.turns) for plan in whole]
    assert (plans[0].steps, plans[0].size) == (max(2, round(20 * length)), size)
    assert all(a.steps <= b.steps and a.size <= b.size for a, b in pairwise(plans))
    over = -(-int(epochs * sampler.batches * 1000) // 1000) + 1
    assert plans[over:] == whole[over:]


@given(st.integers(32, 500), st.floats(0.01, 1))
def test_smaller_sides_are_no_larger_and_never_tiny(side: int, share: float) -> None:
    assert 32 <= smaller(side, share) <= side
    assert abs(smaller(side, share) - max(32, share * side)) <= 4 or share == 1
    assert smaller(side, 1.0) == side


@pytest.mark.parametrize("given", [{"epochs": 3}, {"size": 0.5}])
def test_what_would_do_nothing_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(InputError, match="curriculum: epochs go with a length or a size below 1"):
        tiny_recipe(curriculum=given)


def test_a_curriculum_is_trained_and_resumed_exactly(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    larger = RECIPE.replace("input = { height = 32, width = 32 }", "input = { height = 48, width = 64 }", 1)
    (tmp_path / "tiny.toml").write_text(larger + "[curriculum]\nepochs = 1.5\nlength = 0.5\nsize = 0.5\n")
    words = ["--recipe", tmp_path / "tiny.toml", "--data", clips, "--set", "distill.response=0"]
    words += ["--set", "distill.feature=0"]

    shapes: list[tuple[int, ...]] = []
    load = TrainingClips.load

    def seen(self, plan):
        batch = load(self, plan)
        shapes.append(tuple(batch.frames.shape[1:4]))
        return batch

    with monkeypatch.context() as patched:
        patched.setattr(TrainingClips, "load", seen)
        ran = distill(*words, "--out", tmp_path / "whole")
    assert ran.status == 0, ran.err
    assert [shape[1:] for shape in shapes] == [(32, 32), (32, 40), (32, 48), (40, 56), (48, 64), (48, 64)]
    assert shapes[0][0] < max(steps for steps, _, _ in shapes)
    with monkeypatch.context() as patched:
        interrupt_at(patched, 5)
        assert distill(*words, "--out", tmp_path / "parts").status == 130
    ran = distill("--resume", "--out", tmp_path / "parts")
    assert ran.status == 0, ran.err
    one, two = (load_file(tmp_path / name / "student" / "last" / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(one[key], two[key]) for key in one)
