"""Spans of one file that overlap, where labels do not exclude one another."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from edgevid_train.annotations.overlaps import with_overlapping
from edgevid_train.annotations.record import ClipRecord


def span(start_s: float, end_s: float | None, *labels: str, file: str = "a.mp4") -> ClipRecord:
    return ClipRecord(Path(file), file, labels, file, start_s, end_s)


def labels_of(*records: ClipRecord) -> list[tuple[str, ...]]:
    said: list[str] = []
    return [record.labels for record in with_overlapping(records, said.append)]


def test_a_clip_bears_what_holds_for_half_of_it() -> None:
    walk, phone = span(0, 10, "walk"), span(4, 6, "phone")
    assert labels_of(walk, phone) == [("walk",), ("phone", "walk")]
    assert labels_of(span(0, 4, "walk"), span(2, 8, "talk")) == [("walk", "talk"), ("talk",)]
    assert labels_of(span(0, 4, "walk"), span(4, 8, "talk")) == [("walk",), ("talk",)]


def test_other_files_say_nothing_of_it() -> None:
    assert labels_of(span(0, 4, "walk"), span(0, 4, "talk", file="b.mp4")) == [("walk",), ("talk",)]


def test_where_something_is_done_is_no_background() -> None:
    assert labels_of(span(0, 4, "other"), span(1, 4, "talk")) == [("talk",), ("talk",)]
    assert labels_of(span(0, 4, "other"), span(0, 4.5, "other")) == [("other",), ("other",)]


def test_a_span_to_the_end_of_its_file_holds_for_what_lies_in_it() -> None:
    whole, begun = span(0, None, "walk"), span(3, None, "phone")
    assert labels_of(whole, span(2, 4, "talk")) == [("walk",), ("talk", "walk")]
    assert labels_of(whole, begun) == [("walk",), ("phone", "walk")]
    assert labels_of(span(0, 4, "walk"), begun) == [("walk",), ("phone",)]


def test_what_was_added_is_told_once() -> None:
    said: list[str] = []
    with_overlapping([span(0, 4, "walk"), span(0, 4, "walk", "talk"), span(9, 12, "talk")], said.append)
    assert said == ["1 clip bears labels of other spans too, which cover at least half of it"]


@given(
    st.lists(
        st.builds(
            lambda start, length, label: span(start / 4, None if length is None else (start + length) / 4, label),
            st.integers(0, 20),
            st.none() | st.integers(1, 12),
            st.sampled_from(["a", "b", "c"]),
        )
    )
)
def test_own_labels_stay_first_and_the_order_of_records_does_not_matter(records: list[ClipRecord]) -> None:
    found = labels_of(*records)
    assert [labels[0] for labels in found] == [record.label for record in records]
    assert all(len({*labels}) == len(labels) for labels in found)
    backwards = labels_of(*reversed(records))[::-1]
    assert [{*labels} for labels in backwards] == [{*labels} for labels in found]
