"""`edgevid train-distill --sweep` as a person runs it, its words, and its figures against hand arithmetic."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tiny_run import distill, interrupt_at

from edgevid.errors import CheckFailedError, InputError
from edgevid_train.annotations import ClipRecord
from edgevid_train.checkpoint import load_student
from edgevid_train.evaluate.figures.metrics import Prediction, summarise
from edgevid_train.recipe import load_recipe
from edgevid_train.runs.sweep import run as sweep_run
from edgevid_train.runs.sweep.figures import compare
from edgevid_train.runs.sweep.plan import parse
from edgevid_train.runs.sweep.teacher import teaching

FEW = ("--set", "optim.epochs=1", "--set", "distill.response=0", "--set", "distill.feature=0")


def test_every_combination_with_every_seed_and_one_table_and_a_resume_that_ends_the_same(
    recipe: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = (
        *("--recipe", recipe, "--data", clips, *FEW, "--seeds", 2),
        *("--sweep", "optim.lr=1e-3,3e-3", "--json", tmp_path / "r.json"),
    )
    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        interrupt_at(patched, 5)  # in the second run
        ran = distill(*args, "--out", out)
    assert ran.status == 130
    assert f"stopped in run 2 of 4; it is saved, go on with: edgevid train-distill --resume --out {out}" in ran.err
    assert len(json.loads((out / "sweep.json").read_text())["combinations"]) == 1
    first = out / "sweep-1-lr-1e-3" / "seed-0" / "student" / "last" / "model.safetensors"
    trained_s = first.stat().st_mtime_ns
    ran = distill("--resume", "--out", out, "--json", tmp_path / "r.json")
    assert ran.status == 0, ran.err
    assert first.stat().st_mtime_ns == trained_s  # what was done is not done again
    assert "run 2 of 4: optim.lr=3e-3, seed 0" in ran.out
    assert "best" in ran.out

    table = json.loads((out / "sweep.json").read_text())
    assert table == json.loads((tmp_path / "r.json").read_text())
    assert [row["values"] for row in table["combinations"]] == [{"optim.lr": "1e-3"}, {"optim.lr": "3e-3"}]
    assert sum(row["best"] for row in table["combinations"]) >= 1
    for row in table["combinations"]:
        assert len(row["seeds"]) == 2
        assert row["n"] == 6
        assert row["mean"] == pytest.approx(np.mean(row["seeds"]))
        seeds = [load_student(out / row["folder"] / f"seed-{seed}").recipe for seed in (0, 1)]
        assert [(recipe.seed, recipe.optim.lr) for recipe in seeds] == [
            (seed, float(row["values"]["optim.lr"])) for seed in (0, 1)
        ]
    lines = list(csv.DictReader((out / "sweep.csv").open()))
    assert [line["optim.lr"] for line in lines] == ["1e-3", "3e-3"]
    assert float(lines[0]["mean"]) == table["combinations"][0]["mean"]

    alone = distill("--recipe", recipe, "--data", clips, *FEW, "--set", "optim.lr=3e-3", "--out", tmp_path / "alone")
    assert alone.status == 0, alone.err
    swept, same = (
        load_file(run / "student" / "last" / "model.safetensors")
        for run in (out / "sweep-2-lr-3e-3" / "seed-0", tmp_path / "alone")
    )
    assert all(torch.equal(swept[key], same[key]) for key in same)

    for words, says in (
        (("--sweep", "optim.lr=1,2"), "holds another sweep"),
        (("--cv", 2), "--cv is not what the run"),
        (("--data", tmp_path), "--data is not what the run"),
        (("--recipe", recipe, *FEW, "--set", "optim.batch=4"), "the recipe has optim.batch = 4"),
        (("--seeds", 3), "has 2 seeds"),
    ):
        refused = distill("--resume", "--out", out, *words)
        assert refused.status == 2
        assert says in refused.err
    refused = distill("--recipe", recipe, "--data", clips, "--sweep", "optim.lr=1,2", "--out", out)
    assert refused.status == 2
    assert "exists; give --force" in refused.err


def test_runs_that_would_train_the_same_teacher_share_it_and_learn_the_same(
    recipe: Path, clips: Path, tmp_path: Path
) -> None:
    words = ("--recipe", recipe, "--data", clips, "--set", "optim.epochs=1")
    out = tmp_path / "out"
    ran = distill(*words, "--sweep", "distill.response=0.5,2", "--sweep", "augment.noise=0,8", "--out", out)
    assert ran.status == 0, ran.err
    folders = sorted(path.name for path in out.glob("sweep-*"))
    own = [(out / folder / "seed-0" / "teacher").is_dir() for folder in folders]
    assert own == [True, True, False, False]  # of noise 0, of noise 8
    assert (
        f"run 3 of 4: distill.response=2, augment.noise=0, seed 0, with the teacher of {folders[0]}/seed-0" in ran.out
    )
    assert (
        f"run 4 of 4: distill.response=2, augment.noise=8, seed 0, with the teacher of {folders[1]}/seed-0" in ran.out
    )
    ran = distill(*words, "--set", "distill.response=2", "--set", "augment.noise=8", "--out", tmp_path / "alone")
    assert ran.status == 0, ran.err
    swept, alone = (
        load_file(run / "student" / "last" / "model.safetensors")
        for run in (out / folders[3] / "seed-0", tmp_path / "alone")
    )
    assert all(torch.equal(swept[key], alone[key]) for key in alone)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ("optim.lr=0.1", True),
        ("student.size=8", True),
        ("distill.taps=[]", True),
        ("clip_pool.kind=mean", True),
        ("student.rate_hz=5", False),
        ("distill.label_smoothing=0", False),
        ("stream.after=0", False),
        ("teacher_optim.lr=0.1", False),
        ("teacher.size=8", False),
        ("data.seed=1", False),
        ("mix.mixup=0.4", False),
        ("precision=bf16", False),
        ("seed=1", False),
    ],
)
def test_what_a_teacher_follows_from(recipe: Path, change: str, same: bool) -> None:
    assert (teaching(load_recipe(str(recipe), [change])) == teaching(load_recipe(str(recipe)))) == same


def test_a_run_that_fails_is_a_row_that_says_so(
    recipe: Path, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = sweep_run.train_folds

    def failing(start, **options):
        if start.recipe.optim.lr == 1.0:
            raise CheckFailedError("the loss is nan at step 1")
        return original(start, **options)

    monkeypatch.setattr(sweep_run, "train_folds", failing)
    ran = distill("--recipe", recipe, "--data", clips, *FEW, "--sweep", "optim.lr=1e-3,1.0", "--out", tmp_path / "out")
    assert ran.status == 0, ran.err
    assert "failed: the loss is nan" in ran.out
    good, bad = json.loads((tmp_path / "out" / "sweep.json").read_text())["combinations"]
    assert (good["best"], good["failed"]) == (True, [])
    assert (bad["best"], bad["mean"], bad["failed"]) == (False, None, ["the loss is nan at step 1"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--sweep", "optim.lr"], "expected key=a,b,c"),
        (["--sweep", "optim.lr=1,,2"], "expected key=a,b,c"),
        (["--sweep", "optim.lr=1,1"], "each value once"),
        (["--sweep", "optim.lr=1e-3,-2"], "optim.lr: "),
        (["--sweep", "optim.lrr=1,2"], "optim.lrr: unknown key"),
        (["--sweep", "seed=1,2"], "which is for --seeds"),
        (["--sweep", "name=a,b"], "neither name nor seed"),
        (["--sweep", "optim.lr=1,2", "--sweep", "optim.lr=3"], "each key once"),
        (["--sweep", "optim.lr=1,2", "--all"], "--all holds none out"),
        (["--sweep", "optim.lr=1e-3,0.001"], "optim.lr=1e-3 and optim.lr=0.001 are the same"),
        (["--sweep", "student.backbone=mobilenetv2_050,nope"], "backbone 'nope' is not one of"),
        (["--sweep", "student.exits=[1,2],[1,99]"], "99 were asked for"),
        (["--sweep", "teacher.backbone=mobilenetv2_050,nope"], "backbone 'nope' is not one of"),
        (["--sweep", "optim.lr=1e-3,3e-4", "--cv", 99], "99 folds need at least 99 groups"),
    ],
)
def test_wrong_words_are_one_line_before_the_first_run(
    recipe: Path, clips: Path, tmp_path: Path, words: list[object], says: str
) -> None:
    ran = distill("--recipe", recipe, "--data", clips, "--out", tmp_path / "out", *words)
    assert ran.status == 2
    assert says in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_commas_inside_brackets_and_quotes_do_not_part_values() -> None:
    assert parse("student.exits=[1,2],[1, 2, 3]") == ("student.exits", ("[1,2]", "[1, 2, 3]"))
    assert parse('about.note="a,b",c') == ("about.note", ('"a,b"', "c"))
    assert parse("drawn.fps=[5,9]") == ("drawn.fps", ("[5,9]",))
    with pytest.raises(InputError, match="expected"):
        parse("=1,2")


@given(st.text(max_size=40))
def test_any_text_is_parsed_or_refused_in_one_line(text: str) -> None:
    try:
        key, values = parse(text)
    except InputError:
        return
    assert key
    assert all(values)


def result(hits: list[bool], groups: list[str]) -> dict:
    entries = [
        {
            "file": f"{i}.mp4",
            "label": "a",
            "predicted": "a" if hit else "b",
            "scores": {"a": 0.9, "b": 0.1} if hit else {"a": 0.2, "b": 0.8},
            "group": group,
        }
        for i, (hit, group) in enumerate(zip(hits, groups, strict=True))
    ]
    return {"top1": float(np.mean(hits)), "macro_f1": 0.5, "predictions": entries}


def test_figures_are_means_over_seeds_and_the_interval_grows_with_what_differs() -> None:
    groups = [f"g{i // 5}" for i in range(40)]
    rng = np.random.default_rng(0)
    even = compare([result(list(rng.random(40) < 0.7), groups) for _ in range(3)])
    assert even.metric == "top1"
    assert even.mean == pytest.approx(np.mean(even.each))
    assert even.n == 120
    low, high = even.interval
    assert low < even.mean < high
    by_group = compare([result([i // 5 < 5 for i in range(40)], groups)] * 3)  # whole groups are right or wrong
    assert by_group.interval[1] - by_group.interval[0] > 1.2 * (high - low)
    assert by_group.deviation == 0
    assert compare([result([True, False], ["g", "g"])]).interval is None
    apart = compare([result([True] * 40, groups), result([False] * 40, groups)])  # seeds that differ
    assert apart.interval == (0.0, 1.0)
    failed = compare([result([True] * 40, groups), {"failed": "nan"}])
    assert (failed.mean, failed.failed) == (1.0, ("nan",))
    assert compare([{"failed": "nan"}]).mean is None


def test_independent_labels_are_compared_by_map() -> None:
    rng = np.random.default_rng(1)
    runs = []
    for _ in range(2):
        found = []
        for i in range(30):
            true = [label for label in ("a", "b") if rng.random() < 0.5] or ["other"]
            scores = {label: float(0.3 * (label in true) + 0.7 * rng.random()) for label in ("a", "b")}
            found.append(Prediction(ClipRecord(Path(str(i)), str(i), tuple(true), f"g{i % 6}"), scores, several=True))
        summary = summarise(found, ("a", "b"))
        runs.append(summary | {"predictions": [p.to_json() | {"group": p.record.group} for p in found]})
    compared = compare(runs)
    assert compared.metric == "map"
    assert compared.mean == pytest.approx(np.mean([run["map"] for run in runs]))
    assert compared.interval[0] < compared.mean < compared.interval[1]
