"""`edgevid evaluate` and the figures it gives; `edgevid data stats`."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_runs import Ran, run_command
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import coloured_frames, tiny_clip_model, tiny_stream_model
from tiny_run import write_clips
from videos import write_video

from edgevid.models.load import load
from edgevid.recognise import score_file
from edgevid_train import commands
from edgevid_train.annotations import ClipRecord
from edgevid_train.evaluate.figures.metrics import (
    Prediction,
    confusion,
    figures,
    grouped_interval,
    summarise,
    wilson_interval,
)


def prediction(label: str, file: str = "a.mp4", **scores: float) -> Prediction:
    return Prediction(ClipRecord(Path(file), file, (label,), file), scores or None)


def evaluate(*args: object) -> Ran:
    return run_command(commands.register, "evaluate", *args)


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips of one second that turn red, green or blue; one is labelled wrongly, one cannot be read."""
    folder = tmp_path_factory.mktemp("colours")
    rows = ["file,label,group,split"]
    for i, (shown, label) in enumerate(
        [("red", "red"), ("green", "green"), ("blue", "blue"), ("red", "red"), ("green", "blue")]
    ):
        write_video(folder / f"{i}.mp4", list(coloured_frames(("other", 3), (shown, 8))), fps=10)
        rows.append(f"{i}.mp4,{label},g{i},{'val' if i < 2 else 'test'}")
    (folder / "5.mp4").write_bytes(b"not a video")
    rows.append("5.mp4,red,g5,test")
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    # scipy.stats.binomtest(hits, n).proportion_ci(method="wilson")
    [(0, 10, 0.0, 0.27753), (10, 10, 0.72247, 1.0), (1, 2, 0.09453, 0.90547), (155, 176, 0.82448, 0.92062)],
)
def test_wilson_interval_against_known_values(hits: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(hits, n) == pytest.approx((low, high), abs=1e-5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_share(case: tuple[int, int]) -> None:
    hits, n = case
    low, high = wilson_interval(hits, n)
    assert 0 <= low <= hits / n <= high <= 1
    assert wilson_interval(n - hits, n) == pytest.approx((1 - high, 1 - low))


def test_what_hangs_together_in_groups_says_less_than_trials_by_themselves() -> None:
    together, mixed = ([5, 0] * 8, [3, 2] * 8), [5] * 16
    low, high = grouped_interval(together[0], mixed)
    # each of sixteen groups is wholly right or wholly wrong: fifteen trials, not eighty
    assert (low, high) == pytest.approx(wilson_interval(7.5, 15))
    assert grouped_interval(together[1], mixed) == wilson_interval(40, 80)  # more even than chance: never narrower
    assert grouped_interval([5] * 16, mixed) == wilson_interval(80, 80)
    assert grouped_interval([15] * 16, [15] * 16, shown=3) == wilson_interval(80, 80)
    assert grouped_interval([3 * hit for hit in together[1]], [15] * 16, shown=3) == wilson_interval(40, 80)
    assert grouped_interval([], []) == (0.0, 1.0)


def test_wilson_interval_of_nothing() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="3 hits of 2"):
        wilson_interval(3, 2)


def test_figures_by_hand() -> None:
    found = [
        prediction("up", up=0.7, down=0.2, other=0.1),
        prediction("up", up=0.3, down=0.5, other=0.2),
        prediction("down", up=0.1, down=0.8, other=0.1),
        prediction("down"),  # could not be read
    ]
    summary = summarise(found, ("up", "down", "other"))
    assert summary["n"] == 4
    assert summary["top1"] == 0.5
    assert summary["top5"] == 0.75
    up, down = summary["per_class"]["up"], summary["per_class"]["down"]
    assert (up["n"], up["precision"], up["recall"], up["f1"]) == (2, 1.0, 0.5, pytest.approx(2 / 3))
    assert (down["n"], down["precision"], down["recall"], down["f1"]) == (2, 0.5, 0.5, 0.5)
    assert (up["precision_low"], up["precision_high"]) == wilson_interval(1, 1)  # one clip was called so
    assert (down["recall_low"], down["recall_high"]) == wilson_interval(1, 2)  # two clips are so
    assert "other" not in summary["per_class"]
    assert summary["macro_f1"] == pytest.approx((2 / 3 + 0.5) / 2)
    names, counts = confusion(found, ("up", "down", "other"))
    assert names == ["up", "down", "other", "missing"]
    assert counts.tolist() == [[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    losses = -np.log([0.7, 0.3, 0.8, 1e-6])
    assert figures(found) == {"top1": 0.5, "loss": pytest.approx(losses.mean())}


def test_equal_scores_go_to_the_earlier_label() -> None:
    tie = prediction("down", up=0.4, down=0.4, other=0.2)
    assert tie.predicted == "up"
    assert tie.ranked() == ["up", "down", "other"]


def test_a_label_the_model_does_not_know_counts_as_wrong() -> None:
    summary = summarise([prediction("wave", up=0.9, other=0.1), prediction("up", up=0.9, other=0.1)], ("up", "other"))
    assert summary["top1"] == 0.5
    assert summary["per_class"]["wave"]["recall"] == 0


@pytest.mark.parametrize("make", [tiny_stream_model, tiny_clip_model])
def test_a_model_file_is_scored_as_on_a_device(tmp_path: Path, colours: Path, make) -> None:
    model = make(tmp_path / "tiny.onnx")
    ran = evaluate(model, colours, "--json", tmp_path / "out.json", "--out", tmp_path / "report")
    assert ran.status == 0, ran.err
    found = json.loads((tmp_path / "out.json").read_text())
    assert {"n", "top1", "top5", "macro_f1", "per_class", "skipped", "predictions"} <= found.keys()
    assert found["n"] == 6
    assert found["top1"] == pytest.approx(4 / 6)
    assert [entry["predicted"] for entry in found["predictions"]] == ["red", "green", "blue", "red", "green", None]
    assert [entry["file"] for entry in found["skipped"]] == ["5.mp4"]
    assert found["predictions"][5] == {"file": "5.mp4", "label": "red", "predicted": None, "scores": None}
    network = load(model)
    for entry in found["predictions"][:5]:
        deployed = score_file(colours / entry["file"], network).scores.clip
        assert list(entry["scores"]) == list(network.manifest.labels)
        assert list(entry["scores"].values()) == pytest.approx(deployed.tolist(), abs=2e-6)
    assert json.loads((tmp_path / "report" / "report.json").read_text()) == found
    assert (tmp_path / "report" / "confusion.png").read_bytes().startswith(b"\x89PNG")
    assert "skipped, scored as missing: 5.mp4: " in ran.out


def test_one_split_and_some_classes(tmp_path: Path, colours: Path) -> None:
    model = tiny_stream_model(tmp_path / "tiny.onnx")
    assert evaluate(model, colours, "--split", "val", "--json", tmp_path / "val.json").status == 0
    assert json.loads((tmp_path / "val.json").read_text())["n"] == 2
    assert evaluate(model, colours, "--classes", "red,blue", "--json", tmp_path / "two.json").status == 0
    assert json.loads((tmp_path / "two.json").read_text())["n"] == 5


def test_spans_of_one_file_are_clips_of_their_own(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", list(coloured_frames(("red", 10), ("blue", 10))), fps=10)
    (tmp_path / "clips.csv").write_text("file,label,start_s,end_s\na.mp4,red,0,1\na.mp4,blue,1,2\n")
    model = tiny_stream_model(tmp_path / "tiny.onnx")
    assert evaluate(model, tmp_path, "--json", tmp_path / "o.json").status == 0
    found = json.loads((tmp_path / "o.json").read_text())["predictions"]
    assert [(entry["start_s"], entry["end_s"], entry["predicted"]) for entry in found] == [
        (0.0, 1.0, "red"),
        (1.0, 2.0, "blue"),
    ]


def test_the_page_finds_a_clip_whose_span_needs_many_digits(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", list(coloured_frames(("red", 40))), fps=10)
    (tmp_path / "clips.csv").write_text("file,label,start_s,end_s\nv.mp4,red,0.12345678,3.12345678\n")
    model = tiny_stream_model(tmp_path / "m.onnx")
    ran = evaluate(model, tmp_path, "--out", tmp_path / "report")
    assert ran.status == 0, ran.err
    assert "v.mp4[0.12345678:3.12345678]" in (tmp_path / "report/index.html").read_text()


def test_torch_is_not_loaded_for_a_model_file(tmp_path: Path, colours: Path) -> None:
    model = tiny_stream_model(tmp_path / "tiny.onnx")
    code = (
        "import sys; from pathlib import Path\n"
        "from edgevid_train.annotations import ReadOptions\n"
        "from edgevid_train.evaluate.report import evaluate_model\n"
        "from edgevid_train.evaluate.report_page import write_report\n"
        "from rich.console import Console; from edgevid_train.reporter import Reporter\n"
        f"data, report = Path({str(colours)!r}), Reporter(Console())\n"
        f"report = evaluate_model({str(model)!r}, data, ReadOptions(), report=report)\n"
        f"write_report(report, report.to_json(), Path({str(tmp_path / 'report')!r}))\n"
        "assert 'torch' not in sys.modules, 'torch'\n"
        "print(report.to_json()['n'])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stdout == "6\n", ran.stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("nowhere.onnx", "DATA"), "nowhere.onnx: no such model file"),
        (("MODEL", "nowhere"), "no such data folder"),
        (("MODEL", "DATA", "--split", "train"), "has no clip of split 'train'"),
        (("MODEL", "MOVING"), "knows red, green, blue, other"),
        (("MODEL", "DATA", "--json", "DATA"), "is a folder; give the name of a file"),
        (("DATA", "DATA"), "is no student checkpoint: holds no model.safetensors"),
    ],
)
def test_wrong_words_are_one_line(tmp_path: Path, colours: Path, clips: Path, args: tuple[str, ...], says: str) -> None:
    places = {"MODEL": tiny_stream_model(tmp_path / "tiny.onnx"), "DATA": colours, "MOVING": clips}
    ran = evaluate(*(places.get(arg, arg) for arg in args))
    assert ran.status == 2
    assert says in ran.err
    assert ran.err.count("\n") == 1


def stats(*args: object) -> Ran:
    return run_command(commands.register, "data", "stats", *args)


def test_data_stats(tmp_path: Path, colours: Path) -> None:
    ran = stats(colours, "--json", tmp_path / "stats.json")
    assert ran.status == 0, ran.err
    found = json.loads((tmp_path / "stats.json").read_text())
    assert found["clips"] == 6
    assert found["groups"] == 6
    assert {label: row["clips"] for label, row in found["labels"].items()} == {"red": 3, "blue": 2, "green": 1}
    assert found["splits"] == {"val": 2, "test": 4}
    assert found["seconds"]["median"] == pytest.approx(1.1, abs=0.01)
    assert found["sizes"] == {"32x24": 5}
    assert [entry["file"] for entry in found["unreadable"]] == ["5.mp4"]
    assert found["missing"] == []
    assert "unreadable: 5.mp4: " in ran.out


def test_data_stats_of_annotations_without_their_videos(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(
        "file,label,group,start_s,end_s,split\na.mp4,up,x,0,2,train\na.mp4,down,x,2,5,val\nb.mp4,up,y,1,2,val\n"
    )
    ran = stats(tmp_path / "list.csv", "--json", tmp_path / "stats.json")
    assert ran.status == 0, ran.err
    found = json.loads((tmp_path / "stats.json").read_text())
    assert found["missing"] == ["a.mp4", "b.mp4"]
    assert found["seconds"] == {"least": 1.0, "median": 2.0, "most": 3.0}
    assert found["leaks"] == ["group x"]
    assert "missing: 2 files, a.mp4 for one" in ran.out
    assert "leak: group x is in several splits" in ran.out
    assert "in one group only, so never both trained and tested: down" in ran.out


def test_data_stats_of_moving_squares(tmp_path: Path) -> None:
    ran = stats(write_clips(tmp_path / "data", ["left", "right"]))
    assert ran.status == 0
    assert "2 clips in 2 files, 2 labels, 1 groups" in ran.out
