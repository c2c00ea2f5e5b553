"""Readers of labelled videos: what they accept, what they refuse, and what they say then."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.errors import InputError
from edgevid_train.annotations import ClipRecord, ReadOptions, read_data
from edgevid_train.annotations.clips_csv import read_clips_csv


def table(folder: Path, text: str | bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "clips.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return folder


def files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def test_clips_csv_in_full(tmp_path: Path) -> None:
    text = (
        "file,frames,label,group,start_s,end_s,split\n"
        "clips/a b.mp4,12,up,office,1.5,2.25,train\n"
        '"clips/c,d.mp4",9,"up, then down",,,,val\n'
    )
    assert read_data(table(tmp_path, text)) == [
        ClipRecord(tmp_path / "clips/a b.mp4", "clips/a b.mp4", ("up",), "office", 1.5, 2.25, "train"),
        ClipRecord(tmp_path / "clips/c,d.mp4", "clips/c,d.mp4", ("up, then down",), "clips/c,d.mp4", 0.0, None, "val"),
    ]


def test_byte_order_mark_windows_lines_blank_lines_and_spaces(tmp_path: Path) -> None:
    plain = read_data(table(tmp_path, "file,label\na.mp4,up\nb.mp4,down\n"))
    odd = read_data(table(tmp_path, b"\xef\xbb\xbffile , label\r\n\r\n a.mp4,up \r\nb.mp4,down\r\n\r\n"))
    assert odd == plain


def test_group_column_of_another_name(tmp_path: Path) -> None:
    folder = table(tmp_path, "file,label,group,person\na.mp4,up,office,p1\nb.mp4,up,office,p2\n")
    assert [record.group for record in read_data(folder, ReadOptions(group="person"))] == ["p1", "p2"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "row 1: column 'file' is missing; found: nothing"),
        ("file,group\na.mp4,g\n", "row 1: column 'label' is missing; found: file, group"),
        ("file,label,label\na,b,c\n", "row 1: column 'label' occurs twice"),
        ("file,label\na.mp4,up\nb.mp4\n", "row 3: 1 fields, the header has 2"),
        ("file,label\na.mp4, \n", "row 2: field 'label' is empty"),
        ("file,label\n,up\n", "row 2: field 'file' is empty"),
        ("file,label\n../a.mp4,up\n", "row 2: field 'file': '../a.mp4' is not inside the data folder"),
        ("file,label\nx/../../a.mp4,up\n", "row 2: field 'file': 'x/../../a.mp4' is not inside the data folder"),
        ("file,label\n/etc/passwd,up\n", "row 2: field 'file': '/etc/passwd' is not inside the data folder"),
        ("file,label\n..\\a.mp4,up\n", "row 2: field 'file'"),
        ("file,label,start_s,end_s\na.mp4,up,one,2\n", "row 2: field 'start_s': 'one' is not a number of seconds"),
        ("file,label,start_s,end_s\na.mp4,up,-1,2\n", "row 2: field 'start_s': '-1'"),
        ("file,label,start_s,end_s\na.mp4,up,0,nan\n", "row 2: field 'end_s': 'nan'"),
        ("file,label,start_s,end_s\na.mp4,up,2,2\n", "row 2: end_s 2 is not after start_s 2"),
        ("file,label,split\na.mp4,up,dev\n", "row 2: field 'split': 'dev' is not one of train, val, test"),
        (
            "file,label\na.mp4,up\n./a.mp4,down\n",
            "row 3: 'a.mp4' stands in row 2 already; a clip with several labels has them",
        ),
        (b"file,label\na.mp4,\xff\n", "not UTF-8 text (byte 17)"),
        ('file,label\na.mp4,"up\n', "row 2"),
        ("file,label\na.mp4,u\x1b[31mp\n", "row 2: field 'label'"),
        ("file,label,group\na.mp4,up,g\x1b[31m\n", "row 2: field 'group'"),
        ("file,label,start_s,start_s\na.mp4,up,0,1\n", "row 1: column 'start_s' occurs twice"),
    ],
)
def test_malformed_clips_csv_says_file_row_and_field(tmp_path: Path, text: str | bytes, says: str) -> None:
    folder = table(tmp_path, text)
    with pytest.raises(InputError) as raised:
        read_data(folder)
    assert str(raised.value).startswith(f"{folder / 'clips.csv'}: ")
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_one_file_may_hold_several_clips(tmp_path: Path) -> None:
    text = "file,label,start_s,end_s\na.mp4,up,0,1\na.mp4,down,1,2\n"
    first, second = read_data(table(tmp_path, text))
    assert (first.id, second.id) == ("a.mp4[0:1]", "a.mp4[1:2]")
    assert first.group == second.group


def test_class_folders(tmp_path: Path) -> None:
    root = files(tmp_path, "up/1.mp4", "up/deep/2.AVI", "down/3.webm", "down/notes.txt", "up/.4.mp4", "5.mp4")
    found = [(record.name, record.label, record.split) for record in read_data(root)]
    assert found == [("down/3.webm", "down", None), ("up/1.mp4", "up", None), ("up/deep/2.AVI", "up", None)]


def test_files_that_are_no_videos_are_said_to_be_left_out(tmp_path: Path) -> None:
    root, said = files(tmp_path, "up/1.mp4", "up/2.MTS", "down/3.3gp", "down/4.film", "down/notes.txt"), []
    assert len(read_data(root, say=said.append)) == 3
    assert said == ["1 file left out: no ending of a video's: .film"]


def test_a_folder_whose_name_no_model_can_answer_with(tmp_path: Path) -> None:
    for label in ("left ", "right"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "a.mp4").touch()
    with pytest.raises(InputError, match="label 'left ' begins or ends with a space"):
        read_data(tmp_path)


def test_class_folders_below_train_and_val(tmp_path: Path) -> None:
    root = files(tmp_path, "train/up/1.mp4", "val/up/2.mp4", "Test/down/3.mp4")
    found = {record.name: (record.label, record.split) for record in read_data(root)}
    assert found == {
        "train/up/1.mp4": ("up", "train"),
        "val/up/2.mp4": ("up", "val"),
        "Test/down/3.mp4": ("down", "test"),
    }


def test_labels_from_file_names(tmp_path: Path) -> None:
    root = files(tmp_path, "up_s1_01.mp4", "down_s2_01.mp4")
    found = read_data(root, ReadOptions(label_pattern=r"(?P<label>[a-z]+)_(?P<group>s\d+)"))
    assert [(record.label, record.group) for record in found] == [("down", "s2"), ("up", "s1")]
    assert [record.label for record in read_data(root, ReadOptions(label_pattern=r"[a-z]+"))] == ["down", "up"]


def test_a_file_name_without_a_label_is_named(tmp_path: Path) -> None:
    root = files(tmp_path, "up_1.mp4", "42.mp4")
    with pytest.raises(InputError, match=r"42\.mp4: --label-pattern .* finds no label"):
        read_data(root, ReadOptions(label_pattern="[a-z]+"))
    with pytest.raises(InputError, match="--label-pattern"):
        read_data(root, ReadOptions(label_pattern="("))


def test_classes_keep_a_subset(tmp_path: Path) -> None:
    folder = table(tmp_path, "file,label\na.mp4,up\nb.mp4,down\nc.mp4,left\n")
    assert [r.label for r in read_data(folder, ReadOptions(classes=("left", "up")))] == ["up", "left"]
    with pytest.raises(InputError, match="has no label 'lefft'; it has down, left, up"):
        read_data(folder, ReadOptions(classes=("lefft",)))


@pytest.mark.parametrize(
    ("make", "options", "says"),
    [
        (lambda p: p / "nowhere", ReadOptions(), "no such data folder"),
        (lambda p: p, ReadOptions(), "no labelled videos"),
        (lambda p: table(p, "file,label\n"), ReadOptions(), "no labelled videos"),
        (lambda p: files(p, "up/1.mp4"), ReadOptions(format="nope"), "--format 'nope' is not one of clips, folders"),
        (lambda p: files(p, "up/1.mp4"), ReadOptions(group="person"), "--group names a column of clips.csv"),
        (lambda p: files(p, "up/1.mp4"), ReadOptions(format="clips"), "clips.csv: No such file"),
        (lambda p: files(p, "up/1.mp4"), ReadOptions(format="names"), "needs --label-pattern"),
        (
            lambda p: files(p, "up/1.mp4"),
            ReadOptions(format="folders", label_pattern="[a-z]+"),
            "--label-pattern is for --format names, not for folders",
        ),
    ],
)
def test_what_is_no_data_folder(tmp_path: Path, make, options: ReadOptions, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_data(make(tmp_path), options)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.csv"
    path.write_bytes(b"file,label,group,start_s,end_s\n" + data)
    records, refusal = [], None
    try:
        records = read_clips_csv(path)
    except InputError as error:
        refusal = str(error)
    assert refusal is None or (refusal.startswith(str(path)) and refusal.isprintable())
    for record in records:
        assert record.label
        assert path.parent in record.file.parents
        assert record.end_s is None or record.end_s > record.start_s >= 0


def test_the_real_gestures(shared_data: Path) -> None:
    records = read_data(shared_data / "egogestar")
    assert len(records) == 176
    assert len({record.label for record in records}) == 11
    assert len({record.group for record in records}) == 27
    assert all(record.file.is_file() for record in records)


@pytest.mark.parametrize(
    ("header", "column", "meant"),
    [
        ("file,label,Group", "Group", "group"),
        ("file,label,start,end", "start", "start_s"),
        ("file,label,START_S", "START_S", "start_s"),
    ],
)
def test_a_column_that_is_nearly_right_is_not_ignored(tmp_path: Path, header: str, column: str, meant: str) -> None:
    (tmp_path / "clips.csv").write_text(f"{header}\na.mp4,up{',1' * (header.count(',') - 1)}\n")
    (tmp_path / "a.mp4").touch()
    with pytest.raises(InputError, match=rf"there is a column .?{column}.?; is '{meant}' meant"):
        read_data(tmp_path)


def test_labels_that_look_alike_are_one_and_those_of_other_letters_are_told(tmp_path: Path) -> None:
    for name in ("caf\u00e9", "cafe\u0301", "Other", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{len(name)}.mp4").touch()
    said: list[str] = []
    records = read_data(tmp_path, say=said.append)
    assert {record.label for record in records} == {"caf\u00e9", "Other", "other"}
    assert "'Other' and 'other' are different labels" in said
    kept = read_data(tmp_path, ReadOptions(classes=("cafe\u0301",)), said.append)
    assert [record.label for record in kept] == ["caf\u00e9"] * 2
