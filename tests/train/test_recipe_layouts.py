"""Every recipe for a published data set trains on a miniature of its layout, told nothing but where the data is."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command_runs import run_command
from miniatures import epic_row, fho_action, write_csv, write_json, write_text
from tiny_run import moving_square
from videos import write_video

from edgevid_train import commands
from edgevid_train.checkpoint import load_student
from edgevid_train.recipe import load_recipe

SMALL = {
    "precision": "no",
    "data.short_side": 32,
    "data.loaders": 1,
    "data.cache_mb": 64,
    "student.backbone": "mobilenetv2_050",
    "student.weights": "none",
    "student.exits": [1, 2],
    "student.points": 4,
    "student.size": 16,
    "student.dilations": [1, 2],
    "student.input": "{height = 32, width = 32}",
    "stream.max_steps": 8,
    "teacher": '{kind = "tsm", backbone = "mobilenetv2_050", weights = "none", stages = 2, frames = 4, points = 4, '
    "size = 16, input = {height = 32, width = 32}}",
    "teacher_optim.epochs": 1,
    "optim.epochs": 1,
}
"""What makes any recipe a matter of seconds; the data, the labels and their mirror images stay the recipe's."""


@dataclass
class Media:
    """Puts the same short video wherever a layout has one."""

    video: Path
    root: Path

    def put(self, *names: str) -> None:
        for name in names:
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.video, self.root / name)


def clips(media: Media) -> None:
    rows: list[dict[str, object]] = []
    for i, label in enumerate(["walk", "bend"] * 3):
        media.put(f"{i}.mp4")
        rows.append({"file": f"{i}.mp4", "label": label, "group": f"person{i // 2}"})
    write_csv(media.root / "clips.csv", rows)


def ego4d(media: Media) -> None:
    videos: list[dict[str, Any]] = []
    for i, split in enumerate(["train", "train", "val"]):
        actions = [fho_action(0.0, verb, ["cup"], end_sec=1.0) for verb in ("take", "put")]
        actions[1]["start_sec"] = 0.25
        interval = {"start_sec": 0.0, "end_sec": 1.0, "clip_uid": f"c{i}", "narrated_actions": actions}
        videos.append({"video_uid": f"v{i}", "split": split, "annotated_intervals": [interval]})
        media.put(f"full_scale/v{i}.mp4")
    write_json(media.root / "annotations" / "fho_main.json", {"videos": videos})
    write_json(media.root / "ego4d.json", {"videos": [{"video_uid": f"v{i}", "duration_sec": 1.0} for i in range(3)]})


def epic(media: Media) -> None:
    for split, videos in {"train": ["P01_01", "P02_01"], "validation": ["P03_01"]}.items():
        rows = [
            epic_row(i, video, f"00:00:00.{25 * i:02d}", "00:00:01.00", ("take", "put")[i], i)
            for video in videos
            for i in range(2)
        ]
        write_csv(media.root / f"EPIC_100_{split}.csv", rows)
        media.put(*(f"{video[:3]}/videos/{video}.MP4" for video in videos))


def ucf101(media: Media) -> None:
    names = {
        split: [
            f"{label}/v_{label}_g{group:02d}_c01.avi" for group in groups for label in ("ApplyEyeMakeup", "Archery")
        ]
        for split, groups in {"train": (8, 9), "test": (1,)}.items()
    }
    lists = media.root / "ucfTrainTestlist"
    write_text(lists / "classInd.txt", "1 ApplyEyeMakeup\n2 Archery\n")
    write_text(lists / "trainlist01.txt", "".join(f"{name} {1 + i % 2}\n" for i, name in enumerate(names["train"])))
    write_text(lists / "testlist01.txt", "".join(f"{name}\n" for name in names["test"]))
    media.put(*(f"UCF-101/{name}" for name in names["train"] + names["test"]))


def kinetics(media: Media) -> None:
    labels = [*(load_recipe("kinetics50").data.classes or ()), "skydiving"]
    for split, count in {"train": 2, "validate": 1}.items():
        rows: list[dict[str, object]] = []
        for k in range(count):
            for i, label in enumerate(labels):
                video = f"{split}{k}{i:04d}"
                row = {"label": label, "youtube_id": video, "time_start": 3, "time_end": 13, "split": split}
                rows.append(row)
                media.put(f"{split}/{label}/{video}_000003_000013.mp4")
        write_csv(media.root / f"{split}.csv", rows)


def ssv2(media: Media) -> None:
    templates = [f"Pulling [something] from {way}" for way in ("left to right", "right to left")]
    folder, number = media.root / "labels", 1
    write_json(folder / "labels.json", {template.translate(BRACKETS): str(i) for i, template in enumerate(templates)})
    for split, count in {"train": 4, "validation": 2}.items():
        entries = []
        for i in range(count):
            entries.append({"id": str(number), "template": templates[i % 2], "label": "", "placeholders": ["a pen"]})
            media.put(f"20bn-something-something-v2/{number}.webm")
            number += 1
        write_json(folder / f"{split}.json", entries)


BRACKETS = str.maketrans("", "", "[]")


def jester(media: Media) -> None:
    write_text(media.root / "jester-v1-labels.csv", "Swiping Left\nSwiping Right\n")
    number = 1
    for split, count in {"train": 4, "validation": 2}.items():
        lines = []
        for i in range(count):
            lines.append(f"{number};{('Swiping Left', 'Swiping Right')[i % 2]}\n")
            media.put(f"20bn-jester-v1/{number}.webm")
            number += 1
        write_text(media.root / f"jester-v1-{split}.csv", "".join(lines))


def coin(media: Media) -> None:
    write_text(media.root / "taxonomy.csv", "Domains,Targets\nVehicle,ChangeCarTire\nDishes,MakeFrenchFries\n")
    database = {}
    for i in range(6):
        task, subset = ("ChangeCarTire", "MakeFrenchFries")[i % 2], "training" if i < 4 else "testing"
        step = {"id": "1", "label": "do it", "segment": [0.0, 1.0]}
        database[f"v{i}"] = {
            "duration": 1.0,
            "class": task,
            "subset": subset,
            "start": 0.0,
            "end": 1.0,
            "annotation": [step],
        }
        media.put(f"videos/13/v{i}.mp4")
    write_json(media.root / "COIN.json", {"database": database})


LAYOUTS: dict[str, tuple[Callable[[Media], None], set[str]]] = {
    "coin12": (coin, {"Vehicle", "Dishes"}),
    "ego4d": (ego4d, {"take", "put"}),
    "epic": (epic, {"take", "put"}),
    "jester": (jester, {"Swiping Left", "Swiping Right"}),
    "kinetics50": (kinetics, set(load_recipe("kinetics50").data.classes or ())),
    "ssv2": (ssv2, {"Pulling something from left to right", "Pulling something from right to left"}),
    "ucf101": (ucf101, {"ApplyEyeMakeup", "Archery"}),
    "ut-interaction": (clips, {"walk", "bend"}),
    "weizmann": (clips, {"walk", "bend"}),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_recipe_trains_on_a_miniature_of_its_layout(tmp_path: Path, name: str) -> None:
    write, labels = LAYOUTS[name]
    write_video(tmp_path / "video.mp4", moving_square("left", 0)[:6], fps=6)
    write(Media(tmp_path / "video.mp4", tmp_path / "data"))
    changes = [part for key, value in SMALL.items() for part in ("--set", f"{key}={_toml(value)}")]
    out = tmp_path / "run"
    ran = run_command(
        commands.register,
        "train-distill",
        "--recipe",
        name,
        "--data",
        tmp_path / "data",
        "--out",
        out,
        "--device",
        "cpu",
        *changes,
    )
    assert ran.status == 0, ran.err
    assert {*load_student(out).labels} == labels | {"other"}
    assert (out / "ledger.csv").read_text().count("\n") == 1, "every clip could be read"


def _toml(value: object) -> str:
    return value if isinstance(value, str) and value.startswith("{") else str(value)


def test_every_recipe_for_a_published_data_set_has_its_miniature() -> None:
    ours = {"air-gesture", "air-gesture-drawn", "air-gesture-videomae"}
    from edgevid_train.recipe import recipe_names

    assert set(recipe_names()) - ours == set(LAYOUTS)
