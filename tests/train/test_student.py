"""One set of weights, two graphs: the clip graph and the stream graph say the same, and go on saying it."""

import re
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from students import small_student
from torch import Tensor, nn

from edgevid.cascade import deciding_exit, sureness
from edgevid.manifest import ExitSpec
from edgevid.models.scores import activate
from edgevid_train.models.backbones import OFFERED
from edgevid_train.models.heads import Sight, _as_fine
from edgevid_train.models.student import MEMORY, Student, macs_of_hold, macs_per_exit
from edgevid_train.models.temporal import CausalShift

TOLERANCE = 1e-4
"""Of the larger of 1 and an output's greatest value: float32 has seven digits, whatever stands before the point."""
Steps = list[tuple[Tensor, ...]]


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pictures(count: int, side: int = 64, seed: int = 1) -> Tensor:
    """Float `(count, 3, side, side)` in 0..255: coloured noise, coarse enough to survive the strides."""
    made = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 8, 8, generator=made) * 255
    return nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")


@torch.inference_mode()
def stream(network: Student, frames: Tensor, *, forget: Sequence[str] = (), state=None) -> tuple[Steps, dict]:
    """Step through `frames`; the states named in `forget` are zeroed before every step."""
    state = network.zero_state() if state is None else state
    outputs = []
    for frame in frames:
        state = {k: torch.zeros_like(v) if k in forget else v for k, v in state.items()}
        logits, embedding, state = network.step(frame[None], state)
        outputs.append((*logits, embedding))
    return outputs, state


def largest_difference(one: Steps, other: Steps) -> list[float]:
    """Per output, the embedding last: over all steps, relative to the larger of 1 and its scale."""
    differences = []
    for a, b in zip(zip(*one, strict=True), zip(*other, strict=True), strict=True):
        scale = max(1.0, float(torch.cat(b).abs().max()))
        differences.append(float((torch.cat(a) - torch.cat(b)).abs().max()) / scale)
    return differences


@pytest.mark.parametrize("backbone", OFFERED)
def test_clip_and_stream_agree_exit_by_exit_and_a_stream_without_state_does_not(backbone):
    network, frames = small_student(backbone), pictures(9)  # 9 frames: more than the heads' 7
    with torch.inference_mode():
        clip = network(frames[None])
    at_once = [(*(logits[:, t] for logits in clip.logits), clip.embedding[:, t]) for t in range(len(frames))]
    assert len(clip.logits) == 3

    carried, _ = stream(network, frames)
    assert max(largest_difference(carried, at_once)) <= TOLERANCE

    forgetful, _ = stream(network, frames, forget=list(network.state_shapes))
    assert min(largest_difference(forgetful, at_once)) > 10 * TOLERANCE
    assert max(largest_difference(forgetful[:1], at_once[:1])) <= TOLERANCE  # the first step has no past to forget


@torch.inference_mode()
def test_a_cascade_says_what_the_clip_graph_says_of_its_exits():
    """Whichever exits decide: the same answers, and nothing of a skipped stage is left in the state."""
    network, frames = small_student(), pictures(12)
    deciding = torch.randint(3, (1, 12), generator=torch.Generator().manual_seed(3))
    assert set(deciding[0].tolist()) == {0, 1, 2}
    clip, always_last = network(frames[None], deciding), network(frames[None])
    state, at_once, decided = network.zero_state(), [], []
    for t, exit_ in enumerate(deciding[0].tolist()):
        thresholds = [0.0 if i == exit_ else None for i in range(3)]
        found, logits, _, state = network.decide(frames[t : t + 1], state, thresholds)
        assert found == exit_
        assert len(logits) == exit_ + 1
        decided.append((logits[-1],))
        at_once.append((clip.logits[exit_][:, t],))
    assert max(largest_difference(decided, at_once)) <= TOLERANCE
    assert not torch.allclose(clip.logits[-1][:, -1], always_last.logits[-1][:, -1], atol=1e-4)  # the past was another


@torch.inference_mode()
def test_a_held_step_says_what_the_memory_says_when_it_is_told_the_same_again():
    """Whichever steps hold and whichever exits decide the others, as a clip in which what they saw is repeated."""
    network, frames = small_student(), pictures(14)
    looks = torch.tensor([0, 1, 1, 1, 4, 5, 5, 7, 7, 9, 10, 10, 12, 12])
    deciding = torch.randint(3, (1, 14), generator=torch.Generator().manual_seed(3))[:, looks]
    shown = frames[looks.unique()]  # nothing is seen of the others, not even by the shifts
    nth = torch.unique(looks, return_inverse=True)[1]
    sights = [Sight(*(part[nth] for part in sight)) for sight in network.look(shown[None])]
    logits, _ = network.recall(sights, 14, deciding)
    state, at_once, decided = network.zero_state(), [], []
    for t, (look, exit_) in enumerate(zip(looks.tolist(), deciding[0].tolist(), strict=True)):
        if look == t:
            thresholds = [0.0 if i == exit_ else None for i in range(3)]
            _, computed, _, state = network.decide(frames[t : t + 1], state, thresholds)
        else:
            before = state
            held, _, state = network.hold(before)
            computed = (held,)
            assert list(state) == list(before)
            shifts = [name for name in state if name != MEMORY]
            assert shifts
            assert all(torch.equal(state[name], before[name]) for name in shifts)
        decided.append((computed[-1],))
        at_once.append((logits[exit_][:, t],))
    assert max(largest_difference(decided, at_once)) <= TOLERANCE


def test_a_held_step_costs_the_memory_alone_and_several_exits_need_one():
    network = small_student()
    assert 0 < macs_of_hold(network) < macs_per_exit(network)[0] / 10
    with pytest.raises(ValidationError, match="share one memory"):
        small_student(dilations=())


@torch.inference_mode()
def test_a_step_that_goes_to_the_end_is_the_whole_step():
    network, frames = small_student(), pictures(3)
    _, state = stream(network, frames)
    logits, embedding, after = network.step(frames[:1], state)
    exit_, computed, its_embedding, its_after = network.decide(frames[:1], state, [None, 1.1, 0.0])
    assert exit_ == 2
    assert largest_difference([(computed[-1], its_embedding)], [(logits[-1], embedding)])[0] <= TOLERANCE
    assert list(after) == list(its_after)
    for name in after:
        torch.testing.assert_close(after[name], its_after[name], rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_an_exit_decides_when_its_best_score_reaches_its_threshold():
    network, frames = small_student(), pictures(1)
    logits, _, _ = network.step(frames, network.zero_state())
    sure = [float(x.softmax(1).max()) for x in logits]
    for thresholds, exit_ in (([sure[0] - 1e-4, 0.0], 0), ([sure[0] + 1e-4, 0.0], 1), ([None, sure[1] + 1e-4], 2)):
        assert network.decide(frames, network.zero_state(), thresholds)[0] == exit_


@torch.inference_mode()
def test_of_independent_labels_an_exit_decides_when_it_is_sure_of_each_as_the_runtime_has_it():
    network, frames = small_student(), pictures(1)
    logits, _, _ = network.step(frames, network.zero_state())
    scores = torch.cat(logits).sigmoid().numpy()
    sure = np.maximum(scores, 1 - scores).min(1)
    exits = [ExitSpec(name=f"stage{i}", macs=i) for i in range(3)]
    for thresholds in ([sure[0] - 1e-4, 0.0], [sure[0] + 1e-4, 0.0], [None, sure[1] + 1e-4], [sure[0] + 1e-4, 0.9999]):
        given = [None if x is None else float(x) for x in (*thresholds, None)]
        told = tuple(e.model_copy(update={"threshold": x}) for e, x in zip(exits, given, strict=True))
        exit_ = deciding_exit(scores, told, "sigmoid")
        assert network.decide(frames, network.zero_state(), given, "sigmoid")[0] == exit_
    assert float(scores[0].max()) > sure[0]  # which its best score is not


@torch.inference_mode()
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_to_the_last_bit_the_exit_that_decides_is_the_runtimes(activation):
    network, frames = small_student(), pictures(1)
    _, computed, _, _ = network.decide(frames, network.zero_state(), [None] * 3)
    scores = activate(torch.cat(computed).numpy(), activation)
    first, second, _ = sureness(scores, activation)
    above = np.nextafter(first, np.float32(2))
    for given, exit_ in (([first, 0], 0), ([above, second], 1), ([above, np.nextafter(second, np.float32(2))], 2)):
        thresholds = [float(x) for x in given] + [None]
        told = tuple(ExitSpec(name=f"stage{i}", macs=i, threshold=x) for i, x in enumerate(thresholds))
        assert deciding_exit(scores, told, activation) == exit_
        assert network.decide(frames, network.zero_state(), thresholds, activation)[0] == exit_


def test_only_what_no_step_skips_has_state():
    network = small_student(exits=(2, 3, 4))
    shifts = [name for name in network.state_shapes if name != MEMORY]
    assert shifts
    assert all(name.startswith(("stages_0_", "stages_1_")) for name in shifts)


def test_every_single_state_is_needed():
    network, frames = small_student(), pictures(8)
    carried, _ = stream(network, frames)
    for name in network.state_shapes:
        without, _ = stream(network, frames, forget=[name])
        assert max(largest_difference(without, carried)) > TOLERANCE, name


def test_a_clip_s_future_has_no_influence():
    network, frames = small_student(), pictures(8)
    other_end = torch.cat([frames[:5], pictures(3, seed=2)])
    with torch.inference_mode():
        one, other = network(frames[None]).logits, network(other_end[None]).logits
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a[:, :5], b[:, :5], rtol=0, atol=1e-5)
        assert not torch.allclose(a[:, 5:], b[:, 5:], atol=1e-4)


def test_after_ten_minutes_a_stream_says_what_a_fresh_one_says():
    """Its memory is finite: what it saw before the last `reach` frames has left no trace, to the last bit."""
    network = small_student(height=32, width=32, exits=(2,), size=8)
    shifts = sum(isinstance(m, CausalShift) for m in network.modules())
    reach = network.config.reach + shifts
    ten_minutes = round(600 * network.config.rate_hz)
    past, recent = pictures(64, side=32), pictures(reach, side=32, seed=3)

    state = None
    for start in range(0, ten_minutes, len(past)):
        outputs, state = stream(network, past[torch.randperm(len(past))], state=state)
        assert all(torch.isfinite(v).all() for v in outputs[-1]), f"step {start}"
    old, old_state = stream(network, recent, state=state)
    fresh, fresh_state = stream(network, recent)

    assert all(torch.equal(a, b) for a, b in zip(old[-1], fresh[-1], strict=True))
    assert all(torch.equal(old_state[name], fresh_state[name]) for name in fresh_state)
    assert not torch.equal(old[0][-1], fresh[0][-1])  # at first the past did count


def test_state_moves_on_bit_for_bit_and_what_was_passed_in_stays():
    network = small_student()
    _, before = stream(network, pictures(6))
    kept = {name: value.clone() for name, value in before.items()}
    _, after = stream(network, pictures(1, seed=4), state=before)
    assert all(torch.equal(before[name], kept[name]) for name in kept)
    first = 2 * network.config.dilations[0]  # steps that the first layer looks back
    old, new = before[MEMORY], after[MEMORY]
    assert len(network.config.dilations) == 2
    assert torch.equal(new[:, : first - 1], old[:, 1:first])
    assert torch.equal(new[:, first:-1], old[:, first + 1 :])


def test_streams_of_a_batch_do_not_touch_each_other():
    network = small_student()
    one, other = pictures(6, seed=5), pictures(6, seed=6)
    state = network.zero_state(batch=2)
    with torch.inference_mode():
        for pair in zip(one, other, strict=True):
            logits, embedding, state = network.step(torch.stack(pair), state)
    together = [(*logits, embedding)]
    for row, frames in enumerate((one, other)):
        alone, _ = stream(network, frames)
        assert max(largest_difference([tuple(v[row : row + 1] for v in together[0])], alone[-1:])) <= TOLERANCE


@pytest.mark.parametrize("backbone", OFFERED)
def test_states_have_names_that_exporters_take_and_the_shapes_they_promise(backbone):
    network = small_student(backbone)
    assert network.state_shapes
    for name in network.state_shapes:
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)
    _, state = stream(network, pictures(2))
    assert {name: tuple(value.shape) for name, value in state.items()} == network.state_shapes


def test_macs_are_those_of_the_layers_and_rise_from_exit_to_exit():
    network = small_student("resnet18", exits=(1, 2), shift_divisor=0, points=0, size=8, dilations=(1,))
    first, last = macs_per_exit(network)
    # stem 7x7 to 32x32, pooled to 16x16; stage 1: four 3x3 convolutions of 64 channels; mix of what is seen
    answer = 8 * 8 + 8 * 8 + 8 * 5  # what the eye tells, the present of one layer, the decision
    past = 2 * 8 * 8
    assert first == 49 * 3 * 64 * 32 * 32 + 4 * 9 * 64 * 64 * 16 * 16 + 64 * 8 + past + answer
    # the second eye also takes what the first saw, and the memory answers anew
    stage = (9 * 64 * 128 + 3 * 9 * 128 * 128 + 64 * 128) * 8 * 8
    assert last == first + stage + (128 + 8) * 8 + answer


@pytest.mark.parametrize("exits", [(3, 4), (3, 6), (2, 5)])
@pytest.mark.parametrize(("height", "width"), [(72, 96), (72, 72), (48, 64), (90, 72), (33, 57)])
def test_a_deep_map_lies_over_the_fine_one_cell_by_cell(exits: tuple[int, int], height: int, width: int):
    strides = {2: 4, 3: 8, 4: 16, 5: 16, 6: 32}
    fine, deep = (  # a map of stride s has one cell for every s pixels, the last one for what is left
        torch.stack(torch.meshgrid(torch.arange(-(-height // s)), torch.arange(-(-width // s)), indexing="ij"))[None]
        for s in (strides[stage] for stage in exits)
    )
    spread = _as_fine(deep.float(), fine.float())
    assert spread.shape == fine.shape
    assert torch.equal(spread, (fine // (strides[exits[1]] // strides[exits[0]])).float())


def test_exits_far_apart_take_any_size():
    student = small_student(exits=(2, 5)).eval()
    for side in (64, 72, 40):
        student(pictures(2, side)[None])
