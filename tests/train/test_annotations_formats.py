"""Published layouts, one miniature each: what is read, what is left out and said, what is refused and where."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest
from miniatures import CLIP, OTHER_CLIP, OTHER_VIDEO, SHORT_VIDEO, VIDEO, WRITERS, touch, write_json, write_text
from videos import number_of, numbered_frames

from edgevid.errors import InputError
from edgevid_train.annotations import FORMATS, ClipRecord, ReadOptions, read_data
from edgevid_train.decode import decode_clip
from edgevid_train.library.stats import leaks
from edgevid_train.samples.split import holdout


def read(root: Path, format_: str, **options: Any) -> tuple[list[ClipRecord], list[str]]:
    """Write the miniature of a layout into `root`, read it; its records and what the reader said."""
    WRITERS[format_](root)
    said: list[str] = []
    return read_data(root, ReadOptions(format=format_, **options), said.append), said


def spans(records: list[ClipRecord]) -> list[tuple[str, float, float | None]]:
    return [(record.name, record.start_s, record.end_s) for record in records]


def labels(records: list[ClipRecord]) -> list[str | tuple[str, ...]]:
    return [record.label if len(record.labels) == 1 else record.labels for record in records]


def splits(records: list[ClipRecord]) -> list[str | None]:
    return [record.split for record in records]


def test_every_layout_of_the_design_has_a_reader_and_a_miniature() -> None:
    published = {"ego4d-lta", "ego4d-fho", "ego4d-moments", "ego4d-goalstep", "epic", "ucf101", "hmdb51"}
    published |= {"kinetics", "ssv2", "jester", "coin", "list"}
    assert published <= set(FORMATS)
    assert set(WRITERS) == set(FORMATS) - {"folders", "names", "shards"}  # shards have tests of their own


def test_ego4d_lta(tmp_path: Path) -> None:
    records, said = read(tmp_path, "ego4d-lta")
    clip = f"v2/clips/{CLIP}.mp4"
    assert spans(records) == [
        (clip, 1.0, 3.5),
        (clip, 5.0, 6.0),
        (clip, 28.0, 30.0),
        (f"v2/full_scale/{OTHER_VIDEO}.mp4", 60.0, 62.0),  # its clip is missing: times are the video's
    ]
    assert labels(records) == ["take", "put", "cut", "put"]
    assert splits(records) == ["train", "train", "train", "val"]
    assert [record.group for record in records] == [VIDEO] * 3 + [OTHER_VIDEO]
    assert said == [
        "1 span reaching past the end of their video, cut to it",
        "1 span touching redacted intervals, left out",
    ]


def test_ego4d_lta_nouns_and_actions_and_no_taxonomy(tmp_path: Path) -> None:
    assert labels(read(tmp_path, "ego4d-lta", target="noun")[0]) == ["cup", "knife", "cup", "knife"]
    assert labels(read(tmp_path, "ego4d-lta", target="action")[0])[0] == "take cup"
    (tmp_path / "v2/annotations/fho_lta_taxonomy.json").unlink()
    assert labels(read_data(tmp_path, ReadOptions(format="ego4d-lta"))) == ["take", "put", "cut", "put"]


def test_ego4d_without_its_metadata_and_media(tmp_path: Path) -> None:
    WRITERS["ego4d-lta"](tmp_path / "full")
    whole = json.loads((tmp_path / "full/v2/annotations/fho_lta_val.json").read_text())
    alone = write_json(tmp_path / "alone/fho_lta_val.json", whole)
    said: list[str] = []
    records = read_data(alone, ReadOptions(format="ego4d-lta"), said.append)
    assert spans(records) == [(f"clips/{OTHER_CLIP}.mp4", 0.0, 2.0)]  # where Ego4D's own command would have put it
    assert said == ["ego4d.json is not there: which spans are redacted is not known"]


def test_ego4d_fho(tmp_path: Path) -> None:
    records, said = read(tmp_path, "ego4d-fho")
    assert labels(records) == ["take", "cut", "put"]
    assert spans(records) == [
        (f"clips/{CLIP}.mp4", 2.0, 10.0),
        (f"clips/{CLIP}.mp4", 12.0, 20.0),
        (f"clips/{CLIP}.mp4", 86.0, 90.0),
    ]
    assert said == [
        "1 action left out: rejected",
        "1 action left out: not valid",
        "1 span without a label, left out",
        "1 span reaching past the end of their video, cut to it",
    ]
    several = read_data(tmp_path, ReadOptions(format="ego4d-fho", target="noun"))
    assert labels(several) == [("cup", "lid"), "knife"]
    assert labels(read_data(tmp_path, ReadOptions(format="ego4d-fho", target="action"))) == [
        ("take cup", "take lid"),
        "put knife",
    ]
    touch(tmp_path, f"full_scale/{VIDEO}.mp4")
    assert spans(read_data(tmp_path, ReadOptions(format="ego4d-fho")))[0] == (f"full_scale/{VIDEO}.mp4", 12.0, 20.0)


def test_ego4d_moments(tmp_path: Path) -> None:
    records, said = read(tmp_path, "ego4d-moments")
    assert labels(records) == [("wash dishes", "clean kitchen"), "wash dishes"]
    assert spans(records) == [(f"clips/{CLIP}.mp4", 1.0, 5.0), (f"video_540ss/{OTHER_VIDEO}.mp4", 1.0, 5.0)]
    assert "1 label left out: not primary (--target all takes them too)" in said
    assert "1 clip with more than one label" in said
    every = read_data(tmp_path, ReadOptions(format="ego4d-moments", target="all"))
    assert labels(every)[1] == "use phone"


def test_ego4d_goalstep(tmp_path: Path) -> None:
    records, said = read(tmp_path, "ego4d-goalstep")
    video = f"full_scale/{VIDEO}.mp4"
    assert spans(records) == [(video, 2.0, 40.0), (video, 80.0, 90.0), (f"full_scale/{SHORT_VIDEO}.mp4", 0.0, 4.0)]
    assert (tmp_path / video).is_dir()  # a folder of chunks
    assert labels(records) == ["knead dough", "bake", "boil water"]
    assert said == [
        "1 span touching redacted intervals, left out",
        "1 span reaching past the end of their video, cut to it",
        "1 span beyond the end of their video, left out",
    ]

    def of(target: str) -> list[str | tuple[str, ...]]:
        return labels(read_data(tmp_path, ReadOptions(format="ego4d-goalstep", target=target)))

    assert of("substep") == ["add flour", "add water"]
    assert of("any-step") == ["knead dough", "add flour", "add water", "bake", "boil water"]
    assert of("goal") == ["BREAD", "BREAD", "TEA"]


def test_epic(tmp_path: Path) -> None:
    records, said = read(tmp_path, "epic")
    assert labels(records) == ["take", "put", "take"]  # of the class; the narrator said pick-up and put-down
    assert spans(records) == [
        ("P01/videos/P01_01.MP4", 0.5, 2.0),
        ("P01/videos/P01_01.MP4", 62.25, 64.5),
        ("P02/rgb_frames/P02_03", 3600.0, 3605.0),
    ]
    assert [record.rate_hz for record in records] == [None, None, 50.0]
    assert [record.group for record in records] == ["P01", "P01", "P02"]
    assert splits(records) == ["train", "train", "val"]
    beyond = "1 span beyond the end of their video, left out"
    assert said == ["1 span reaching past the end of their video, cut to it", beyond]
    assert labels(read(tmp_path, "epic", target="action")[0])[0] == "take plate"
    assert [r.group for r in read(tmp_path, "epic", group="video_id")[0]] == ["P01_01", "P01_01", "P02_03"]


def test_epic_without_its_classes(tmp_path: Path) -> None:
    alone = write_text(tmp_path / "alone/EPIC_100_validation.csv", "")
    WRITERS["epic"](tmp_path / "full")
    alone.write_bytes((tmp_path / "full/annotations/EPIC_100_validation.csv").read_bytes())
    said: list[str] = []
    records = read_data(alone, ReadOptions(format="epic"), said.append)
    assert (labels(records), records[0].name) == (["take", "take"], "P02/videos/P02_03.MP4")
    assert said == ["EPIC_100_verb_classes.csv is not there: classes bear the verb that narrators used most"]


def test_ucf101_groups_and_splits(tmp_path: Path) -> None:
    records, said = read(tmp_path, "ucf101")
    assert Counter(zip(labels(records), splits(records), strict=True)) == {
        ("ApplyEyeMakeup", "train"): 2,
        ("Archery", "train"): 1,
        ("ApplyEyeMakeup", "test"): 1,
        ("Archery", "test"): 1,
    }
    assert [r.group for r in records[:3]] == ["v_ApplyEyeMakeup_g08", "v_ApplyEyeMakeup_g08", "v_Archery_g09"]
    assert [r.name for r in records[1:3]] == [
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c02.avi",  # missing: named as the list does
        "UCF-101/Archery/v_Archery_g09_c01.avi",
    ]
    assert said == ["split 01 is taken; give trainlist02.txt for another"]
    assert leaks(records) == []


def test_ucf101_split_that_leaks_groups_is_warned_of(tmp_path: Path) -> None:
    WRITERS["ucf101"](tmp_path)
    list_file = tmp_path / "ucfTrainTestlist/trainlist02.txt"
    list_file.write_text(list_file.read_text() + "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\n")
    records = read_data(list_file, ReadOptions(format="ucf101"))
    assert leaks(records) == ["group v_Archery_g01"]
    (line,) = [line for line in holdout(records, 5, 0).warnings() if "leak" in line]
    assert "'v_Archery_g01' for one: a leak; 50% of the held-out clips are of such groups" in line


def test_hmdb51(tmp_path: Path) -> None:
    records, said = read(tmp_path, "hmdb51")
    assert [(r.label, r.split, r.group) for r in records] == [
        ("brush_hair", "train", "April_09"),
        ("brush_hair", "train", "April_09"),
        ("brush_hair", "test", "Haare (2)"),
        ("wave", "train", "21"),
        ("wave", "test", "20060723"),
    ]
    assert records[3].name == "wave/21_wave_u_nm_np1_fr_goo_5.avi"
    assert said == [
        "split 1 is taken; give brush_hair_test_split2.txt for another",
        "1 video left out: neither to train nor to test on in split 1",
    ]
    second = tmp_path / "testTrainMulti_7030_splits/wave_test_split2.txt"
    assert splits(read_data(second, ReadOptions(format="hmdb51"))) == ["test"]


def test_kinetics(tmp_path: Path) -> None:
    records, said = read(tmp_path, "kinetics")
    assert [(*span, r.split) for span, r in zip(spans(records), records, strict=True)] == [
        ("train/abseiling/-_0bOQqv1pE_000012_000022.mp4", 0.0, None, "train"),
        ("7l3wuXj2SR4_000000_000010.mp4", 0.0, None, "train"),
        ("raw/wholeVideo1.mkv", 31.0, 41.0, "train"),
        ("0zV5oiHfN2Q_000001_000011.mp4", 0.0, None, "val"),
    ]
    assert labels(records)[1] == "playing cards, alone"
    assert said == ["1 clip of the test set left out: without a label"]


def test_ssv2(tmp_path: Path) -> None:
    records, said = read(tmp_path, "ssv2")
    assert labels(records) == [
        "Putting something on something",
        "Tearing something into two pieces",
        "Putting something on something",
    ]
    assert [r.name for r in records] == ["20bn-something-something-v2/78687.webm", "42326.webm", "74225.webm"]
    assert splits(records) == ["train", "train", "val"]
    assert said == ["1 clip of the test set left out: without a label"]


def test_jester_as_images_and_as_video(tmp_path: Path) -> None:
    records, said = read(tmp_path, "jester")
    assert [(r.name, r.label, r.rate_hz, r.split) for r in records] == [
        ("20bn-jester-v1/34870", "Thumb Up", 12.0, "train"),
        ("webm/56557.webm", "Swiping Left", None, "train"),
        ("20bn-jester-v1/9223", "Doing other things", 12.0, "val"),
    ]
    assert said == ["2 clips of the test set left out: without a label"]


def test_a_folder_of_images_is_decoded_at_its_rate(tmp_path: Path) -> None:
    WRITERS["jester"](tmp_path)
    for number, pixels in enumerate(numbered_frames(24), start=1):
        cv2.imwrite(str(tmp_path / f"20bn-jester-v1/34870/{number:05d}.jpg"), pixels)
    record = read_data(tmp_path, ReadOptions(format="jester"), lambda _: None)[0]
    clip = decode_clip(record, 64, span=(0.5, 1.0))
    assert [number_of(frame) for frame in clip.frames] == [6, 7, 8, 9, 10, 11]


def test_jester_with_a_header(tmp_path: Path) -> None:
    file = write_text(
        tmp_path / "Train.csv", 'video_id,label,frames,label_id,shape,format\n1,Thumb Up,37,2,"(176, 100)",JPEG\n'
    )
    (record,) = read_data(file, ReadOptions(format="jester"))
    assert (record.label, record.split, record.name) == ("Thumb Up", "train", "20bn-jester-v1/1")


def test_coin(tmp_path: Path) -> None:
    records, said = read(tmp_path, "coin")
    assert labels(records) == ["unscrew the screw", "jack up the car", "fry"]
    assert spans(records) == [
        ("videos/13/LtRSn-ntcLY.mp4", 60.0, 69.0),
        ("videos/13/LtRSn-ntcLY.mp4", 71.0, 82.0),
        ("videos/-3C-VGhs2mo.mp4", 100.0, 131.0),
    ]
    assert splits(records) == ["train", "train", "test"]
    beyond = "1 span beyond the end of their video, left out"
    assert said == ["1 span reaching past the end of their video, cut to it", beyond]
    assert labels(read(tmp_path, "coin", target="task")[0]) == ["ChangeCarTire", "MakeFrenchFries"]
    domains, said = read(tmp_path, "coin", target="domain", max_clip_s=60.0)
    assert (labels(domains), spans(domains)[0][1:]) == (["Vehicle"], (56.6, 85.7))
    assert "1 clip left out: shorter or longer than asked for" in said


def test_lists_split_from_the_right(tmp_path: Path) -> None:
    records, said = read(tmp_path, "list")
    assert [(r.name, r.label, r.split) for r in records] == [
        ("videos/drinking (31).mp4", "drinking", "train"),
        ("videos/a, b.mp4", "waving hands", "train"),
        ("videos/c.mp4", "waving hands", "train"),
        ("frames/clip", "waving hands", "train"),
        ("frames/clip 12", "drinking", "val"),
        ("videos/d.mp4", "waving hands", "val"),
    ]
    assert said == ["folders of images are taken to hold 30 a second"]


def test_names_of_labels_have_no_gap(tmp_path: Path) -> None:
    write_text(tmp_path / "labels.txt", "up\n\ndown\n")
    with pytest.raises(InputError, match=r"labels\.txt: row 2 is empty"):
        read_data(write_text(tmp_path / "train.csv", "a.mp4 1\n"), ReadOptions(format="list"))


def test_lists_without_names_and_with_paths_in_full(tmp_path: Path) -> None:
    file = write_text(tmp_path / "train.csv", f"\ufeff{tmp_path}/a.mp4 7\r\n\r\nb.mp4 0\r\n")
    said: list[str] = []
    records = read_data(file, ReadOptions(format="list"), said.append)
    assert [(r.name, r.label) for r in records] == [("a.mp4", "7"), ("b.mp4", "0")]
    assert said == ["no labels.txt beside train.csv: labels are numbers"]


def test_several_labels_in_clips_csv(tmp_path: Path) -> None:
    file = write_text(tmp_path / "clips.csv", "file,labels\na.mp4,up|fast\nb.mp4,down\nc.mp4,fast | fast\n")
    assert [r.labels for r in read_data(file)] == [("up", "fast"), ("down",), ("fast",)]
    kept = read_data(file, ReadOptions(classes=("fast", "down")))
    assert [r.labels for r in kept] == [("fast",), ("down",), ("fast",)]
    write_text(file, "file,label,labels\na.mp4,up,up|fast\nb.mp4,down,down\n")
    assert [r.labels for r in read_data(file)] == [("up", "fast"), ("down",)]


@pytest.mark.parametrize("format_", WRITERS)
def test_classes_keep_a_subset_of_every_layout(tmp_path: Path, format_: str) -> None:
    records, _ = read(tmp_path, format_)
    wanted = records[-1].label
    kept = read_data(tmp_path, ReadOptions(format=format_, classes=(wanted,)))
    assert {record.labels for record in kept} == {(wanted,)}
    assert len(kept) == sum(wanted in record.labels for record in records)
    with pytest.raises(InputError, match="has no label 'nonsense'"):
        read_data(tmp_path, ReadOptions(format=format_, classes=("nonsense",)))


@pytest.mark.parametrize("format_", WRITERS)
def test_byte_order_mark_and_windows_lines_are_accepted(tmp_path: Path, format_: str) -> None:
    records, said = read(tmp_path, format_)
    for file in tmp_path.rglob("*"):
        if file.suffix in (".csv", ".txt", ".json"):
            file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    again: list[str] = []
    assert read_data(tmp_path, ReadOptions(format=format_), again.append) == records
    assert again == said


@pytest.mark.parametrize("format_", [name for name in WRITERS if name != "clips"])
def test_a_folder_without_annotations_says_what_is_looked_for(tmp_path: Path, format_: str) -> None:
    with pytest.raises(InputError, match=rf"^{tmp_path}: no .* in it or one or two folders below$"):
        read_data(tmp_path, ReadOptions(format=format_))


def test_targets_and_groups_that_a_layout_has_not(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--target 'verb': format ucf101 has labels of one kind only"):
        read(tmp_path, "ucf101", target="verb")
    with pytest.raises(InputError, match="--target 'verb': format coin takes step, task, domain"):
        read(tmp_path, "coin", target="verb")
    with pytest.raises(InputError, match="--group names a column"):
        read(tmp_path, "coin", group="class")
    with pytest.raises(InputError, match="column 'kitchen' is missing"):
        read(tmp_path, "epic", group="kitchen")
    with pytest.raises(InputError, match=r"none of the 3 clips of .* is that long"):
        read(tmp_path, "coin", max_clip_s=1.0)


Change = Callable[[str], str]


def swap(old: str, new: str) -> Change:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


def half(text: str) -> str:
    return text[: len(text) // 2]


@pytest.mark.parametrize(
    ("format_", "file", "change", "says"),
    [
        ("clips", "clips.csv", swap("a.mp4,up", "../a.mp4,up"), "row 2: field 'file': '../a.mp4' is not inside"),
        ("list", "train.csv", swap(" 0\n", " nought\n"), "row 1: field 'label': 'nought' is not a number from 0 on"),
        ("list", "train.csv", swap(" 0\n", " 7\n"), "row 1: field 'label': 7 is outside the taxonomy"),
        ("list", "train.csv", swap(" 0\n", "\n"), "row 1: field 'label': '(31).mp4' is not a number"),
        ("list", "train.csv", swap("videos/c", "/etc/c"), "row 3: field 'path': '/etc/c.mp4' is not inside"),
        ("list", "val.csv", swap('12"', "12"), "row 1: field 'path': the quote is not closed"),
        ("ego4d-lta", "v2/annotations/fho_lta_train.json", half, "not JSON"),
        (
            "ego4d-lta",
            "v2/annotations/fho_lta_train.json",
            swap('"verb_label": 1', '"verb_label": 9'),
            "clips[1]: field 'verb_label': 9 is outside the taxonomy, which has 3 verbs",
        ),
        (
            "ego4d-lta",
            "v2/annotations/fho_lta_train.json",
            swap('"action_clip_end_sec": 6.0', '"action_clip_end_sec": "6"'),
            "clips[1]: field 'action_clip_end_sec': '6' is not a number",
        ),
        ("ego4d-lta", "v2/annotations/fho_lta_train.json", swap(CLIP, "../../x"), "clips[0]: field 'clip_uid'"),
        ("ego4d-lta", "ego4d.json", swap('"end_sec": 51.0', '"stop": 1'), "redacted_intervals[0]: field 'end_sec'"),
        (
            "ego4d-fho",
            "annotations/fho_main.json",
            swap('"start_sec": 12.0', '"begin": 12.0'),
            "videos[0].annotated_intervals[0].narrated_actions[0]: field 'start_sec' is missing",
        ),
        (
            "ego4d-moments",
            "annotations/moments_train.json",
            swap('"primary": true', '"primary": "yes"'),
            "videos[0].clips[0].annotations[0].labels[0]: field 'primary': 'yes' is neither true nor false",
        ),
        (
            "ego4d-goalstep",
            "goalstep_train.json",
            swap('"step_category": "bake"', '"step_category": null'),
            "videos[0].segments[2]: field 'step_category' is missing",
        ),
        ("ego4d-goalstep", "goalstep_train.json", swap(f'"{VIDEO}"', "5"), "videos[0]: field 'video_uid': 5 is not"),
        ("epic", "annotations/EPIC_100_train.csv", swap(",verb,", ",word,"), "row 1: column 'verb' is missing"),
        (
            "epic",
            "annotations/EPIC_100_train.csv",
            swap("00:01:02.25", "62.25"),
            "row 3: field 'start_timestamp': '62.25' is not a time as in 00:01:02.34",
        ),
        (
            "epic",
            "annotations/EPIC_100_train.csv",
            swap("put-down,1", "put-down,7"),
            "row 3: field 'verb_class': 7 is outside the taxonomy, which has 2 classes",
        ),
        ("epic", "annotations/EPIC_100_train.csv", half, "row 2: 1 fields, the header has 11"),
        (
            "ucf101",
            "ucfTrainTestlist/trainlist01.txt",
            swap("v_Archery", "v_Juggling"),
            "row 3: field 'path': label 'Juggling' is outside the taxonomy, classInd.txt",
        ),
        (
            "ucf101",
            "ucfTrainTestlist/trainlist01.txt",
            swap("c02.avi 1", "c02.avi 2"),
            "row 2: field 'label': 2 is not the number of 'ApplyEyeMakeup' in classInd.txt",
        ),
        (
            "ucf101",
            "ucfTrainTestlist/testlist01.txt",
            swap("Archery/v", "../../Archery/v"),
            "row 2: field 'path': '../../Archery/v_Archery_g01_c01.avi' is not inside",
        ),
        (
            "hmdb51",
            "testTrainMulti_7030_splits/wave_test_split1.txt",
            swap("avi 1", "avi 3"),
            "row 1: expected a video",
        ),
        ("kinetics", "train.csv", swap("12,22", "12,soon"), "row 2: field 'time_end': 'soon' is not a number"),
        ("kinetics", "train.csv", swap("12,22", "22,12"), "row 2: field 'time_end': 12 is not after time_start 22"),
        ("kinetics", "train.csv", swap("22,train", "22,dev"), "row 2: field 'split': 'dev' is not one of"),
        (
            "ssv2",
            "labels/train.json",
            swap('"Tearing [', '"Eating ['),
            "[1]: field 'template': 'Eating something into two",
        ),
        ("ssv2", "labels/validation.json", swap('"74225"', "74225"), "[0]: field 'id': 74225 is not text"),
        ("jester", "jester-v1-train.csv", swap("Thumb Up", "Thumbs"), "row 1: field 'label': 'Thumbs' is outside"),
        ("jester", "jester-v1-train.csv", swap("56557;", ";"), "row 2: field 'video_id' is empty"),
        ("jester", "jester-v1-train.csv", swap("34870;", "../x;"), "row 1: field 'video_id': "),
        ("coin", "COIN.json", swap("60.0,", '"a",'), "database.LtRSn-ntcLY.annotation[0]: field 'segment': 'a' is not"),
        ("coin", "COIN.json", swap('"subset": "testing"', '"subset": "dev"'), "field 'subset': 'dev' is not one of"),
        ("coin", "COIN.json", half, "not JSON"),
    ],
)
def test_malformed_files_name_file_row_and_field(
    tmp_path: Path, format_: str, file: str, change: Change, says: str
) -> None:
    WRITERS[format_](tmp_path)
    path = tmp_path / file
    path.write_bytes(change(path.read_bytes().decode()).encode())
    with pytest.raises(InputError) as raised:
        read_data(tmp_path, ReadOptions(format=format_), lambda _: None)
    message = str(raised.value)
    assert message.startswith(f"{path}: ")
    assert says in message
    assert message.isprintable()


def test_a_task_outside_coins_taxonomy(tmp_path: Path) -> None:
    WRITERS["coin"](tmp_path)
    write_text(tmp_path / "taxonomy.csv", "Domains,Targets\nVehicle,ChangeCarTire\n")
    with pytest.raises(InputError, match="field 'class': 'MakeFrenchFries' is outside the taxonomy"):
        read_data(tmp_path, ReadOptions(format="coin", target="domain"), lambda _: None)
    (tmp_path / "taxonomy.csv").unlink()
    with pytest.raises(InputError, match=r"--target domain needs taxonomy\.csv beside it"):
        read_data(tmp_path, ReadOptions(format="coin", target="domain"), lambda _: None)


def test_the_real_files(shared_data: Path) -> None:
    """Counts by other means: `wc -l`, and a walk over the JSON."""
    folder = shared_data / "annotations"
    epic = read_data(folder / "epic", ReadOptions(format="epic"))
    assert (len(epic), len({r.label for r in epic}), len({r.group for r in epic})) == (9668, 78, 32)
    actions = read_data(folder / "epic/EPIC_100_validation.csv", ReadOptions(format="epic", target="action"))
    assert actions[0].label == "take plate"
    jester = read_data(folder / "jester", ReadOptions(format="jester"))
    assert (len(jester), len({r.label for r in jester})) == (14787, 27)
    steps = read_data(folder / "ego4d/goalstep_valid.json", ReadOptions(format="ego4d-goalstep"))
    parts = read_data(folder / "ego4d/goalstep_valid.json", ReadOptions(format="ego4d-goalstep", target="substep"))
    assert (len(steps), len(parts), len({r.group for r in steps})) == (3348, 4347, 134)
    assert {r.split for r in steps} == {"val"}
