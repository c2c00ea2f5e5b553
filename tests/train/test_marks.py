"""Which recordings a model knows again."""

import shutil
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from edgevid.manifest import Mark
from edgevid_train.annotations import ClipRecord, read_data
from edgevid_train.library.prepare import Encoding, prepare
from edgevid_train.library.shards import write_shards
from edgevid_train.marks import MOST, marks_of, marks_of_all, trained_among
from edgevid_train.synthetic.seeds import group_of, seed_of
from edgevid_train.synthetic.write import Request, write_dataset


def test_a_recording_is_known_again_wherever_it_lies(clips: Path, tmp_path: Path) -> None:
    records = read_data(clips)
    known = marks_of_all(records[:4])
    assert {r.name for r in trained_among(records, known)} >= {r.name for r in records[:4]}
    moved = tmp_path / "moved.mp4"
    shutil.copy(records[0].file, tmp_path / records[0].file.name)
    shutil.copy(records[0].file, moved)
    same = ClipRecord(tmp_path / records[0].file.name, "x", ("left",), "x")
    renamed = ClipRecord(moved, "moved.mp4", ("left",), "moved.mp4")
    assert trained_among([same, renamed], known) == [same]


def test_a_recording_is_known_again_when_it_was_re_encoded(clips: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(clips, alone)
    rows = [",".join(row.split(",")[:2]) for row in (alone / "clips.csv").read_text().split()]
    (alone / "clips.csv").write_text("\n".join(rows))  # no groups: only the file itself tells
    records = read_data(alone)
    prepare(records, tmp_path / "once", Encoding(32, 0.5))
    again = prepare(read_data(tmp_path / "once"), tmp_path / "twice", Encoding(32, 0.5)).records
    once, twice = read_data(tmp_path / "once"), read_data(tmp_path / "twice")
    assert twice == again
    write_shards(twice, tmp_path / "shards", 10**9)
    few = {record.file.stem for record in records[:4]}
    packed = read_data(tmp_path / "shards")
    for trained, others in ((records, twice), (once, records), (twice, once), (packed, records), (records, packed)):
        known = marks_of_all(record for record in trained if record.file.stem in few)
        assert {record.file.stem for record in trained_among(others, known)} == few


def test_a_column_origin_of_somebody_else_s_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text("file,label,origin\na.mp4,up,Paris\nb.mp4,up,0123456789ab\n")
    assert [record.origin for record in read_data(tmp_path)] == [None, "0123456789ab"]


def test_other_clips_of_a_group_that_was_trained_on(tmp_path: Path) -> None:
    def record(name: str, group: str) -> ClipRecord:
        (tmp_path / name).write_bytes(name.encode())
        return ClipRecord(tmp_path / name, name, ("up",), group)

    known = marks_of_all([record("a.mp4", "kitchen"), record("b.mp4", "b.mp4")])
    assert len(known) == 3
    others = [record("c.mp4", "kitchen"), record("d.mp4", "garden"), record("e.mp4", "b.mp4")]
    assert trained_among(others, known) == others[:1]
    grouped_anew = replace(record("a.mp4", "kitchen"), group="a.mp4")
    assert trained_among([grouped_anew], known) == [grouped_anew]


def test_a_file_that_is_not_there_has_no_mark(tmp_path: Path) -> None:
    assert marks_of(ClipRecord(tmp_path / "no.mp4", "no.mp4", ("up",), "no.mp4")) == ()


@given(st.sets(st.integers(0, 300)), st.sets(st.integers(0, 300)), st.integers(0, 300), st.integers(0, 40))
def test_drawn_clips_are_known_by_their_seeds_and_no_others(
    trained: set[int], more: set[int], first: int, count: int
) -> None:
    marks = marks_of_all(map(drawn, trained), map(drawn, more), drawn=range(first, first + count))
    seen = trained | more | set(range(first, first + count))
    assert {seed_of(r.group) for r in trained_among([drawn(seed) for seed in range(400)], marks)} == seen
    assert marks_of_all([], before=marks) == marks
    assert len(marks) == sum(seed - 1 not in seen for seed in seen)  # one for each range
    assert all(TypeAdapter(Mark).validate_python(mark) == mark for mark in marks)


def drawn(seed: int) -> ClipRecord:
    return ClipRecord(Path(f"clips/{seed}.mp4"), f"clips/{seed}.mp4", ("up",), group_of(seed))


def test_a_drawn_clip_is_known_wherever_it_was_written_and_a_real_one_is_none(tmp_path: Path) -> None:
    records = read_data(write_dataset(tmp_path / "a", Request(2, seed=7, size=(32, 24), fps=(5, 5))).parent)
    assert marks_of_all(records) == ("7-8",)
    again = read_data(write_dataset(tmp_path / "b", Request(2, seed=8, size=(64, 48), fps=(6, 6))).parent)
    assert [r.group for r in trained_among(again, ("7-8",))] == ["seed-8"]
    assert trained_among([ClipRecord(Path("x"), "x", ("up",), "seed-eight")], ("7-8",)) == []


def test_others_never_crowd_out_the_own_recordings() -> None:
    own, others = ([ClipRecord(Path("no"), "no", ("up",), f"{kind} {i}") for i in range(MOST)] for kind in "ab")
    marks = marks_of_all(own[:176], others, drawn=range(10**9, 10**9 + 6000))
    assert len(marks) == MOST + 1
    assert len(trained_among(own[:176], marks)) == 176
    assert len(trained_among(others, marks)) == MOST - 176


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 3 * MOST), st.integers(0, 50))
def test_few_marks_are_kept_and_those_of_others_stay_among_them(groups: int, others: int) -> None:
    records = [ClipRecord(Path("no"), "no", ("up",), f"group {i}") for i in range(groups)]
    low = [f"{i:012x}" for i in range(others)]
    marks = marks_of_all(records, before=low)
    assert len(marks) == min(MOST, groups + others)
    assert list(marks) == sorted(set(marks))
    assert groups >= MOST or set(low) <= set(marks)
    assert bool(trained_among(records, marks)) == (groups > 0)
