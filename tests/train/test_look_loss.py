"""The student looks where the teacher does: values by hand, who is asked, what is refused, and a run."""

from pathlib import Path

import pytest
import torch
from students import small_student
from test_taps import some_batch
from test_teacher_kinds import tiny_config
from tiny_run import RECIPE, distill, tiny_recipe, write_clips

from edgevid.errors import InputError
from edgevid_train.losses.distill import DistillConfig, look_loss
from edgevid_train.losses.tasks import StudentTask
from edgevid_train.models.teachers.build import build_teacher
from edgevid_train.models.teachers.config import Teacher
from edgevid_train.models.teachers.ensemble import Ensemble
from edgevid_train.recipe import load_recipe

NAN = torch.nan


def teacher(seed: int = 0) -> Teacher:
    torch.manual_seed(seed)
    return build_teacher(tiny_recipe().teacher, 5).eval()


def task(points: int = 4, of: Teacher | None = None, **terms: float) -> StudentTask:
    torch.manual_seed(1)
    student = small_student(height=32, width=32, exits=(1, 2), dropout=0.0, points=points)
    nothing = {"task": 0.0, "place": 0.0, "response": 0.0, "feature": 0.0, "skipping": 0.0}
    return StudentTask(student, DistillConfig(**(nothing | terms)), of or teacher())


def test_by_hand() -> None:
    theirs = torch.tensor(
        [[[[0.0, 0.5], [9, 9]], [[0.4, 0.5], [9, 9]], [[0.4, 0.9], [9, 9]]]]
    )  # three times, two points
    progress = torch.tensor([[NAN, 0.0, 0.25, 0.75, 1.0]])  # the teacher is at 0, 0; 0.2, 0.5; 0.4, 0.7; 0.4, 0.9
    looked_at = torch.tensor([[0.5, 0.5], [0.0, 0.5], [0.25, 0.5], [0.6, 0.7], [0.4, 0.9]])[None, :, None]
    looked_at = looked_at.repeat(1, 1, 2, 1).requires_grad_()
    every = torch.ones(1, 5, dtype=torch.bool)
    loss = look_loss(looked_at, theirs, progress, every)
    # half a tenth and two tenths off in x, each the mean over x and y, then over the four steps of the action
    assert loss.item() == pytest.approx((0.5**2 / 2 / 2 + (2 - 0.5) / 2) / 4, rel=1e-5)
    loss.backward()
    assert looked_at.grad is not None
    assert looked_at.grad[:, :, 1].abs().sum() == 0
    assert looked_at.grad[:, 0].abs().sum() == 0
    known = every.clone()
    known[0, 3] = False
    assert look_loss(looked_at, theirs, progress, known).item() == pytest.approx(0.5**2 / 2 / 2 / 3, rel=1e-5)
    assert look_loss(looked_at, theirs, progress, ~every).item() == 0
    assert look_loss(looked_at, theirs, torch.full((1, 5), NAN), every).item() == 0


def test_each_clip_counts_alike_and_a_teacher_may_have_seen_one_frame() -> None:
    looked_at, theirs = torch.rand(2, 4, 3, 2), torch.rand(2, 1, 3, 2)
    progress = torch.tensor([[NAN, 0.0, 0.5, 1.0], [NAN, NAN, NAN, 1.0]])
    every = torch.ones(2, 4, dtype=torch.bool)
    both = look_loss(looked_at, theirs, progress, every)
    each = [look_loss(looked_at[i : i + 1], theirs[i : i + 1], progress[i : i + 1], every[:1]) for i in range(2)]
    assert both.item() == pytest.approx((each[0] + each[1]).item() / 2, rel=1e-5)


def test_every_exits_eye_learns_from_clips_that_do_not_know_and_the_teacher_does_not() -> None:
    own, batch = task(look=2.0), some_batch()
    loss, terms = own(batch)
    assert loss.item() == terms["look"].item() > 0
    loss.backward()
    for eye in own.network.eyes:
        assert eye.aim.weight.grad.abs().sum() > 0
    known = some_batch()
    known.steps.pointing[:] = 1.0
    assert own(known)[1]["look"].item() == 0


def test_it_needs_somebody_who_says_where_he_looks(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^distill\.look: the student looks at no places \(student\.points = 0\)$"):
        task(points=0, look=1.0)
    blind = build_teacher(tiny_config("cnn-lstm", tmp_path), 5).eval()
    with pytest.raises(InputError, match=r"^distill\.look: a teacher of kind cnn-lstm does not say where it looks$"):
        task(of=blind, look=1.0)
    task(points=0)
    task(of=blind)


def test_an_ensemble_looks_where_its_members_do_on_average() -> None:
    shown = torch.rand(2, 4, 3, 32, 32)
    one, other = teacher(0), teacher(1)
    config = tiny_recipe().teacher
    places = Ensemble(config, [one, other]).eval()(shown).places
    expected = (one(shown).places[:, :, :1] + other(shown).places[:, :, :1]) / 2
    assert torch.allclose(places, expected, atol=1e-6)


def test_a_run_by_the_command_line(tmp_path: Path) -> None:
    off = ("distill.response=0", "distill.feature=0")
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    assert not load_recipe(str(path), off).needs_teacher
    assert load_recipe(str(path), (*off, "distill.look=1")).needs_teacher
    clips = write_clips(tmp_path / "clips", ["left", "right", "other"] * 4)
    options = ("--set", "distill.look=1", "--set", "distill.cache_mb=8", "--out", tmp_path / "run")
    ran = distill("--recipe", path, "--data", clips, *options)
    assert ran.status == 0, ran.err
    assert "look " in ran.out
