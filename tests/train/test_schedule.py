"""How fast a network learns and when it is over: torch's own schedules are the measure, and resumes change nothing."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from test_trainer import after, assert_equal, everything, job, run
from tiny_run import tiny_recipe
from torch import nn
from torch.optim import lr_scheduler

from edgevid.errors import InputError
from edgevid_train.checkpoint import load_trainer
from edgevid_train.loop.groups import parameter_groups
from edgevid_train.loop.interrupt import StoppedError
from edgevid_train.loop.optim import OptimConfig
from edgevid_train.loop.schedule import check_held_out, is_plateau, learning_rate
from edgevid_train.losses.tasks import StudentTask, TeacherTask
from edgevid_train.models.student import Student
from edgevid_train.models.teachers.build import TeacherConfig, build_teacher
from edgevid_train.runs.phases.phase import _backbone


def rates(optim: OptimConfig, per_epoch: int) -> list[float]:
    total = optim.epochs * per_epoch
    return [learning_rate(optim, step, total, per_epoch) for step in range(total)]


def torchs(make: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler], steps: int) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    scheduler, found = make(optimizer), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_the_cosine_warms_up_and_falls_to_the_least_rate() -> None:
    found = rates(OptimConfig(epochs=10, lr=1.0, least_lr=0.1, warmup_epochs=2), 10)
    assert found[0] == pytest.approx(1 / 21)
    assert found[20] == 1.0
    assert all(a < b for a, b in pairwise(found[:21]))
    assert all(a > b for a, b in pairwise(found[20:]))
    assert found[60] == pytest.approx(0.55, abs=0.02)
    assert found[-1] == pytest.approx(0.1)


def test_one_cycle_is_torchs() -> None:
    optim = OptimConfig(epochs=5, lr=1.0, least_lr=1.0 / 25 / 1e4, schedule="one_cycle", rise=0.3)
    expected = torchs(
        lambda o: lr_scheduler.OneCycleLR(o, 1.0, total_steps=50, pct_start=0.3), 49
    )  # of the last it has no next
    assert rates(optim, 10)[:49] == pytest.approx(expected, rel=1e-9)


def test_steps_are_torchs() -> None:
    optim = OptimConfig(epochs=6, lr=1.0, least_lr=0, schedule="step", drops=(2, 4.5), factor=0.2, warmup_epochs=0)
    expected = torchs(lambda o: lr_scheduler.MultiStepLR(o, [20, 45], 0.2), 60)
    assert rates(optim, 10) == pytest.approx(expected)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.integers(1, 4))
def test_a_plateau_is_torchs(figures: list[int], wait: int) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = lr_scheduler.ReduceLROnPlateau(optimizer, "max", factor=0.5, patience=wait - 1, threshold=0)
    optim = OptimConfig(
        epochs=99, lr=1.0, least_lr=0, schedule="plateau", factor=0.5, wait_epochs=wait, warmup_epochs=0
    )
    best, best_epoch, falls, fell = -1, 0, 0, 0
    for epoch, figure in enumerate(figures, start=1):
        if figure > best:
            best, best_epoch = figure, epoch
        if is_plateau(optim, epoch, best_epoch, fell):
            falls, fell = falls + 1, epoch
        theirs.step(figure)
        assert learning_rate(optim, 0, 99, 1, falls) == pytest.approx(optimizer.param_groups[0]["lr"])


@given(
    st.sampled_from(["cosine", "one_cycle", "step", "plateau"]),
    st.integers(2, 8),
    st.integers(1, 5),
    st.floats(0, 10),
    st.floats(0.01, 0.99),
    st.integers(0, 9),
)
def test_the_rate_is_never_outside_its_bounds(
    schedule: str, epochs: int, per_epoch: int, warmup: float, rise: float, falls: int
) -> None:
    drops = (1, epochs - 0.5) if schedule == "step" else ()
    optim = OptimConfig(
        epochs=epochs, lr=1.0, least_lr=0.01, warmup_epochs=warmup, schedule=schedule, drops=drops, rise=rise
    )
    for step in range(epochs * per_epoch):
        assert 0 < learning_rate(optim, step, epochs * per_epoch, per_epoch, falls) <= 1.0


@pytest.mark.parametrize(
    ("optim", "says"),
    [
        ({"schedule": "step"}, "optim: schedule = step and drops go together"),
        ({"drops": [2]}, "optim: schedule = step and drops go together"),
        ({"schedule": "step", "drops": [3, 2], "epochs": 9}, "drops must be rising epochs between 0 and 9"),
        ({"schedule": "step", "drops": [9], "epochs": 9}, "drops must be rising epochs between 0 and 9"),
        ({"schedule": "linear"}, "optim.schedule: Input should be 'cosine', 'one_cycle', 'step' or 'plateau'"),
        ({"patience": 0}, "optim.patience: Input should be greater than 0"),
        ({"layer_decay": 1.5}, "optim.layer_decay: Input should be less than or equal to 1"),
    ],
)
def test_wrong_schedules_are_one_line(optim: dict[str, object], says: str) -> None:
    with pytest.raises(InputError) as raised:
        tiny_recipe(optim=optim)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def told(figures: list[float]) -> Callable[..., dict[str, float]]:
    """A validation that says these top-1, epoch by epoch, by how often the network was counted as learned from."""
    given = iter(figures)
    return lambda _network, _stop: {"top1": next(given), "loss": 1.0}


PLATEAU = {"schedule": "plateau", "wait_epochs": 1, "warmup_epochs": 0, "factor": 0.5, "least_lr": 0, "lr": 0.03}


@pytest.mark.parametrize("stop_at", [7, 12, 13, 19, 23])
def test_a_plateau_goes_on_where_it_was_bit_for_bit(tmp_path: Path, stop_at: int) -> None:
    figures = [0.5, 0.5, 0.6, 0.6]
    whole = {"epochs": 4, **PLATEAU}
    run(job(tmp_path / "whole", validate=told(figures), **whole))
    with pytest.raises(StoppedError):
        run(job(tmp_path / "parts", validate=told(figures), **whole), stop=after(stop_at))
    done = (stop_at - 1) // 6  # epochs that were validated, 6 batches each
    run(job(tmp_path / "parts", validate=told(figures[done:]), **whole), resume=True)
    assert_equal(everything(tmp_path / "whole"), everything(tmp_path / "parts"))
    progress = load_trainer(tmp_path / "whole" / "last")["progress"]
    assert (progress["falls"], progress["fell_epoch"]) == (2, 4)
    rates = [group["lr"] for group in load_trainer(tmp_path / "whole" / "last")["optimizer"]["param_groups"]]
    assert rates == pytest.approx([0.015] * len(rates))


def test_patience_ends_a_training_early_and_says_so(tmp_path: Path) -> None:
    console = Console(record=True, width=200, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    what = {"epochs": 9, "patience": 2}
    run(job(tmp_path, validate=told([0.5, 0.7, 0.6, 0.7]), **what), console=console)
    said = console.export_text()
    assert "2 epochs without a better figure: stopped early, after epoch 4 of 9; the best was epoch 2" in said
    assert "student 5/9" not in said
    assert '"finished": true' in (tmp_path / "last" / "checkpoint.json").read_text()
    assert load_trainer(tmp_path / "last")["progress"]["epoch"] == 4
    run(job(tmp_path, validate=told([]), **what), resume=True)  # it is over, and stays so


def test_what_goes_by_held_out_clips_needs_some() -> None:
    for what, says in (({"patience": 2}, "x_optim.patience"), ({"schedule": "plateau"}, "x_optim.schedule = plateau")):
        with pytest.raises(InputError, match=f"{says} goes by clips that are held out, and none are"):
            check_held_out(OptimConfig(**what), "x_optim", held_out=False)
        check_held_out(OptimConfig(**what), "x_optim", held_out=True)
    check_held_out(OptimConfig(), "x_optim", held_out=False)


def shares(task: nn.Module, **optim: float) -> dict[str, float]:
    """The share of the rate that each parameter learns at."""
    names = {parameter: name for name, parameter in task.named_parameters()}
    groups = parameter_groups(task, OptimConfig(**optim), _backbone(task))
    found = {names[parameter]: group["share"] for group in groups for parameter in group["params"]}
    assert found.keys() == {name for name, parameter in task.named_parameters() if parameter.requires_grad}
    return found


def test_layers_of_a_students_backbone_learn_the_slower_the_further_from_the_head() -> None:
    recipe = tiny_recipe(student={"exits": [2, 3], "frozen": 1})
    found = shares(StudentTask(Student(recipe.student, 3), recipe.distill, None), layer_decay=0.5, backbone_lr=0.4)
    by_stage = {stage: {v for n, v in found.items() if n.startswith(f"network.stages.{stage}.")} for stage in range(3)}
    assert by_stage == {0: set(), 1: {0.4 * 0.25}, 2: {0.4 * 0.5}}  # the first is frozen
    assert {v for n, v in found.items() if not n.startswith("network.stages.")} == {1.0}
    assert any(".layers.0." in name for name in found if name.startswith("network.memory."))  # no layer of a backbone


@pytest.mark.parametrize(
    ("config", "layers"),
    [
        ({"kind": "tsm", "stages": 3, "backbone": "mobilenetv2_050"}, 4),
        ({"kind": "cnn-lstm", "stages": 4, "backbone": "resnet18"}, 5),
        (
            {"kind": "videomae", "videomae": {"width": 32, "layers": 3, "heads": 2, "patch": 16}},
            4,
        ),
        ({"kind": "r2plus1d"}, 5),
    ],
)
def test_layers_of_every_kind_of_teacher(config: dict[str, object], layers: int) -> None:
    given = {"weights": "none", "frames": 4, "input": {"height": 32, "width": 32}} | config
    teacher = build_teacher(TeacherConfig.model_validate(given), 3)
    found = shares(TeacherTask(teacher, None), layer_decay=0.5)  # type: ignore[arg-type]
    assert sorted(set(found.values())) == [0.5**n for n in range(layers, -1, -1)]
    order = [value for name, value in found.items()]
    assert order[0] == 0.5**layers
    assert order[-1] == 1.0


def test_without_a_backbone_there_are_no_layers_to_slow_down(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="layer_decay is for a backbone that has been trained before"):
        run(job(tmp_path, layer_decay=0.9))
