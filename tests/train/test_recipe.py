"""Recipes: small, strict, and saved in full."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgevid.errors import InputError
from edgevid.manifest import HoldRule
from edgevid_train.recipe import Recipe, load_recipe, read_resolved, recipe_names
from edgevid_train.samples.dataset import changes_among
from edgevid_train.toml import dump_toml


def test_the_bundled_recipes_are_valid_and_come_back_from_what_is_saved(tmp_path: Path) -> None:
    assert {"air-gesture", "ego4d"} <= set(recipe_names())
    for name in recipe_names():
        recipe = load_recipe(name)
        assert recipe.name == name
        (tmp_path / "recipe.toml").write_text(recipe.to_toml())
        assert read_resolved(tmp_path / "recipe.toml") == recipe


def test_ego4d_has_a_videomae_teacher_and_says_it_was_not_run() -> None:
    recipe = load_recipe("ego4d")
    assert recipe.teacher.kind == "videomae"
    assert "not run here" in recipe.about.note


def test_a_star_means_every_other_label_stays_what_it_is() -> None:
    labels = ("left", "right", "wave", "other")
    assert changes_among(labels, {"left": "right", "right": "left"}) == {"left": "right", "right": "left"}
    assert changes_among(labels, {"*": "*", "left": "right", "right": "left"}) == {
        "left": "right",
        "right": "left",
        "wave": "wave",
        "other": "other",
    }
    assert changes_among(labels, {"*": "*", "lft": "right"}) == {label: label for label in labels if label != "right"}
    assert changes_among(("left", "other"), {"left": "right", "up": "up"}) == {}  # what is no label here is no target
    assert changes_among(labels, load_recipe("ego4d").augment.flip) == {label: label for label in labels}


def test_a_file_is_a_small_diff(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[optim]\nepochs = 3\n")
    recipe = load_recipe(str(path))
    assert recipe.name == "mine"
    assert recipe.optim.epochs == 3
    assert recipe.optim.model_copy(update={"epochs": Recipe(name="x").optim.epochs}) == Recipe(name="x").optim


def test_changes_from_the_command_line() -> None:
    recipe = load_recipe(
        "air-gesture",
        [
            "optim.epochs=2",
            "student.backbone=resnet18",
            "student.exits=[1, 2]",
            'augment.flip={"a"="b"}',
            "optim.epochs=4",
            "precision='bf16'",
        ],
    )
    assert recipe.optim.epochs == 4
    assert recipe.student.backbone == "resnet18"
    assert recipe.student.exits == (1, 2)
    assert recipe.augment.flip == {"a": "b"}
    assert recipe.precision == "bf16"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("optim.epoch=3", "optim.epoch: unknown key"),
        ("optimm.epochs=3", "optimm: unknown key"),
        ("optim.epochs=0", "optim.epochs: Input should be greater than 0"),
        ("optim.epochs=many", "optim.epochs: Input should be a valid integer"),
        ("optim.lr=nan", "optim.lr"),
        ("optim.lr=inf", "optim.lr: inf is no number to compute with"),
        ("optim.lr=Infinity", "optim.lr: inf is no number"),
        ("augment.scale=[0.5, inf]", "augment.scale: "),
        ("augment.noise=inf", "augment.noise: inf is no number"),
        ("optim.least_lr=1", "optim: least_lr = 1 is more than lr"),
        ("seed=99999999999", "seed: Input should be less than 2147483648"),
        ("data.seed=99999999999", "data.seed: Input should be less than"),
        ("student.exits=[3, 2]", "student: exits must be stage numbers from 1 on, in rising order"),
        ("teacher.kind=big", "teacher.kind: 'big' is not one of tsm, cnn-lstm, inflated, videomae"),
        ("student.dilations=[0]", "student.dilations.0: Input should be greater than or equal to 1"),
        ("student.dilations=[]", "student: several exits share one memory"),
        ("memory_optim.epoch_clips=9", "memory_optim: epoch_clips changes nothing here: the memory alone learns"),
        ("memory_optim.backbone_lr=0.5", "memory_optim: backbone_lr changes nothing here"),
        ("pretrain_optim.extra_share=0.5", "pretrain_optim: extra_share changes nothing here: all video is --data"),
        ("hold.quiet=17", "hold.quiet: Input should be less than or equal to 16"),
        ("optim", "expected key=value"),
        ("=3", "expected key=value"),
        ("optim..lr=3", "expected key=value"),
        ("seed.x=3", "seed"),
    ],
)
def test_a_wrong_change_is_one_line_that_names_the_key(change: str, says: str) -> None:
    with pytest.raises(InputError) as raised:
        load_recipe("air-gesture", ["seed=1", change])
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_student_with_one_exit_holds_nothing() -> None:
    assert load_recipe("air-gesture", ["hold.busy=1"]).hold == HoldRule(quiet=0, busy=1)
    with pytest.raises(InputError, match="hold: a student with one exit looks at every frame"):
        load_recipe("air-gesture", ["hold.busy=1", "student.exits=[5]"])


def test_what_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'nope' is neither a \.toml file nor one of air-gesture"):
        load_recipe("nope")
    with pytest.raises(InputError, match="No such file"):
        load_recipe(str(tmp_path / "none.toml"))
    (tmp_path / "bad.toml").write_text("[optim\n")
    with pytest.raises(InputError, match=r"bad\.toml: not TOML"):
        load_recipe(str(tmp_path / "bad.toml"))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        load_recipe(str(tmp_path / "bytes.toml"))


values = st.recursive(
    st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)
tables = st.recursive(
    st.dictionaries(st.text(), values, max_size=4),
    lambda inner: st.dictionaries(st.text(), inner | values, max_size=3),
    max_leaves=6,
)


@given(tables)
def test_any_table_comes_back_from_toml(table: dict[str, object]) -> None:
    assert tomllib.loads(dump_toml(table)) == table


def test_a_section_that_is_given_in_part_keeps_its_own_defaults(tmp_path: Path) -> None:
    path, whole = tmp_path / "mine.toml", Recipe(name="x")
    path.write_text("[memory_optim]\nbatch = 3\n[pretrain_optim]\nbatch = 3\n")
    recipe = load_recipe(str(path))
    assert (recipe.memory_optim.epochs, recipe.pretrain_optim.ema) == (4, 0)
    assert recipe.memory_optim == whole.memory_optim.model_copy(update={"batch": 3})
    assert recipe.pretrain_optim == whole.pretrain_optim.model_copy(update={"batch": 3})


def test_distances_between_clips_need_three_of_them_at_once() -> None:
    load_recipe("air-gesture", ["distill.relation=0.1", "optim.micro_batch=3"])
    with pytest.raises(InputError, match=r"optim\.micro_batch must be 3 or more"):
        load_recipe("air-gesture", ["distill.relation=0.1", "optim.micro_batch=2"])
