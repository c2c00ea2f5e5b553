"""The figures of a report against values from elsewhere, and the folder that `edgevid evaluate --out` leaves."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from command_runs import Ran, run_command
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve
from sklearn.metrics import f1_score
from tiny_models import coloured_frames, tiny_conditional_model, tiny_manifest, tiny_stream_model
from videos import write_video

from edgevid.manifest import Provenance
from edgevid.models.weights import count_weights
from edgevid_train import commands
from edgevid_train.annotations import ClipRecord, ReadOptions, read_data
from edgevid_train.decode import DecodedClip
from edgevid_train.evaluate.embedding import tsne
from edgevid_train.evaluate.figures.bootstrap import f1_intervals
from edgevid_train.evaluate.figures.metrics import Prediction
from edgevid_train.evaluate.figures.paired import mcnemar_exact, pair
from edgevid_train.evaluate.figures.reliability import reliability
from edgevid_train.evaluate.figures.worst import confusions, least_sure_right, samples, surest_wrong
from edgevid_train.evaluate.robustness import CHANGES
from edgevid_train.marks import marks_of_all


def prediction(label: str, name: str = "a.mp4", group: str | None = None, **scores: float) -> Prediction:
    return Prediction(ClipRecord(Path(name), name, (label,), group or name), scores or None)


def drawn_predictions(n: int, groups: int) -> list[Prediction]:
    """Answers of a model that is right three times in four, in `groups` groups."""
    rng = np.random.default_rng(0)
    found = []
    for i in range(n):
        label = ("up", "down", "other")[int(rng.integers(3))]
        scores = rng.dirichlet([1, 1, 1]) + (rng.random() < 0.6) * np.array(
            [label == x for x in ("up", "down", "other")]
        )
        scores /= scores.sum()
        found.append(
            prediction(label, f"{i}.mp4", f"g{i % groups}", **dict(zip(("up", "down", "other"), scores, strict=True)))
        )
    return found


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_against_scipy(only_a: int, only_b: int) -> None:
    expected = binomtest(min(only_a, only_b), only_a + only_b, 0.5).pvalue if only_a + only_b else 1.0
    assert mcnemar_exact(only_a, only_b) == pytest.approx(expected)


def test_mcnemar_by_hand() -> None:
    assert mcnemar_exact(0, 5) == pytest.approx(2 / 2**5)
    assert mcnemar_exact(1, 7) == pytest.approx(2 * (1 + 8) / 2**8)
    assert mcnemar_exact(4, 4) == 1.0
    assert mcnemar_exact(0, 4000) == 0.0  # smaller than any float, and no overflow


def test_a_pair_of_models() -> None:
    right, wrong = {"up": 0.9, "down": 0.1}, {"up": 0.1, "down": 0.9}
    a = [prediction("up", f"{i}.mp4", **scores) for i, scores in enumerate([right, right, right, wrong, wrong])]
    b = [prediction("up", f"{i}.mp4", **scores) for i, scores in enumerate([right, wrong, wrong, right])]
    b.append(prediction("up", "4.mp4"))  # could not be read
    paired = pair(a, b)
    assert (paired.both, paired.only_a, paired.only_b, paired.neither) == (1, 2, 1, 1)
    assert paired.difference == pytest.approx(0.2)
    assert paired.interval is not None
    assert paired.interval[0] < 0.2 < paired.interval[1]
    with pytest.raises(ValueError, match="the same clips"):
        pair(a, b[::-1])


def test_calibration_error_against_scikit_learn() -> None:
    found = drawn_predictions(400, 20)
    result = reliability(found, bins=10)
    best = np.array([p.confidence for p in found])
    right = np.array([p.right for p in found])
    accuracy, confidence = calibration_curve(right, best, n_bins=10)
    assert [b.accuracy for b in result.bins] == pytest.approx(accuracy.tolist())
    assert [b.confidence for b in result.bins] == pytest.approx(confidence.tolist())
    counts = np.array([b.n for b in result.bins])
    assert result.ece == pytest.approx(float(np.abs(accuracy - confidence) @ counts / 400))


def test_calibration_error_by_hand() -> None:
    found = [
        prediction("up", up=0.9, down=0.1),
        prediction("up", up=0.1, down=0.9),
        prediction("down", up=0.4, down=0.6),
    ]
    result = reliability([*found, prediction("up")], bins=2)  # a missing clip has no score
    assert result.n == 3
    assert result.ece == pytest.approx(abs(2 / 3 - 0.8))
    assert reliability([prediction("up")]).ece == 0.0


def test_the_bootstrap_of_f1_draws_whole_groups() -> None:
    found = drawn_predictions(240, 12)
    intervals = f1_intervals(found, draws=500)
    assert intervals is not None
    assert intervals.groups == 12
    rng, macro = np.random.default_rng(1), []
    by_group = [[p for p in found if p.record.group == f"g{i}"] for i in range(12)]
    for _ in range(500):
        taken = [p for i in rng.integers(12, size=12) for p in by_group[i]]
        macro.append(f1_score([p.label for p in taken], [p.predicted for p in taken], average="macro"))
    assert intervals.macro == pytest.approx(np.percentile(macro, [2.5, 97.5]).tolist(), abs=0.015)
    f1 = f1_score([p.label for p in found], [p.predicted for p in found], labels=["up"], average="macro")
    assert intervals.per_class["up"][0] < f1 < intervals.per_class["up"][1]


def test_groups_that_agree_give_a_wider_interval_than_clips() -> None:
    right, wrong = {"up": 0.9, "down": 0.1}, {"up": 0.1, "down": 0.9}
    scores = [right] * 40 + [wrong] * 40
    grouped = [prediction("up", f"{i}.mp4", f"g{i // 10}", **s) for i, s in enumerate(scores)]
    alone = [prediction("up", f"{i}.mp4", **s) for i, s in enumerate(scores)]
    wide, narrow = f1_intervals(grouped), f1_intervals(alone)
    assert wide is not None
    assert narrow is not None
    assert wide.macro[1] - wide.macro[0] > 2 * (narrow.macro[1] - narrow.macro[0])
    assert f1_intervals([prediction("up", group="one", up=1.0), prediction("down", group="one", up=1.0)]) is None


def test_the_worst_errors() -> None:
    found = [
        prediction("up", "a", up=0.7, down=0.2, other=0.1),
        prediction("up", "b", up=0.4, down=0.3, other=0.3),
        prediction("up", "c", up=0.2, down=0.8),
        prediction("up", "d", up=0.05, down=0.95),
        prediction("down", "e", up=0.99, down=0.01),
        prediction("down", "f"),
    ]
    first, second = confusions(found)
    assert (first.label, first.predicted, first.n, [p.record.name for p in first.clips]) == (
        "up",
        "down",
        2,
        ["d", "c"],
    )
    assert (second.label, second.predicted, second.n) == ("down", "up", 1)
    assert [p.record.name for p in surest_wrong(found, 2)] == ["e", "d"]
    assert [p.record.name for p in least_sure_right(found)] == ["b", "a"]
    assert [p.record.name for p in samples(found, ("up", "down", "other"))] == ["a"]


def test_changes_of_a_clip() -> None:
    record = ClipRecord(Path("x.mp4"), "x.mp4", ("up",), "x")
    frames = np.random.default_rng(0).integers(0, 256, (9, 24, 32, 3), np.uint8)
    times_s = np.array([1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 2.0])
    clip = DecodedClip(frames.copy(), times_s.copy(), record)
    changed = {name: change.apply(clip) for name, change in CHANGES.items()}
    again = {name: change.apply(clip) for name, change in CHANGES.items()}
    np.testing.assert_array_equal(clip.frames, frames)
    np.testing.assert_array_equal(clip.times_s, times_s)
    for name, found in changed.items():
        np.testing.assert_array_equal(found.frames, again[name].frames)
        assert (np.diff(found.times_s) > 0).all()
        assert found.times_s[0] == 1
        assert found.frames.dtype == np.uint8
        assert name == "faster" or not np.array_equal(found.frames, frames)
    np.testing.assert_array_equal(changed["reversed"].frames[::-1], frames)
    assert changed["reversed"].times_s[1] == pytest.approx(1.3)
    assert sorted(f.sum() for f in changed["shuffled"].frames) == sorted(f.sum() for f in frames)
    np.testing.assert_array_equal(changed["half rate"].times_s, times_s[::2])
    assert changed["faster"].times_s[-1] == pytest.approx(1 + 1 / 1.5)
    assert 1 <= len(changed["dropped"].frames) < 9
    assert changed["blur"].frames.std() < frames.std()
    np.testing.assert_array_equal(changed["brighter"].frames, np.minimum((frames * 2 ** (1 / 2.2)).round(), 255))
    np.testing.assert_array_equal(changed["darker"].frames, (frames * 2 ** (-2 / 2.2)).round())
    np.testing.assert_array_equal(changed["lamplight"].frames, np.minimum((frames * [1.2, 1, 0.7]).round(), 255))
    for name in ("tilted", "nearer"):
        assert changed[name].frames.shape == frames.shape


def test_what_is_nearer_or_tilted_stays_about_the_middle() -> None:
    frames = np.zeros((1, 41, 61, 3), np.uint8)
    frames[0, 12:29, 22:39] = 255  # 17 pixels square
    clip = DecodedClip(frames, np.zeros(1), ClipRecord(Path("x.mp4"), "x.mp4", ("up",), "x"))
    nearer, tilted = (CHANGES[name].apply(clip).frames[0, ..., 0] / 255 for name in ("nearer", "tilted"))
    assert nearer.sum() == pytest.approx((1.25 * 17) ** 2, rel=0.03)
    assert tilted.sum() == pytest.approx(17**2, rel=0.03)
    for picture in (nearer, tilted):
        np.testing.assert_allclose(picture, picture[::-1, ::-1], atol=0.05)
    assert tilted[12, 22] == 0  # the corner has turned away
    assert tilted[20, 30] == 1


def test_tsne_is_repeatable_and_wants_enough_clips() -> None:
    embeddings = list(np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32))
    places = tsne(embeddings)
    assert places is not None
    assert places.shape == (40, 2)
    np.testing.assert_array_equal(places, tsne(embeddings))
    assert tsne(embeddings[:29]) is None
    assert tsne([np.zeros(0, np.float32)] * 40) is None


def test_weights_of_a_model_file_are_counted(tmp_path: Path) -> None:
    # leak, fresh, a 3 x 4 matrix, 4 biases and 255: what tests/tiny_models.py writes as floats
    import onnx

    for make in (tiny_stream_model, tiny_conditional_model):
        path = make(tmp_path / "tiny.onnx")
        graph = onnx.load(path).graph
        floats = [t for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
        assert count_weights(path.read_bytes()) == sum(int(np.prod(t.dims)) for t in floats) >= 16
    with pytest.raises(ValueError, match="no protocol buffer"):
        count_weights(b"\xff" * 40)


class Page(HTMLParser):
    """What a page links to, its headings, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.images: set[str] = set()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        values = dict(attrs)
        for key in ("src", "srcset"):
            self.images |= {part.split()[0] for part in (values.get(key) or "").split(",") if part}
        assert tag != "img" or values.get("alt")

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def evaluate(*args: object) -> Ran:
    return run_command(commands.register, "evaluate", *args)


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven clips that turn red, green or blue in three scenes; two are labelled wrongly, one cannot be read."""
    folder = tmp_path_factory.mktemp("colours")
    rows = ["file,label,group"]
    shown = [("red", "red"), ("green", "green"), ("blue", "blue"), ("red", "red"), ("green", "blue"), ("red", "<b>&up")]
    for i, (colour, label) in enumerate(shown):
        write_video(folder / f"{i}.mp4", list(coloured_frames(("other", 3), (colour, 8))), fps=10)
        rows.append(f"{i}.mp4,{label},scene{i % 3}")
    (folder / "6.mp4").write_bytes(b"not a video")
    rows.append("6.mp4,red,scene0")
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize("make", [tiny_stream_model, tiny_conditional_model])
def test_the_report_is_one_folder_with_one_page(tmp_path: Path, colours: Path, make) -> None:
    model, other = make(tmp_path / "tiny.onnx"), tiny_stream_model(tmp_path / "other.onnx")
    out = tmp_path / "report"
    ran = evaluate(model, colours, "--out", out, "--compare", other, "--robustness", "--json", tmp_path / "o.json")
    assert ran.status == 0, ran.err
    assert (ran.out + ran.err).count("was not taught '<b>&up': 1 of the clips count as errors") == 2, "said of both"
    figures = json.loads((out / "report.json").read_text())
    assert figures == json.loads((tmp_path / "o.json").read_text())
    assert figures["top1"] == pytest.approx(4 / 7)
    assert figures["groups"] == 3
    assert [row["name"] for row in figures["robustness"]] == list(CHANGES)
    assert all(row["step_ms"]["p50"] > 0 for row in figures["exits"] if row["name"] == "final")
    assert [row["top1"] for row in figures["exits"]] == pytest.approx([4 / 7, 4 / 7])
    paired = figures["compare"]["paired"]
    assert (paired["both"], paired["only_a"], paired["only_b"], paired["neither"]) == (4, 0, 0, 3)
    assert paired["p_value"] == 1.0
    assert figures["worst"]["surest_wrong"][0] in {"4.mp4", "5.mp4"}
    assert figures["seen"] is None

    html = (out / "index.html").read_text()
    page = Page(html)
    assert {"main", "nav", "table", "figure", "svg", "picture"} <= page.tags
    assert "script" not in page.tags
    assert "b" not in page.tags  # a label is text
    assert not re.search(r"(src|href)=\"(https?:)?//", html)
    for image in page.images:
        assert (out / image).is_file(), image
    assert {p.name for p in out.iterdir()} == {
        *("index.html", "report.json", "strips"),
        *("confusion.png", "confusion-dark.png", "reliability.png", "reliability-dark.png"),
    }
    for value in (figures["top1"], figures["macro_f1"], figures["reliability"]["ece"]):
        assert f"{value:.3f}" in page.text
    for row in figures["robustness"]:
        assert f"{row['top1']:.3f}" in page.text
    assert "6.mp4" in page.text  # the clip that could not be read
    assert "blue 0" in page.text
    assert "taken for green" in page.text
    assert figures["looks"]["clips"] == []
    assert "evaluate the checkpoint that it was exported from" in page.text


def test_a_report_says_which_clips_were_trained_on(tmp_path: Path, colours: Path) -> None:
    records = read_data(colours, ReadOptions())
    marks = marks_of_all([record for record in records if record.group == "scene1"])
    about = Provenance(data="d", weights="w", licences="MIT", recipe="r", trained_on=marks)
    model = tiny_stream_model(tmp_path / "tiny.onnx", tiny_manifest("stream", provenance=about))
    ran = evaluate(model, colours, "--out", tmp_path / "report")
    assert ran.status == 0, ran.err
    assert "trained on 2 of the 7 clips" in ran.out
    figures = json.loads((tmp_path / "report" / "report.json").read_text())
    assert [entry["file"] for entry in figures["predictions"] if entry.get("seen")] == ["1.mp4", "4.mp4"]
    assert figures["seen"]["others"]["n"] == 5
    assert figures["seen"]["others"]["top1"] == pytest.approx(3 / 5)
    assert "was trained on 2 of these 7 clips" in Page((tmp_path / "report" / "index.html").read_text()).text


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--compare", "nowhere.onnx"), "nowhere.onnx: no such model file"),
        (("--stream", "--robustness"), "--compare and --robustness are not for --stream"),
    ],
)
def test_wrong_words_are_one_line(tmp_path: Path, colours: Path, args: tuple[str, ...], says: str) -> None:
    ran = evaluate(tiny_stream_model(tmp_path / "tiny.onnx"), colours, *args)
    assert ran.status == 2
    assert says in ran.err
    assert ran.err.count("\n") == 1
