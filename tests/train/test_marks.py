"""Which recordings a model knows again."""

import shutil
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from edgevid_train.annotations import ClipRecord, read_data
from edgevid_train.marks import MOST, marks_of, marks_of_all, trained_among


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


@given(st.integers(0, 3 * MOST), st.integers(0, 50))
def test_few_marks_are_kept_and_those_of_others_stay_among_them(groups: int, others: int) -> None:
    records = [ClipRecord(Path("no"), "no", ("up",), f"group {i}") for i in range(groups)]
    low = [f"{i:012x}" for i in range(others)]
    marks = marks_of_all(records, low)
    assert len(marks) == min(MOST, groups + others)
    assert list(marks) == sorted(set(marks))
    assert set(low) <= set(marks)
    assert bool(trained_among(records, marks)) == (groups > 0)
