"""Folders and files whose names are the labels: whatever people call them gives records or one line."""

import os
import re
import tempfile
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edgevid.errors import InputError
from edgevid_train.annotations import ClipRecord, ReadOptions, read_data

NASTY = st.sampled_from(
    ["\n", "\r", "\x1b[31m", " ", ".", "..", "-", "\u2028", "é", "e\u0301", "日本", "😀", "\x7f", "\x85"]
)
NASTIER = st.sampled_from(["\udcff", "'", '"', "\\", ",", "[red]", "{0}", "%s", "*", "~", "train", "val", "x" * 200])
NAME = st.lists(NASTY | NASTIER | st.text(max_size=3), min_size=1, max_size=4).map("".join)
PLACE = st.lists(NAME, min_size=1, max_size=3)
ENDING = st.sampled_from([".mp4", ".MP4", ".avi", ".txt", ""])
PATTERN = st.sampled_from(
    [
        r"(?P<label>[^_/]+)_(?P<group>\w+)",
        r"(?P<group>.)(?P<label>.*)",
        "(.*)/",
        ".",
        "",
        "(",
        "(?P<group>.)",
        "a{9999999999}",
    ]
) | st.text(alphabet=r"(?P<label>)|[]*+{}\_/.^$group019", max_size=16)


def put(root: Path, places: Sequence[tuple[list[str], str]]) -> None:
    """Empty files; what no file system takes is left out."""
    for parts, ending in places:
        *folders, name = parts
        if any("/" in part or "\0" in part or part in (".", "..") for part in (*folders, name + ending)):
            continue
        try:
            file = root.joinpath(*folders, name + ending)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        except OSError:
            continue


def is_one_line(text: str) -> bool:
    """Nothing in it breaks the line or steers a terminal; what Python's tables do not know yet may stand in a name."""
    return not any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text)


def read(root: Path, options: ReadOptions) -> list[ClipRecord]:
    """The records, none where the refusal is one line; asserts what must be so of either."""
    said: list[str] = []
    records, refusal = [], None
    try:
        records = read_data(root, options, said.append)
    except InputError as error:
        refusal = str(error)
    if refusal is not None:
        assert is_one_line(refusal)
        assert len(refusal) < 1000
        return []
    assert records
    assert all(is_one_line(line) for line in said)
    for record in records:
        assert record.file.is_file()
        assert len(record.name.splitlines()) == 1
        assert record.name.encode()
        assert not any(part.startswith(".") for part in record.name.split("/"))
        assert record.label.isprintable()
        assert 0 < len(record.label) <= 128
        assert record.split in (None, "train", "val", "test")
    assert len({record.id for record in records}) == len(records)
    return records


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.tuples(PLACE, ENDING), max_size=6))
def test_class_folders_of_any_name(tmp_path: Path, places: list[tuple[list[str], str]]) -> None:
    root = Path(tempfile.mkdtemp(dir=tmp_path))
    put(root, places)
    for record in read(root, ReadOptions(format="folders")):
        *folders, _ = record.name.split("/")
        assert record.label == folders[0 if record.split is None else 1]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.tuples(PLACE, ENDING), max_size=4), pattern=PATTERN)
@example(places=[(["\U00018cd6"], ".mp4")], pattern=r"(?P<label>[^_/]+)_(?P<group>\w+)")  # newer than Python's tables
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_any_names_and_any_pattern(tmp_path: Path, places: list[tuple[list[str], str]], pattern: str) -> None:
    root = Path(tempfile.mkdtemp(dir=tmp_path))
    put(root, places)
    for record in read(root, ReadOptions(label_pattern=pattern)):
        assert record.label in record.name
        assert record.group == record.name or record.group in record.name


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(links=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=6))
def test_links_that_lead_in_circles_end(tmp_path: Path, links: list[tuple[int, int]]) -> None:
    root, store = Path(tempfile.mkdtemp(dir=tmp_path)), Path(tempfile.mkdtemp(dir=tmp_path))
    places = [root / "up", root / "down", store / "a", store / "b", root]
    put(root, [(["up", "1"], ".mp4"), (["down", "2"], ".mp4")])
    put(store, [(["a", "3"], ".mp4"), (["b", "4"], ".mp4")])
    for i, (where, to) in enumerate(links):
        (places[where] / f"link{i}").symlink_to(places[to])
    names = {record.name for record in read(root, ReadOptions(format="folders"))}
    assert {"up/1.mp4", "down/2.mp4"} <= names


def test_a_class_may_be_a_link_to_where_its_videos_are(tmp_path: Path) -> None:
    put(tmp_path / "store", [(["1"], ".mp4"), (["2"], ".mp4")])
    put(tmp_path / "data", [(["up", "3"], ".mp4")])
    (tmp_path / "data" / "down").symlink_to(tmp_path / "store")
    (tmp_path / "data" / "over").symlink_to(tmp_path / "data" / "up")  # would be the same videos again
    found = read(tmp_path / "data", ReadOptions())
    assert [(record.label, record.name) for record in found] == [
        ("down", "down/1.mp4"),
        ("down", "down/2.mp4"),
        ("up", "up/3.mp4"),
    ]


def test_the_folder_one_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, [(["up", "deeper", "1"], ".mp4")])
    monkeypatch.chdir(tmp_path)
    assert [record.name for record in read_data(Path())] == ["up/deeper/1.mp4"]


def test_a_class_without_videos_is_named(tmp_path: Path) -> None:
    put(tmp_path, [(["up", "1"], ".mp4"), (["down", "2"], ".film"), ([".git", "3"], ".mp4")])
    (tmp_path / "left").mkdir()
    said: list[str] = []
    read_data(tmp_path, ReadOptions(), said.append)
    assert said == ["1 file left out: no ending of a video's: .film", "no video in 2 folders: down, left"]


def test_only_empty_classes(tmp_path: Path) -> None:
    (tmp_path / "left").mkdir()
    with pytest.raises(InputError, match="no labelled videos"):
        read_data(tmp_path)


@pytest.mark.skipif(os.name == "nt" or getattr(os, "geteuid", lambda: 1)() == 0, reason="root may look anywhere")
def test_a_folder_that_may_not_be_looked_into(tmp_path: Path) -> None:
    put(tmp_path, [(["up", "1"], ".mp4"), (["down", "2"], ".mp4")])
    (tmp_path / "down").chmod(0)
    try:
        with pytest.raises(InputError, match=r"down.*Permission denied"):
            read_data(tmp_path)
    finally:
        (tmp_path / "down").chmod(0o755)


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", os.fsdecode(b"a\xff"), "a\u2028b"])
def test_a_name_that_cannot_be_printed(tmp_path: Path, name: str) -> None:
    put(tmp_path, [(["up", name], ".mp4")])
    if not any((tmp_path / "up").iterdir()):
        pytest.skip("this file system takes no such name")
    with pytest.raises(InputError, match=r"up/a.* holds characters that cannot be printed; rename it"):
        read_data(tmp_path)


@pytest.mark.parametrize(
    "pattern", ["(", "[", "*", "(?P<label>", "a{99999999999}", "(" * 5000 + ")" * 5000, "(?P<group>.)"]
)
def test_a_pattern_that_is_none(tmp_path: Path, pattern: str) -> None:
    put(tmp_path, [(["up_1"], ".mp4")])
    with pytest.raises(InputError, match="--label-pattern") as refused:
        read_data(tmp_path, ReadOptions(label_pattern=pattern))
    assert len(str(refused.value)) < 300


def test_the_group_is_never_taken_for_the_label(tmp_path: Path) -> None:
    put(tmp_path, [(["s1_up"], ".mp4")])
    found = read_data(tmp_path, ReadOptions(label_pattern=r"(?P<group>s\d)_(\w+)"))
    assert [(record.label, record.group) for record in found] == [("up", "s1")]
    with pytest.raises(InputError, match=re.escape("finds no label in 's1_up.mp4'")):
        read_data(tmp_path, ReadOptions(label_pattern=r"(?P<group>s\d)_(?P<label>\d*)"))


def test_a_class_that_no_clip_has(tmp_path: Path) -> None:
    put(tmp_path, [(["up", "1"], ".mp4"), (["down", "2"], ".mp4")])
    with pytest.raises(InputError, match="has no label 'sideways'; it has down, up"):
        read_data(tmp_path, ReadOptions(classes=("up", "sideways")))
