"""`edgevid data review`: every clip as a strip, by label; and the measures of a picture's quality."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_runs import Ran, run_command
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import coloured_frames, tiny_manifest, tiny_stream_model
from videos import write_video

from edgevid.manifest import Provenance
from edgevid.picture import brightness, clipped, motion, noise, sharpness
from edgevid.sources import SourceInfo
from edgevid_train import commands
from edgevid_train.annotations import ClipRecord, read_data
from edgevid_train.decode import DecodedClip
from edgevid_train.evaluate.strips import FRAMES, GAP_PX, HEIGHT_PX, strip, write_strip
from edgevid_train.marks import marks_of_all
from edgevid_train.review.quality import bit_rate, quality_of
from edgevid_train.review.review import chosen

RECORD = ClipRecord(Path("x.mp4"), "x.mp4", ("up",), "x")


def review(*args: object) -> Ran:
    return run_command(commands.register, "data", "review", *args)


def scene(size: tuple[int, int] = (120, 160)) -> np.ndarray:
    """Grey rectangles on grey: edges and flat parts, no noise."""
    rng = np.random.default_rng(0)
    picture = np.full(size, 120, np.uint8)
    for _ in range(12):
        y, x = rng.integers(0, size[0] - 20), rng.integers(0, size[1] - 20)
        picture[y : y + 20, x : x + 20] = rng.integers(60, 200)
    return picture


def clip_of(greys: list[np.ndarray]) -> DecodedClip:
    frames = np.stack([np.repeat(grey[..., None], 3, axis=2) for grey in greys])
    return DecodedClip(frames, np.arange(len(greys)) / 10, RECORD)


@given(st.floats(2, 20))
def test_noise_is_measured_in_grey_levels(sigma: float) -> None:
    added = np.random.default_rng(0).normal(0, sigma, (120, 160))
    noisy = np.clip(scene() + added, 0, 255).round().astype(np.uint8)
    assert noise(noisy) == pytest.approx(sigma, rel=0.25, abs=0.5)


def test_noise_does_not_see_edges_and_slopes() -> None:
    assert noise(np.tile(np.arange(160, dtype=np.uint8), (120, 1))) == pytest.approx(0, abs=1e-9)
    assert noise(scene()) < 1
    assert noise(np.zeros((2, 2), np.uint8)) == 0


def test_blur_takes_sharpness_away() -> None:
    values = [sharpness(np.asarray(cv2.GaussianBlur(scene(), (0, 0), s), np.uint8)) for s in (0.5, 1, 2, 4)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 10 * values[-1]
    assert sharpness(np.full((20, 20), 90, np.uint8)) == 0


def test_exposure_and_motion() -> None:
    black, white = np.zeros((20, 20), np.uint8), np.full((20, 20), 255, np.uint8)
    half = np.concatenate([black, np.full((20, 20), 100, np.uint8)])
    assert (brightness(black), brightness(white), brightness(half)) == (0, 255, 50)
    assert (clipped(black), clipped(white), clipped(half)) == (1, 1, 0.5)
    assert motion([black, white]) == 255
    assert motion([black]) == 0


def test_bit_rate() -> None:
    info = SourceInfo("x", 100, 50, 10.0, 2.0, live=False)
    assert bit_rate(25_000, info) == (100.0, pytest.approx(2.0))  # 200 kbit in 2 s; 50 000 pixels a second
    assert bit_rate(25_000, SourceInfo("x", 100, 50, None, 2.0, live=False)) == (100.0, None)
    assert bit_rate(25_000, SourceInfo("x", 100, 50, 10.0, None, live=False)) == (None, None)


def test_faults_are_named() -> None:
    moving = [np.roll(scene(), 3 * i, axis=1) for i in range(6)]
    assert quality_of(clip_of(moving)).faults == ()
    assert quality_of(clip_of([scene()] * 6)).faults == ("still",)
    assert set(quality_of(clip_of([grey // 8 for grey in moving])).faults) >= {"dark"}
    blurred = [np.asarray(cv2.GaussianBlur(grey, (0, 0), 6), np.uint8) for grey in moving]
    assert "blurred" in quality_of(clip_of(blurred)).faults
    rng = np.random.default_rng(0)
    noisy = [np.clip(grey + rng.normal(0, 15, grey.shape), 0, 255).astype(np.uint8) for grey in moving]
    assert quality_of(clip_of(noisy)).faults == ("noisy",)


@pytest.mark.parametrize("count", [1, 3, 8, 50])
def test_a_strip_goes_from_the_first_frame_to_the_last(count: int) -> None:
    greys = [np.full((48, 64), round(250 * i / max(1, count - 1)), np.uint8) for i in range(count)]
    picture = strip(clip_of(greys))
    assert picture.shape == (HEIGHT_PX, FRAMES * 128 + (FRAMES - 1) * GAP_PX, 3)
    levels = [int(picture[10, 10 + i * (128 + GAP_PX), 0]) for i in range(FRAMES)]
    assert levels == sorted(levels)
    assert (levels[0], levels[-1]) == (greys[0][0, 0], greys[-1][0, 0])


@pytest.mark.parametrize(("shape", "width"), [((2, 2000), 4 * HEIGHT_PX), ((2000, 2), 1)])
def test_a_strip_of_a_very_wide_or_high_clip_is_one_that_a_jpeg_can_hold(
    tmp_path: Path, shape: tuple[int, int], width: int
) -> None:
    write_strip(clip_of([np.zeros(shape, np.uint8)] * 3), tmp_path / "strip.jpg")
    assert cv2.imread(str(tmp_path / "strip.jpg")).shape == (HEIGHT_PX, FRAMES * width + (FRAMES - 1) * GAP_PX, 3)


def test_clips_are_chosen_evenly() -> None:
    records = [ClipRecord(Path(f"{i}"), f"{i}", ("up" if i % 2 else "down",), "g") for i in range(20)]
    names = [record.name for record in chosen(records, 3)]
    assert names == ["0", "1", "8", "9", "18", "19"]
    assert chosen(records, 100) == records


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five clips that turn red or green; one `red` is green, one cannot be read."""
    folder = tmp_path_factory.mktemp("colours")
    rows = ["file,label,group"]
    for i, (shown, label) in enumerate([("red", "red"), ("green", "red"), ("red", "red"), ("green", "green")]):
        write_video(folder / f"{i}.mp4", list(coloured_frames(("other", 3), (shown, 8))), fps=10)
        rows.append(f"{i}.mp4,{label},scene{i}")
    (folder / "4.mp4").write_bytes(b"not a video")
    (folder / "clips.csv").write_text("\n".join([*rows, "4.mp4,green,scene4"]) + "\n")
    return folder


def test_a_page_of_every_clip_by_label(tmp_path: Path, colours: Path) -> None:
    out = tmp_path / "page"
    ran = review(colours, "--out", out, "--json", tmp_path / "o.json")
    assert ran.status == 0, ran.err
    assert "unreadable: 4.mp4: " in ran.out
    found = json.loads((out / "review.json").read_text())
    assert found == json.loads((tmp_path / "o.json").read_text())
    assert found["labels"] == {"green": {"clips": 2, "shown": 1}, "red": {"clips": 3, "shown": 3}}
    assert [entry["clip"] for entry in found["clips"]] == ["0.mp4", "1.mp4", "2.mp4", "3.mp4"]
    assert found["clips"][0]["quality"]["kbit_s"] > 0
    html = (out / "index.html").read_text()
    assert html.index("green (1 of 2 shown)") < html.index("red (3)") < html.index("Unreadable clips")
    assert html.count("<img") == len(list((out / "strips").glob("*.jpg"))) == 4
    assert review(colours, "--out", out).status == 2


def test_data_stats_measures_quality_where_asked(tmp_path: Path, colours: Path) -> None:
    ran = run_command(commands.register, "data", "stats", colours, "--quality", "--json", tmp_path / "stats.json")
    assert ran.status == 0, ran.err
    quality = json.loads((tmp_path / "stats.json").read_text())["quality"]
    assert [entry["clip"] for entry in quality["clips"]] == ["0.mp4", "1.mp4", "2.mp4", "3.mp4"]
    assert quality["faults"]["blurred"] == 4  # plain colours have no edge
    assert "quality of 4 clips: 4 blurred" in ran.out
    assert "0.mp4: blurred" in ran.out


def test_a_model_puts_wrong_labels_first(tmp_path: Path, colours: Path) -> None:
    model = tiny_stream_model(tmp_path / "tiny.onnx")
    ran = review(colours, "--out", tmp_path / "page", "--model", model, "--most", "2")
    assert ran.status == 0, ran.err
    found = json.loads((tmp_path / "page" / "review.json").read_text())
    assert [entry["clip"] for entry in found["clips"]] == ["0.mp4", "2.mp4", "3.mp4"]
    ran = review(colours, "--out", tmp_path / "page", "--model", model, "--force")
    assert "takes 1 of them for another label" in ran.out
    html = (tmp_path / "page" / "index.html").read_text()
    assert "labelled red, taken for green" in html
    assert html.index("1.mp4", html.index("red (3)")) < html.index("0.mp4", html.index("red (3)"))
    assert "warning" not in ran.out


def test_a_model_that_was_trained_on_the_clips_seldom_doubts_them(tmp_path: Path, colours: Path) -> None:
    about = Provenance(
        data="d", weights="w", licences="MIT", recipe="r", trained_on=marks_of_all(read_data(colours)[:3])
    )
    model = tiny_stream_model(tmp_path / "tiny.onnx", tiny_manifest("stream", provenance=about))
    ran = review(colours, "--out", tmp_path / "page", "--model", model)
    assert ran.status == 0, ran.err
    assert "was trained on 3 of these clips or on their groups, and seldom doubts what it was taught" in ran.out


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("nowhere", "--out", "OUT"), "no such data folder"),
        (("DATA", "--out", "DATA"), "exists; give --force"),
        (("DATA", "--out", "OUT", "--model", "nowhere.onnx"), "nowhere.onnx: no such model file"),
    ],
)
def test_wrong_words_are_one_line(tmp_path: Path, colours: Path, args: tuple[str, ...], says: str) -> None:
    places = {"DATA": colours, "OUT": tmp_path / "page"}
    ran = review(*(places.get(arg, arg) for arg in args))
    assert ran.status == 2
    assert says in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "page").exists()
