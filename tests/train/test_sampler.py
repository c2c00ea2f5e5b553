"""Batches as a function of (seed, epoch), and the threads that load them."""

import threading
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import train_stream

from edgevid.errors import InputError
from edgevid_train.samples.balance import kinds_of
from edgevid_train.samples.batch import AHEAD, Batch, as_input, prefetch
from edgevid_train.samples.sampler import BatchPlan, ClipSampler
from edgevid_train.samples.sequence import TrainStream

lengths = st.lists(st.integers(1, 100), min_size=1, max_size=80)


@given(lengths, st.integers(1, 20), st.integers(0, 99), st.integers(0, 5), st.integers(2, 64), st.integers(0, 16))
def test_every_clip_once_an_epoch_in_even_batches(
    sizes: list[int], batch: int, seed: int, epoch: int, max_steps: int, lead: int
) -> None:
    sampler = ClipSampler(sizes, batch, seed, max_steps, lead)
    plans = sampler.epoch(epoch)
    assert len(plans) == sampler.batches
    assert Counter(i for plan in plans for i in plan.clips) == Counter(range(len(sizes)))
    counts = [len(plan.clips) for plan in plans]
    assert max(counts) <= batch
    assert max(counts) - min(counts) <= 1
    for plan in plans:
        longest = max(sizes[i] for i in plan.clips)
        assert min(longest, max_steps) <= plan.steps <= min(longest + lead, max_steps)
        assert set(plan.turns) == {epoch}
    assert sampler.epoch(epoch) == plans


@given(
    st.integers(1, 30),
    st.integers(0, 30),
    st.none() | st.integers(1, 70),
    st.none() | st.floats(0, 1),
    st.integers(1, 9),
)
def test_epochs_of_any_size_and_mixture_deal_evenly(
    data: int, extra: int, clips: int | None, share: float | None, batch: int
) -> None:
    sampler = ClipSampler([5] * (data + extra), batch, 7, 9, 0, clips=clips, extra=extra, extra_share=share)
    seen: Counter[tuple[int, int]] = Counter()
    for epoch in range(4):
        plans = sampler.epoch(epoch)
        assert len(plans) == sampler.batches
        drawn = [pair for plan in plans for pair in zip(plan.clips, plan.turns, strict=True)]
        seen.update(drawn)
        of_extra = sum(clip >= data for clip, _ in drawn)
        assert (len(drawn) - of_extra, of_extra) == sampler.counts
        if clips is not None:
            assert len(drawn) == clips
        if share is not None and extra:
            assert of_extra == pytest.approx(share * len(drawn), abs=0.51)
    assert max(seen.values()) == 1  # no clip has the same turn, and so the same augmentation, twice
    for members in (range(data), range(data, data + extra)):
        times = [sum(seen[clip, turn] for turn in range(10**3) if (clip, turn) in seen) for clip in members]
        assert not times or max(times) - min(times) <= 1


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=40),
    st.sampled_from([0.5, 1.0]),
    st.none() | st.integers(1, 60),
    st.integers(0, 3),
)
def test_balanced_epochs_have_their_size_and_deal_each_kind_evenly(
    kinds: list[int], balance: float, clips: int | None, seed: int
) -> None:
    sampler = ClipSampler([5] * len(kinds), 4, seed, 9, 0, clips=clips, kinds=kinds, balance=balance)
    seen: Counter[tuple[int, int]] = Counter()
    for epoch in range(5):
        plans = sampler.epoch(epoch)
        assert len(plans) == sampler.batches
        dealt = [pair for plan in plans for pair in zip(plan.clips, plan.turns, strict=True)]
        assert len(dealt) == (clips or len(kinds))
        assert plans == sampler.epoch(epoch)
        if clips is None or clips >= len(set(kinds)):
            assert {kinds[clip] for clip, _ in dealt} == set(kinds)
        seen.update(dealt)
    assert max(seen.values()) == 1  # never the same turn of a clip twice
    times = Counter(clip for clip, _ in seen)
    for kind in set(kinds):
        of_kind = [times[i] for i, other in enumerate(kinds) if other == kind]
        assert max(of_kind) - min(of_kind) <= 1


def test_balance_is_a_power_of_the_inverse_frequency() -> None:
    kinds = [0] * 64 + [1] * 16 + [2] * 4

    def shares(balance: float) -> list[int]:
        plans = ClipSampler([5] * 84, 8, 0, 9, 0, kinds=kinds, balance=balance).epoch(3)
        found = Counter(kinds[clip] for plan in plans for clip in plan.clips)
        return [found[kind] for kind in range(3)]

    assert shares(0.0) == [64, 16, 4]
    assert shares(1.0) == [28, 28, 28]
    assert shares(0.5) == [48, 24, 12]


def test_a_clip_s_kind_is_the_rarest_of_its_labels() -> None:
    clips = [("cut",), ("cut",), ("cut", "stir"), ("stir",), ("other",), ("wash", "cut")]
    cut, other, stir, wash = range(4)
    assert kinds_of(clips) == (cut, cut, stir, stir, other, wash)


def test_epochs_and_seeds_differ() -> None:
    def order(seed: int, epoch: int) -> list[BatchPlan]:
        return ClipSampler([10] * 40, 4, seed, 64, 0).epoch(epoch)

    assert len({str([p.clips for p in order(seed, epoch)]) for seed in (0, 1) for epoch in (0, 1)}) == 4


def test_clips_of_like_length_share_a_batch() -> None:
    rng = np.random.default_rng(0)
    sizes = [int(n) for n in rng.integers(5, 60, 64)]
    plans = ClipSampler(sizes, 8, 0, 64, 0).epoch(0)
    computed = sum(plan.steps * len(plan.clips) for plan in plans)
    assert computed < 1.25 * sum(sizes)
    assert 8 * sum(max(sizes[i : i + 8]) for i in range(0, 64, 8)) > 1.5 * sum(sizes)  # what no bucketing costs


def stream(label: int, steps: int = 3) -> TrainStream:
    return train_stream(label, np.full((steps, 4, 6, 3), label, np.uint8))


def test_a_batch_splits_into_even_parts_in_order() -> None:
    batch = Batch.stack([stream(i) for i in range(7)])
    parts = batch.split(3)
    assert [len(part) for part in parts] == [2, 3, 2]
    assert torch.cat([part.labels for part in parts]).tolist() == list(range(7))
    assert torch.equal(torch.cat([part.steps.targets for part in parts]), batch.steps.targets)
    assert torch.equal(torch.cat([part.frames for part in parts]), batch.frames)
    assert [len(part) for part in batch.split(100)] == [7]


def test_network_input_is_float_channels_first() -> None:
    frames = torch.arange(2 * 3 * 4 * 5 * 3, dtype=torch.uint8).reshape(2, 3, 4, 5, 3)
    given_to_network = as_input(frames)
    assert given_to_network.shape == (2, 3, 3, 4, 5)
    assert given_to_network.dtype == torch.float32
    assert given_to_network[1, 2, 0, 3, 4] == float(frames[1, 2, 3, 4, 0])


plans = [BatchPlan((i,), (0,), 3) for i in range(12)]


@pytest.mark.parametrize("threads", [1, 3])
def test_batches_come_in_order_and_only_a_few_ahead(threads: int) -> None:
    loaded: list[int] = []
    lock = threading.Lock()

    def load(plan: BatchPlan) -> Batch:
        with lock:
            loaded.append(plan.clips[0])
        return Batch.stack([stream(plan.clips[0])])

    used = 0
    for plan, batch in prefetch(plans, load, threads):
        assert batch.labels.tolist() == [used]
        assert plan == plans[used]
        used += 1
        assert len(loaded) <= used + threads * AHEAD
    assert used == 12


def test_an_error_while_loading_comes_where_its_batch_would() -> None:
    def load(plan: BatchPlan) -> Batch:
        if plan.clips[0] == 5:
            raise InputError("gone")
        return Batch.stack([stream(plan.clips[0])])

    batches = prefetch(plans, load, 2)
    assert [next(batches)[0].clips[0] for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(InputError, match="gone"):
        next(batches)


def test_closing_stops_the_threads() -> None:
    before = threading.active_count()
    batches = prefetch(plans, lambda plan: Batch.stack([stream(plan.clips[0])]), 3)
    next(batches)
    assert threading.active_count() > before
    batches.close()
    assert threading.active_count() == before
