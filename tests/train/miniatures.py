"""A miniature of every published layout, as annotations lie in it; videos are empty files, since none is opened."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

CLIP, OTHER_CLIP = "c1c1c1c1-0001", "c2c2c2c2-0002"
VIDEO, OTHER_VIDEO, SHORT_VIDEO = "a0a0a0a0-0001", "b0b0b0b0-0002", "d0d0d0d0-0003"


def write_json(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1))
    return path


def write_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def write_csv(path: Path, rows: list[dict[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def ego4d_json(root: Path) -> Path:
    """Of `VIDEO` a second is redacted; `SHORT_VIDEO` ends after 10 s."""
    videos = [
        {"video_uid": VIDEO, "duration_sec": 100.0, "redacted_intervals": [{"start_sec": 50.0, "end_sec": 51.0}]},
        {"video_uid": OTHER_VIDEO, "duration_sec": 200.0, "redacted_intervals": []},
        {"video_uid": SHORT_VIDEO, "duration_sec": 10.0},
    ]
    return write_json(root / "ego4d.json", {"videos": videos})


def lta_clip(clip: str, video: str, parent_s: float, start_s: float, end_s: float, verb: int) -> dict[str, Any]:
    verbs, nouns = ("take", "put", "cut"), ("cup", "knife")
    return {
        "clip_uid": clip,
        "video_uid": video,
        "clip_parent_start_sec": parent_s,
        "clip_parent_end_sec": parent_s + 30,
        "action_clip_start_sec": start_s,
        "action_clip_end_sec": end_s,
        "verb": verbs[verb],
        "verb_label": verb,
        "noun": nouns[verb % 2],
        "noun_label": verb % 2,
        "action_idx": 0,
    }


def ego4d_lta(root: Path) -> Path:
    ego4d_json(root)
    folder = root / "v2" / "annotations"
    write_json(folder / "fho_lta_taxonomy.json", {"verbs": ["take", "put", "cut"], "nouns": ["cup", "knife"]})
    train = [
        lta_clip(CLIP, VIDEO, 20.0, 1.0, 3.5, 0),
        lta_clip(CLIP, VIDEO, 20.0, 5.0, 6.0, 1),
        lta_clip(CLIP, VIDEO, 20.0, 28.0, 32.0, 2),  # past the end of its clip: cut to 30
        lta_clip(CLIP, VIDEO, 40.0, 10.5, 11.0, 2),  # redacted
    ]
    write_json(folder / "fho_lta_train.json", {"split": "train", "clips": train})
    val = [lta_clip(OTHER_CLIP, OTHER_VIDEO, 60.0, 0.0, 2.0, 1)]  # its clip is missing, its video is not
    touch(root, f"v2/clips/{CLIP}.mp4", f"v2/full_scale/{OTHER_VIDEO}.mp4")
    write_json(folder / "fho_lta_val.json", {"split": "val", "clips": val})
    return folder / "fho_lta_train.json"


def fho_action(start_s: float, verb: str | None, nouns: list[str], **more: object) -> dict[str, Any]:
    boxes = [{"object_type": "object_of_change", "structured_noun": noun} for noun in nouns]
    boxes.append({"object_type": "left_hand", "structured_noun": None})
    return {
        "start_sec": start_s,
        "end_sec": start_s + 8,
        "clip_start_sec": start_s - 10,
        "structured_verb": verb,
        "is_valid_action": True,
        "is_rejected": False,
        "frames": [{"boxes": boxes}],
        **more,
    }


def ego4d_fho(root: Path) -> Path:
    ego4d_json(root)
    actions = [
        fho_action(12.0, "take", ["cup", "lid"]),
        fho_action(22.0, "cut", []),
        fho_action(30.0, "put", ["cup"], is_rejected=True),
        fho_action(31.0, "put", ["cup"], is_valid_action=False),
        fho_action(34.0, "[other]", ["cup"], frames=None),
        fho_action(96.0, "put", ["knife"]),  # past the video's end at 100
    ]
    intervals = [{"start_sec": 10.0, "end_sec": 60.0, "clip_uid": CLIP, "narrated_actions": actions}]
    videos = [{"video_uid": VIDEO, "split": "train", "annotated_intervals": intervals}]
    return write_json(root / "annotations" / "fho_main.json", {"videos": videos})


def ego4d_moments(root: Path) -> Path:
    ego4d_json(root)
    labels = [
        {"label": "wash dishes", "start_time": 1.0, "end_time": 5.0, "primary": True},
        {"label": "clean kitchen", "start_time": 1.0, "end_time": 5.0, "primary": True},
        {"label": "use phone", "start_time": 7.0, "end_time": 9.0, "primary": False},
    ]
    clip = {
        "clip_uid": CLIP,
        "video_start_sec": 20.0,
        "video_end_sec": 30.0,
        "annotations": [{"annotator_uid": "x", "labels": labels[:2]}, {"annotator_uid": "y", "labels": labels[2:]}],
    }
    lost = {**clip, "clip_uid": None, "video_start_sec": 0.0, "annotations": [{"labels": labels[:1]}]}
    videos = [
        {"video_uid": VIDEO, "split": "train", "clips": [clip]},
        {"video_uid": OTHER_VIDEO, "split": "train", "clips": [lost]},
    ]
    touch(root, f"clips/{CLIP}.mp4", f"video_540ss/{OTHER_VIDEO}.mp4")
    return write_json(root / "annotations" / "moments_train.json", {"videos": videos})


def segment(start_s: float, end_s: float, step: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {"start_time": start_s, "end_time": end_s, "step_category": step, "segments": list(parts)}


def ego4d_goalstep(root: Path) -> Path:
    ego4d_json(root)
    knead = segment(2.0, 40.0, "knead dough", segment(3.0, 9.0, "add flour"), segment(9.0, 12.0, "add water"))
    videos = [
        {
            "video_uid": VIDEO,
            "start_time": 0.0,
            "end_time": 90.0,
            "goal_category": "BREAD",
            "segments": [knead, segment(49.0, 52.0, "set table"), segment(80.0, 95.0, "bake")],
        },
        {
            "video_uid": SHORT_VIDEO,
            "start_time": 0.0,
            "end_time": 60.0,
            "goal_category": "TEA",
            "segments": [segment(0.0, 4.0, "boil water"), segment(12.0, 14.0, "pour water")],
        },
    ]
    chunks = [f"full_scale/{VIDEO}.mp4/{second}.mp4" for second in (0, 15, 30)]
    touch(root, *chunks)
    return write_json(root / "goalstep_train.json", {"split": "train", "videos": videos})


def epic_row(number: int, video: str, start: str, stop: str, verb: str, verb_class: int) -> dict[str, object]:
    return {
        "narration_id": f"{video}_{number}",
        "participant_id": video[:3],
        "video_id": video,
        "start_timestamp": start,
        "stop_timestamp": stop,
        "start_frame": 1,
        "stop_frame": 113,
        "verb": verb,
        "verb_class": verb_class,
        "noun": "plate",
        "noun_class": 2,
    }


def epic(root: Path) -> Path:
    folder = root / "annotations"
    train = [
        epic_row(0, "P01_01", "00:00:00.50", "00:00:02.00", "pick-up", 0),
        epic_row(1, "P01_01", "00:01:02.25", "00:01:04.5", "put-down", 1),
    ]
    val = [
        epic_row(0, "P02_03", "01:00:00.00", "01:00:09.99", "take", 0),
        epic_row(1, "P02_03", "01:00:06.00", "01:00:09.99", "take", 0),
    ]
    write_csv(folder / "EPIC_100_train.csv", train)
    write_csv(folder / "EPIC_100_validation.csv", val)
    write_csv(folder / "EPIC_100_verb_classes.csv", [{"id": 0, "key": "take"}, {"id": 1, "key": "put"}])
    write_csv(folder / "EPIC_100_noun_classes_v2.csv", [{"id": 2, "key": "plate"}])
    info = [
        {"video_id": "P01_01", "duration": 1652.1, "fps": 59.94, "resolution": "1920x1080"},
        {"video_id": "P02_03", "duration": 3605.0, "fps": 50.0, "resolution": "1920x1080"},
    ]
    write_csv(folder / "EPIC_100_video_info.csv", info)
    touch(root, "P01/videos/P01_01.MP4", "P02/rgb_frames/P02_03/frame_0000000001.jpg")
    return folder / "EPIC_100_train.csv"


def ucf101(root: Path) -> Path:
    folder = root / "ucfTrainTestlist"
    write_text(folder / "classInd.txt", "1 ApplyEyeMakeup\n2 Archery\n")
    write_text(
        folder / "trainlist01.txt",
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\nApplyEyeMakeup/v_ApplyEyeMakeup_g08_c02.avi 1\n"
        "Archery/v_Archery_g09_c01.avi 2\n",
    )
    write_text(
        folder / "testlist01.txt", "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\nArchery/v_Archery_g01_c01.avi\n"
    )
    write_text(folder / "trainlist02.txt", "Archery/v_Archery_g01_c01.avi 2\n")
    write_text(folder / "testlist02.txt", "Archery/v_Archery_g09_c01.avi\nArchery/v_Archery_g01_c02.avi\n")
    touch(root, "UCF-101/Archery/v_Archery_g09_c01.avi")
    return folder / "trainlist01.txt"


def hmdb51(root: Path) -> Path:
    folder = root / "testTrainMulti_7030_splits"
    write_text(
        folder / "brush_hair_test_split1.txt",
        "April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1 \nApril_09_brush_hair_u_nm_np1_ba_goo_1.avi 1 \n"
        "Haare (2)_brush_hair_u_cm_np1_ri_goo_0.avi 2 \nBlonde_brush_hair_f_nm_np2_fr_med_0.avi 0 \n",
    )
    write_text(folder / "wave_test_split1.txt", "21_wave_u_nm_np1_fr_goo_5.avi 1 \n20060723_wave_f_cm_np1_0.avi 2 \n")
    write_text(folder / "wave_test_split2.txt", "21_wave_u_nm_np1_fr_goo_5.avi 2 \n")
    touch(root, "wave/21_wave_u_nm_np1_fr_goo_5.avi")
    return folder / "wave_test_split1.txt"


def kinetics(root: Path) -> Path:
    def row(label: str, video: str, start_s: int, split: str) -> dict[str, object]:
        return {"label": label, "youtube_id": video, "time_start": start_s, "time_end": start_s + 10, "split": split}

    train = [row("abseiling", "-_0bOQqv1pE", 12, "train"), row("playing cards, alone", "7l3wuXj2SR4", 0, "train")]
    write_csv(root / "train.csv", [*train, row("abseiling", "wholeVideo1", 31, "train")])
    write_csv(root / "validate.csv", [row("abseiling", "0zV5oiHfN2Q", 1, "validate")])
    write_csv(root / "test.csv", [row("", "1_abcdefgh", 1, "test")])
    touch(root, "train/abseiling/-_0bOQqv1pE_000012_000022.mp4", "raw/wholeVideo1.mkv")
    return root / "train.csv"


def ssv2(root: Path) -> Path:
    def clip(number: int, template: str) -> dict[str, object]:
        label = template.replace("[something]", "a pen")
        return {"id": str(number), "label": label, "template": template, "placeholders": ["a pen"]}

    folder = root / "labels"
    put, tear = "Putting [something] on [something]", "Tearing [something] into two pieces"
    write_json(
        folder / "labels.json", {"Putting something on something": "0", "Tearing something into two pieces": "1"}
    )
    write_json(folder / "train.json", [clip(78687, put), clip(42326, tear)])
    write_json(folder / "validation.json", [clip(74225, put)])
    write_json(folder / "test.json", [{"id": "1420"}])
    touch(root, "20bn-something-something-v2/78687.webm")
    return folder / "train.json"


def jester(root: Path) -> Path:
    write_text(root / "jester-v1-labels.csv", "Swiping Left\nThumb Up\nDoing other things\n")
    write_text(root / "jester-v1-train.csv", "34870;Thumb Up\n56557;Swiping Left\n")
    write_text(root / "jester-v1-validation.csv", "9223;Doing other things\n")
    write_text(root / "jester-v1-test.csv", "7\n8\n")
    touch(root, "20bn-jester-v1/34870/00001.jpg", "webm/56557.webm")
    return root / "jester-v1-train.csv"


def coin(root: Path) -> Path:
    def step(number: int, start_s: float, end_s: float, label: str) -> dict[str, Any]:
        return {"id": str(number), "label": label, "segment": [start_s, end_s]}

    video = {
        "duration": 131.0,
        "class": "ChangeCarTire",
        "subset": "training",
        "start": 56.6,
        "end": 85.7,
        "annotation": [step(259, 60.0, 69.0, "unscrew the screw"), step(260, 71.0, 82.0, "jack up the car")],
        "recipe_type": 13,
    }
    other = {
        **video,
        "class": "MakeFrenchFries",
        "subset": "testing",
        "end": 210.0,
        "annotation": [step(300, 100.0, 140.0, "fry"), step(301, 131.0, 150.0, "salt")],
    }
    write_text(
        root / "taxonomy.csv",
        "Domains,Targets\nVehicle,ChangeCarTire\n,InstallLicensePlateFrame\nDishes,MakeFrenchFries\n",
    )
    touch(root, "videos/13/LtRSn-ntcLY.mp4")
    return write_json(root / "COIN.json", {"database": {"LtRSn-ntcLY": video, "-3C-VGhs2mo": other}})


def lists(root: Path) -> Path:
    write_text(root / "labels.txt", "drinking\nwaving hands\n")
    write_text(
        root / "train.csv", 'videos/drinking (31).mp4 0\n"videos/a, b.mp4" 1\nvideos/c.mp4,1\nframes/clip 29 1\n'
    )
    write_text(root / "val.csv", '"frames/clip 12" 31 0\nvideos/d.mp4 120 1\n')
    return root / "train.csv"


def clips(root: Path) -> Path:
    return write_text(
        root / "clips.csv", "file,label,group,start_s,end_s,split\na.mp4,up,x,0,2,train\nb.mp4,down,y,1,2.5,val\n"
    )


WRITERS: dict[str, Callable[[Path], Path]] = {
    "clips": clips,
    "list": lists,
    "ego4d-lta": ego4d_lta,
    "ego4d-fho": ego4d_fho,
    "ego4d-moments": ego4d_moments,
    "ego4d-goalstep": ego4d_goalstep,
    "epic": epic,
    "ucf101": ucf101,
    "hmdb51": hmdb51,
    "kinetics": kinetics,
    "ssv2": ssv2,
    "jester": jester,
    "coin": coin,
}
"""Name of a layout -> writes its miniature into a folder and gives one of its annotation files."""
