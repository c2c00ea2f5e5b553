"""What is learned from inside of a teacher: values by hand, shapes of every kind, gradients, and a run that resumes."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from command_runs import Ran, run_command
from safetensors.torch import load_file
from students import small_student
from test_kept_answers import assert_equal_weights, kept
from test_teacher_kinds import tiny_config
from tiny_run import RECIPE, interrupt_at, tiny_recipe, train_stream
from torch import nn
from torch.nn import functional

from edgevid.errors import InputError
from edgevid_train import commands
from edgevid_train.losses.distill import DistillConfig
from edgevid_train.losses.kept_answers import Asked
from edgevid_train.losses.taps import TapConfig, TapTerms, ask_tapped, relation_loss
from edgevid_train.losses.taps.shapes import student_map, teacher_map
from edgevid_train.losses.taps.terms import attention_loss, feature_map_loss, in_parts, of_steps, same_places
from edgevid_train.losses.tasks import StudentTask
from edgevid_train.models.teachers.build import build_teacher
from edgevid_train.models.teachers.config import TeacherConfig
from edgevid_train.models.teachers.ensemble import Ensemble
from edgevid_train.recipe import Recipe, load_recipe, read_resolved
from edgevid_train.samples.batch import Batch

NAN = math.nan


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def teacher(**changes):
    return build_teacher(TeacherConfig(**(tiny_recipe().teacher.model_dump() | changes)), 5).eval()


def tap(student: str = "stages.1", of_teacher: str = "stages.1", **changes) -> TapConfig:
    return TapConfig(student=student, teacher=of_teacher, **changes)


# --- where they meet


def test_steps_are_averaged_over_the_part_of_the_action_in_which_they_are() -> None:
    maps = torch.arange(12.0).reshape(2, 6, 1, 1, 1)
    progress = torch.tensor([[NAN, 0.0, 0.3, 0.5, 1.0, NAN], [NAN, NAN, NAN, NAN, 0.8, 0.9]])
    found, counts = of_steps(maps, progress, 2)
    assert found.flatten(1).tolist() == [[1.5, 3.5], [0, 10.5]]  # steps 1, 2 and 3, 4; steps 10, 11
    assert counts.tolist() == [[True, True], [False, True]]
    whole, _ = of_steps(maps, progress, 1)
    assert whole.flatten().tolist() == [2.5, 10.5]


def test_a_teacher_s_times_are_averaged_over_as_many_parts() -> None:
    maps = torch.arange(8.0).reshape(1, 2, 4, 1, 1)
    assert in_parts(maps, 2).flatten().tolist() == [0.5, 2.5, 4.5, 6.5]
    assert in_parts(maps, 1).flatten().tolist() == [1.5, 5.5]
    assert in_parts(maps[:, :, :1], 3).flatten().tolist() == [0, 0, 0, 4, 4, 4]  # of one that knows no time


def test_the_finer_map_is_averaged_down_rows_and_columns_by_themselves() -> None:
    ours, theirs = torch.arange(8.0).reshape(1, 1, 1, 4, 2), torch.arange(8.0).reshape(1, 1, 1, 2, 4)
    ours, theirs = same_places(ours, theirs)
    assert ours.flatten().tolist() == [1, 2, 5, 6]
    assert theirs.flatten().tolist() == [0.5, 2.5, 4.5, 6.5]


# --- the losses


def test_feature_maps_by_hand() -> None:
    theirs = torch.tensor([[1.0, -1.0], [3.0, 1.0]]).reshape(2, 2, 1, 1, 1)  # both normed to 1, -1
    ours = torch.tensor([[1.5, -1.0], [4.0, -1.0]]).reshape(2, 2, 1, 1, 1)
    both = torch.tensor([[True], [True]])
    assert feature_map_loss(ours, theirs, both).item() == pytest.approx((0.125 / 2 + 2.5 / 2) / 2, rel=1e-3)
    first = torch.tensor([[True], [False]])
    assert feature_map_loss(ours, theirs, first).item() == pytest.approx(0.125 / 4, rel=1e-3)


def test_attention_by_hand() -> None:
    ours = torch.tensor([[2.0, 0.0], [0.0, 1.0]]).reshape(1, 2, 1, 1, 2)  # squares summed: 4, 1
    theirs = torch.tensor([[0.0, 3.0]]).reshape(1, 1, 1, 1, 2)  # 0, 9, normed 0, 1
    normed = torch.tensor([4.0, 1.0]) / math.sqrt(17)
    expected = normed[0] ** 2 + (1 - normed[1]) ** 2
    assert attention_loss(ours, theirs, torch.tensor([[True]])).item() == pytest.approx(expected.item(), rel=1e-5)
    assert attention_loss(5 * ours, ours, torch.tensor([[True]])).item() == pytest.approx(0, abs=1e-6)
    assert attention_loss(ours, theirs, torch.tensor([[False]])).item() == 0


def test_relations_by_hand() -> None:
    ours = torch.tensor([[0.0], [3.0], [6.0], [100.0]])  # 3, 6, 3: over their mean 0.75, 1.5, 0.75
    theirs = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [NAN, 0.0]])  # 1, 1, √2
    counts = torch.tensor([True, True, True, False])
    mean = (2 + math.sqrt(2)) / 3
    away = [0.75 - 1 / mean, 1.5 - 1 / mean, 0.75 - math.sqrt(2) / mean]
    expected = sum(0.5 * x * x for x in away) / 3
    assert relation_loss(ours, theirs, counts).item() == pytest.approx(expected, rel=1e-5)
    assert relation_loss(7 * ours, ours, counts).item() == pytest.approx(0, abs=1e-6)  # no scale
    assert relation_loss(ours, theirs, torch.tensor([True, False, False, False])).item() == 0


def test_equal_clips_have_a_gradient_that_is_a_number() -> None:
    ours = torch.zeros(3, 2, requires_grad=True)
    relation_loss(ours, torch.randn(3, 4), torch.ones(3, dtype=torch.bool)).backward()
    assert torch.isfinite(ours.grad).all()


# --- what modules give


def test_a_student_s_maps_are_of_every_step_and_of_the_last_exit() -> None:
    frames = torch.arange(12.0).reshape(6, 2, 1, 1)  # two clips of three steps
    assert student_map(frames, "stages.1", 2, 3)[1, 2].flatten().tolist() == [10, 11]
    assert student_map((frames[:, :, 0, 0], None), "eyes.0", 2, 3).shape == (2, 3, 2, 1, 1)
    of_exits = torch.arange(24.0).reshape(4, 2, 1, 3)  # two exits
    found = student_map(of_exits, "memory.remember.layers.0", 2, 3)
    assert torch.equal(found[..., 0, 0], of_exits[2:, :, 0].transpose(1, 2))
    for wrong, path in ((frames[:5], "stages.1"), (of_exits, "memory"), ("text", "stem")):
        with pytest.raises(InputError, match=f"the student's {path} gives .*no map of every step"):
            student_map(wrong, path, 2, 3)


def test_a_teacher_s_maps_are_of_clips_whatever_library_gives_them() -> None:
    own = teacher()  # four frames
    x = torch.randn(8, 3, 2, 5)
    assert torch.equal(teacher_map(x, "stages.0", 2, own)[1, :, 3], x[7])
    assert torch.equal(teacher_map(x[:2, :, 0, 0], "looking.read", 2, own)[..., 0, 0, 0], x[:2, :, 0, 0])
    volume = torch.randn(2, 3, 4, 5, 6)
    assert teacher_map(volume, "x", 2, own) is volume
    lstm = torch.randn(2, 4, 7)
    assert torch.equal(teacher_map((lstm, None), "lstm", 2, own)[1, :, 2, 0, 0], lstm[1, 2])
    tokens = torch.randn(2, 1 + 2 * 3 * 5, 7)
    found = teacher_map((tokens, (2, 3, 5)), "blocks.0", 2, own)
    assert torch.equal(found[1, :, 1, 2, 4], tokens[1, -1])
    assert torch.equal(found[0, :, 0, 0, 1], tokens[0, 2])
    unknown = torch.randn(2, 9, 7)
    assert torch.equal(teacher_map(unknown, "x", 2, own)[..., 0, 0, 0], unknown.mean(1))
    with pytest.raises(InputError, match="the teacher's x gives numbers of shape 3 x 4, which is no map of a clip"):
        teacher_map(torch.randn(3, 4), "x", 2, own)


@pytest.mark.parametrize(
    ("kind", "path", "shape"),
    [
        ("videomae", "network.videomae.embeddings", (24, 2, 2, 2)),
        ("videomae-looking", "videomae.embeddings", (24, 2, 4, 4)),
        ("vivit", "network.vivit.embeddings", (24, 2, 2, 2)),
        ("timesformer", "network.timesformer.embeddings", (24, 4, 2, 2)),
        ("vjepa2", "network.vjepa2.encoder.embeddings", (24, 2, 2, 2)),
        ("swin3d", "network.patch_embed", (96, 2, 8, 8)),
        ("mvit", "network.conv_proj", (96, 2, 8, 8)),
    ],
)
def test_what_is_in_a_corner_at_the_end_is_there_in_the_map(
    kind: str, path: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    network = build_teacher(tiny_config(kind, tmp_path), 3).eval()
    frames = torch.full((2, 4, 3, 32, 32), 100.0)
    frames[1, -1, :, -1, 0] = 255.0  # below, on the left
    (found,) = ask_tapped(network, frames, [tap(of_teacher=path, times=shape[1])]).taps
    assert found.shape == (2, *shape)
    changed = (found[0] - found[1]).abs().sum(0) > 1e-6
    assert changed[-1, -1, 0]
    assert not changed[0].any()
    assert not changed[:, 0].any()
    assert not changed[:, :, -1].any()


def test_tokens_are_put_where_a_module_says_they_are(tmp_path: Path) -> None:
    network = build_teacher(tiny_config("mvit", tmp_path), 3).eval()
    found = ask_tapped(network, torch.zeros(2, 4, 3, 32, 32), [tap(of_teacher="network.blocks.0", times=2)])
    assert found.taps[0].shape == (2, 96, 2, 8, 8)


def test_a_member_of_an_ensemble_has_paths_too() -> None:
    both = Ensemble(tiny_recipe().teacher, [teacher(), teacher()])
    found = ask_tapped(both.eval(), torch.rand(2, 4, 3, 32, 32), [tap(of_teacher="members.1.stages.0", times=4)])
    alone = ask_tapped(both.members[1], torch.rand(2, 4, 3, 32, 32), [tap(of_teacher="stages.0", times=4)])
    assert found.taps[0].shape == alone.taps[0].shape == (2, 8, 4, 16, 16)


def test_a_path_that_is_not_there_is_told_with_those_near_it() -> None:
    student = small_student()
    with pytest.raises(InputError, match=r"the student has no module 'stages\.9'; near it are .*stages\.1") as error:
        TapTerms([tap("stages.9")], student, teacher())
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"the teacher has no module 'stage\.1'; near it are .*stages\.1"):
        TapTerms([tap(of_teacher="stage.1")], student, teacher())
    with pytest.raises(InputError, match=r"memory\.decide has no places in the picture to be attentive to"):
        TapTerms([tap("memory.decide", kind="attention")], student, teacher())
    with pytest.raises(InputError, match=r"has a module 'stages', but does not run it as such"):
        TapTerms([tap("stages")], student, teacher())
    assert not any(module._forward_hooks for module in student.modules())


# --- in training


def some_batch(clips: int = 3, steps: int = 5) -> Batch:
    rng = np.random.default_rng(0)
    streams = [train_stream(i, rng.integers(0, 256, (steps, 32, 32, 3), np.uint8)) for i in range(clips)]
    for stream in streams:
        stream.progress[:] = np.linspace(-0.25, 1, steps)
        stream.progress[0] = np.nan
    batch = Batch.stack(streams)
    return Batch(batch.frames, batch.frames[:, :4], batch.steps, batch.labels, batch.teacher_places)


TAPS = (
    tap("stages.0", "stages.1", kind="feature", times=2, weight=0.5),
    tap("stages.0", "stages.0", kind="attention", weight=2.0),
    tap("memory.remember", "looking.over_time.0", kind="relation"),
    tap("eyes.1.mix", "looking.read", kind="feature"),
)


def student_task(**config) -> StudentTask:
    torch.manual_seed(1)
    changes = {"skipping": 0.0, "taps": TAPS} | config
    own = small_student(height=32, width=32, exits=(1, 2), dropout=0.0)
    return StudentTask(own, DistillConfig(**changes), teacher())


def test_every_tap_is_a_term_whose_gradient_reaches_what_is_before_it() -> None:
    task, batch = student_task(task=0, place=0, response=0, feature=0), some_batch()
    loss, terms = task(batch)
    assert [name for name in terms if name[-1].isdigit()] == ["feature1", "attention2", "relation3", "feature4"]
    assert loss.item() == pytest.approx(sum(term.item() for term in terms.values()), rel=1e-5)
    assert all(terms[name] > 0 for name in ("feature1", "attention2", "relation3", "feature4"))
    loss.backward()
    network, projections = task.network, task.distill.taps.project
    for module in (network.stages[0], network.stages[1], network.eyes[1].mix, projections[0]):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())
    assert all(p.grad.abs().sum() == 0 for p in network.memory.decide.parameters())
    assert [type(p) for p in projections] == [nn.Conv3d, nn.Identity, nn.Identity, nn.Identity]  # sizes are equal


def test_a_tap_s_value_is_that_of_its_modules() -> None:
    task, batch = student_task(taps=[tap(kind="attention", weight=3.0)]), some_batch()
    task.eval()
    _, terms = task(batch)
    maps = {}
    for name, network in (("ours", task.network), ("theirs", task._ask.teacher)):
        network.stages[1].register_forward_hook(lambda _m, _i, output, name=name: maps.__setitem__(name, output))
    task(batch)
    ours = maps["ours"].reshape(3, 5, *maps["ours"].shape[1:])[:, 1:].mean(1)  # the first step is before the action
    theirs = maps["theirs"].reshape(3, 4, *maps["theirs"].shape[1:]).mean(1)
    mine, other = (functional.normalize(x.square().sum(1).flatten(1), dim=1) for x in (ours, theirs))
    assert terms["attention1"].item() == pytest.approx(3 * (mine - other).square().sum(1).mean().item(), rel=1e-4)


def test_taps_come_back_from_the_disk_as_they_were(tmp_path: Path) -> None:
    network, shown, store = teacher(), some_batch().teacher_frames, kept(tmp_path)
    plain = Asked(network, None, TAPS)(shown)
    assert len(plain.taps) == 4
    for _ in range(2):
        found = Asked(network, store, TAPS)(shown)
        assert all(torch.equal(a, b) for a, b in zip(found.taps, plain.taps, strict=True))
    assert (store.asked, store.found) == (3, 3)
    assert Asked(network, store, TAPS[:1])(shown).taps[0].shape == plain.taps[0].shape
    assert store.found == 3  # another question


def test_without_taps_nothing_is_there() -> None:
    task = student_task(taps=())
    assert task.distill.taps is None
    assert [name for name, _ in task.distill.named_parameters()] == ["project.weight", "project.bias"]
    _, terms = task(some_batch())
    assert set(terms) == {"task", "place", "response", "feature"}
    _, more = student_task()(some_batch())
    assert {name: more[name].item() for name in terms} == {name: term.item() for name, term in terms.items()}


def test_relations_of_embeddings_are_of_the_decisive_steps() -> None:
    task, batch = student_task(taps=(), relation=0.4), some_batch()
    batch.steps.decisive[:, :3] = False
    task.eval()
    loss, terms = task(batch)
    outputs = task.network(batch.frames.permute(0, 1, 4, 2, 3).float())
    answer = task._ask(batch.teacher_frames)
    expected = 0.4 * relation_loss(outputs.embedding[:, 3:].mean(1), answer.features, torch.ones(3, dtype=torch.bool))
    assert terms["relation"].item() == pytest.approx(expected.item(), rel=1e-4)
    assert terms["relation"] > 0
    plain, _ = student_task(taps=()).eval()(batch)
    assert loss.item() == pytest.approx(plain.item() + terms["relation"].item(), rel=1e-5)
    task.zero_grad()
    loss.backward()
    assert task.network.memory.what[1].weight.grad.abs().sum() > 0


# --- as a person asks for it


def test_taps_are_written_in_a_recipe_and_come_back_from_its_copy(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    written = '\n[[distill.taps]]\nstudent = "stages.4"\nteacher = "stages.4"\nkind = "attention"\nweight = 2\n'
    path.write_text(RECIPE + written)
    recipe = load_recipe(str(path))
    assert recipe.distill.taps == (tap("stages.4", "stages.4", kind="attention", weight=2.0),)
    (tmp_path / "copy.toml").write_text(recipe.to_toml())
    assert read_resolved(tmp_path / "copy.toml") == recipe
    off = ("distill.response=0", "distill.feature=0")
    assert load_recipe(str(path), off).needs_teacher
    assert not load_recipe(str(path), (*off, "distill.taps=[]")).needs_teacher
    assert load_recipe(str(path), (*off, "distill.taps=[]", "distill.relation=1")).needs_teacher
    for change, told in {
        'distill.taps=[{student="a"}]': "distill.taps.0.teacher: Field required",
        'distill.taps=[{student="a", teacher="b", kind="c"}]': "distill.taps.0.kind: Input should be 'feature', ",
        'distill.taps=[{student="a", teacher="b", times=0}]': "distill.taps.0.times: ",
        'distill.taps=[{student="a", teacher="b", name="c"}]': "distill.taps.0.name: unknown key",
    }.items():
        with pytest.raises(InputError) as error:
            load_recipe(str(path), [change])
        assert told in str(error.value)


def test_each_inner_exit_may_have_a_weight_of_its_own() -> None:
    assert student_task(inner_exits=0.3).distill.exit_weights == [0.3, 1.0]
    several = tiny_recipe(student={"exits": [1, 2, 3]}, distill={"inner_exits": [0.25, 0.75]})
    assert several.distill.inner_exits == (0.25, 0.75)
    network = small_student(exits=(1, 2, 3))
    assert StudentTask(network, several.distill, None).distill.exit_weights == [0.25, 0.75, 1.0]
    assert "inner_exits = [0.25, 0.75]" in several.to_toml()
    for weights, told in {
        (0.1, 0.2): "distill.inner_exits: 2 weights; the student has 1 inner exits",
        -1.0: "distill.inner_exits: a weight of 0 or more, or one for each inner exit",
        "much": "distill.inner_exits: a weight of 0 or more",
        (0.1, -1.0): "distill.inner_exits: a weight of 0 or more",
    }.items():
        with pytest.raises(InputError) as error:
            tiny_recipe(distill={"inner_exits": weights})
        assert told in str(error.value)
    assert isinstance(several, Recipe)


def distill(*args: object) -> Ran:
    return run_command(commands.register, "train-distill", "--device", "cpu", *args)


def test_a_run_with_taps_that_was_stopped_ends_as_one_that_was_not(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taps = """
        [[distill.taps]]
        student = "stages.1"
        teacher = "stages.1"
        times = 2
        [[distill.taps]]
        student = "stages.0"
        teacher = "stages.0"
        kind = "attention"
        [[distill.taps]]
        student = "memory.remember"
        teacher = "looking.read"
        kind = "relation"
    """
    (tmp_path / "tiny.toml").write_text(RECIPE + taps)
    args = ("--recipe", tmp_path / "tiny.toml", "--data", clips, "--set", "distill.relation=0.5")
    ran = distill(*args, "--out", tmp_path / "whole")
    assert ran.status == 0, ran.err
    assert "attention2" in ran.out
    assert "relation3" in ran.out
    with monkeypatch.context() as patched:
        interrupt_at(patched, 6)
        assert distill(*args, "--out", tmp_path / "stopped").status == 130
    ran = distill("--resume", "--out", tmp_path / "stopped")
    assert ran.status == 0, ran.err
    assert_equal_weights(tmp_path / "whole", tmp_path / "stopped")
    plain = distill(
        "--recipe", tmp_path / "tiny.toml", "--data", clips, "--out", tmp_path / "plain", "--set", "distill.taps=[]"
    )
    assert plain.status == 0, plain.err
    one, other = (load_file(tmp_path / name / "student/last/model.safetensors") for name in ("whole", "plain"))
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_a_path_that_is_not_there_ends_a_run_before_it_begins(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    wrong = 'distill.taps=[{student="stages.7", teacher="stages.1"}]'
    out = tmp_path / "out"
    ran = distill("--recipe", tmp_path / "tiny.toml", "--data", clips, "--out", out, "--set", wrong)
    assert ran.status == 2
    assert "distill.taps: the student has no module 'stages.7'; near it are stages.0, stages.1, stages" in ran.err
    assert not out.exists()


def test_one_view_is_for_students_and_leaves_their_teacher_as_it_is(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    for name, one_view in (("with", "true"), ("without", "false")):
        short = ("--set", "stream.max_steps=4", "--set", "optim.epochs=1", "--set", f"distill.one_view={one_view}")
        ran = distill("--recipe", tmp_path / "tiny.toml", "--data", clips, "--out", tmp_path / name, *short)
        assert ran.status == 0, ran.err
    for kind, same in (("teacher", True), ("student", False)):
        one, other = (load_file(tmp_path / name / kind / "last" / "model.safetensors") for name in ("with", "without"))
        assert all(torch.equal(one[name], other[name]) for name in one) == same
