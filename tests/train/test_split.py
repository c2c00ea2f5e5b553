"""Folds that never split a group."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.errors import InputError
from edgevid_train.annotations import ClipRecord, read_data
from edgevid_train.samples.split import check_labels, grouped_folds, holdout


def records(*clips: tuple[str, str], split: str | None = None) -> list[ClipRecord]:
    """`records(("up", "office"), …)`: label and group of each clip."""
    return [
        ClipRecord(Path(f"{i}.mp4"), f"{i}.mp4", (label,), group, split=split) for i, (label, group) in enumerate(clips)
    ]


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("12345678")), min_size=4, max_size=60),
    st.integers(2, 6),
    st.integers(0, 1000),
)
def test_every_clip_is_held_out_once_and_no_group_is_split(clips: list[tuple[str, str]], k: int, seed: int) -> None:
    data = records(*clips)
    groups = {group for _, group in clips}
    if len(groups) < k:
        with pytest.raises(InputError):
            grouped_folds(data, k, seed)
        return
    folds = grouped_folds(data, k, seed)
    assert len(folds) == k
    assert Counter(record for fold in folds for record in fold.val) == Counter(data)
    for fold in folds:
        assert fold.val
        assert fold.train
        assert set(fold.train) | set(fold.val) == set(data)
        assert not {record.group for record in fold.train} & {record.group for record in fold.val}
    assert grouped_folds(data, k, seed) == folds


def test_folds_are_stratified_where_groups_allow() -> None:
    data = records(*[(label, f"{label}{i}") for label in "abc" for i in range(10)])
    for fold in grouped_folds(data, 5, seed=3):
        assert Counter(record.label for record in fold.val) == {"a": 2, "b": 2, "c": 2}


def test_the_seed_decides() -> None:
    data = records(*[("ab"[i % 2], str(i)) for i in range(20)])
    assert len({tuple(grouped_folds(data, 4, seed)[0].val) for seed in range(5)}) > 1


def test_the_real_gestures_in_five_folds(shared_data: Path) -> None:
    folds = grouped_folds(read_data(shared_data / "egogestar"), 5, seed=0)
    for fold in folds:
        assert 33 <= len(fold.val) <= 38
        counts = Counter(record.label for record in fold.val if record.label != "other")
        assert len(counts) == 10
        assert max(counts.values()) <= 5
    # `other` was filmed in two scenes: in two folds it is measured, in three it only trains
    assert sorted(sum(r.label == "other" for r in fold.val) for fold in folds) == [0, 0, 0, 7, 7]


def test_a_label_in_one_group_only_is_said() -> None:
    data = records(("a", "1"), ("b", "1"), ("a", "2"), ("b", "2"), ("rare", "2"), ("a", "3"), ("b", "3"))
    said = [line for fold in grouped_folds(data, 3, 0) for line in fold.warnings()]
    assert "label 'rare': no clip to train on; all 1 are in held-out groups" in said
    assert said.count("label 'rare': no clip held out, so it is not measured (1 to train on)") == 2


def test_holdout_leaves_no_label_untrained_where_it_can() -> None:
    clips = [(label, group) for group in "123456" for label in "ab"] + [("rare", "3")]
    for seed in range(20):
        assert "rare" in {record.label for record in holdout(records(*clips), 5, seed).train}


def test_holdout_takes_the_datas_own_split() -> None:
    train, val = records(("a", "1"), ("b", "2"), split="train"), records(("a", "8"), ("b", "9"), split="val")
    test = records(("a", "6"), split="test")
    own = holdout([*train, *val, *test], 5, 0)
    assert (own.train, own.val) == (tuple(train), tuple(val))
    assert holdout([*train, *test], 5, 0).val == tuple(test)
    with pytest.raises(InputError, match="leaves no clip to train on"):
        holdout(val, 5, 0)


def test_a_leak_in_the_datas_own_split_is_said() -> None:
    leaking = holdout([*records(("a", "x"), ("b", "y"), split="train"), *records(("a", "x"), split="val")], 5, 0)
    assert any("1 groups are on both sides" in line for line in leaking.warnings())


def test_what_cannot_be_split() -> None:
    with pytest.raises(InputError, match="all 2 clips are 'a'"):
        check_labels(records(("a", "1"), ("a", "2")))
    with pytest.raises(InputError, match="5 folds need at least 5 groups; the data has 2"):
        grouped_folds(records(("a", "1"), ("b", "2")), 5, 0)
    with pytest.raises(InputError, match="1 folds: at least 2"):
        grouped_folds(records(("a", "1"), ("b", "2")), 1, 0)
    with pytest.raises(InputError, match=r"one group.*--all"):
        holdout(records(("a", "1"), ("b", "1")), 5, 0)


def test_clips_with_several_labels_count_for_each_of_them() -> None:
    data = [
        ClipRecord(Path(f"{i}.mp4"), f"{i}.mp4", ("walk", "talk") if i % 3 == 0 else ("walk",), f"g{i}")
        for i in range(30)
    ]
    check_labels(data[:1])  # two labels to tell apart, on one clip
    for fold in grouped_folds(data, 5, seed=1):
        assert Counter(label for record in fold.val for label in record.labels) == {"walk": 6, "talk": 2}
    rare = [*records(("walk", "1"), ("walk", "2")), ClipRecord(Path("r.mp4"), "r.mp4", ("walk", "rare"), "3")]
    assert "rare" in {label for record in holdout(rare, 3, 0).train for label in record.labels}
    with pytest.raises(InputError, match="there is no clip"):
        check_labels([])
