"""A teacher's answers on disk: the same bits, found by pixels and weights, bounded, and never taken for others."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from command_runs import Ran
from safetensors.torch import load_file
from tiny_run import RECIPE, distill, settings, tiny_recipe
from torch import Tensor

from edgevid_train.checkpoint import load_student
from edgevid_train.losses import kept_answers
from edgevid_train.losses.kept_answers import Asked, KeptAnswers, digest_of
from edgevid_train.models.teachers.build import build_teacher
from edgevid_train.models.teachers.frames import ShiftTeacher
from edgevid_train.storage import BoundedFolder


def teacher(seed: int = 0) -> ShiftTeacher:
    torch.manual_seed(seed)
    built = build_teacher(tiny_recipe().teacher, 3).eval()
    assert isinstance(built, ShiftTeacher)
    return built


def frames(clips: int = 3, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (clips, 4, 32, 32, 3), dtype=torch.uint8, generator=rng)


def kept(folder: Path, max_bytes: int = 1 << 20) -> KeptAnswers:
    return KeptAnswers(BoundedFolder(folder / "answers", max_bytes))


def entries(folder: Path) -> list[Path]:
    return sorted((folder / "answers").iterdir())


def assert_same(one, other) -> None:
    assert torch.equal(one.logits, other.logits)
    assert torch.equal(one.features, other.features)
    assert torch.equal(one.places, other.places)
    assert (one.logits.dtype, one.features.dtype) == (other.logits.dtype, other.features.dtype)


def test_another_process_finds_the_very_bits_and_asks_nobody(tmp_path: Path, monkeypatch) -> None:
    network, shown = teacher(), frames()
    plain = Asked(network)(shown)
    first, second = kept(tmp_path), kept(tmp_path)
    assert_same(Asked(network, first)(shown), plain)
    again = Asked(teacher(), second)  # built again, of equal weights
    monkeypatch.setattr(again.teacher, "forward", lambda _: pytest.fail("asked"))
    assert_same(again(shown), plain)
    assert ((first.asked, first.found), (second.asked, second.found)) == ((3, 0), (0, 3))
    assert_same(again(shown[[2, 0]]), type(plain)(plain.logits[[2, 0]], plain.features[[2, 0]], plain.places[[2, 0]]))
    assert str(second) == "teacher's answers to 5 of 5 clips were kept from before"


def test_a_pixel_or_a_weight_or_the_precision_makes_another_question(tmp_path: Path) -> None:
    network, shown, store = teacher(), frames(), kept(tmp_path)
    Asked(network, store)(shown)
    other = shown.clone()
    other[1, 3, 31, 31, 2] ^= 1
    assert_same(Asked(network, store)(other), Asked(network)(other))
    assert store.found == 0
    with torch.autocast("cpu", torch.bfloat16):
        plain = Asked(network)(shown)
        assert_same(Asked(network, store)(shown), plain)
        assert_same(Asked(network, store)(shown), plain)  # found, in the precision that it was said in
    assert store.found == 3
    with torch.no_grad():
        network.looking.decide.bias[0] += 1e-6
    Asked(network, store)(shown)
    assert store.found == 3


def test_one_missing_answer_and_the_whole_batch_is_asked(tmp_path: Path) -> None:
    network, store = teacher(), kept(tmp_path)
    Asked(network, store)(frames(2))
    assert_same(Asked(network, store)(frames(3)), Asked(network)(frames(3)))
    assert (store.asked, store.found) == (5, 0)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_a_damaged_entry_is_none_and_is_written_anew(tmp_path: Path, damage: str) -> None:
    network, shown = teacher(), frames(2)
    Asked(network, kept(tmp_path))(shown)
    one, other = entries(tmp_path)
    sound = one.read_bytes()
    bits = bytearray(sound)
    bits[sound.index(b"NUMPY", len(sound) // 2) + 140] ^= 1  # within an array
    broken = {"cut": sound[: len(sound) // 2], "flipped": bytes(bits), "empty": b"", "foreign": other.read_bytes()}
    one.write_bytes(broken[damage])
    store = kept(tmp_path)
    assert_same(Asked(network, store)(shown), Asked(network)(shown))
    assert (store.asked, store.found) == (2, 0)
    Asked(network, store)(shown)
    assert store.found == 2


def test_no_more_is_kept_than_was_allowed(tmp_path: Path) -> None:
    network, store = teacher(), kept(tmp_path, 8000)
    for seed in range(8):
        Asked(network, store)(frames(1, seed))
        assert sum(path.stat().st_size for path in entries(tmp_path)) <= 8000
    assert entries(tmp_path)
    tiny = kept(tmp_path / "tiny", 100)
    Asked(network, tiny)(frames(1))
    assert not (tmp_path / "tiny").exists()


def test_a_folder_that_cannot_be_written_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "answers").write_text("in the way")
    network, store = teacher(), kept(tmp_path)
    assert_same(Asked(network, store)(frames()), Asked(network)(frames()))
    assert store.unwritable is not None
    assert "answers" in store.unwritable


def test_several_trainings_share_one_folder(tmp_path: Path) -> None:
    network = teacher()
    plain = {seed: Asked(network)(frames(2, seed)) for seed in range(7)}

    def learn(offset: int) -> int:
        store = kept(tmp_path, 20_000)  # which is too little for all of them
        for turn in range(20):
            seed = (turn * 5 + offset) % 7
            assert_same(Asked(network, store)(frames(2, seed)), plain[seed])
        return store.found

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(learn, range(3)))
    assert sum(found) > 0
    assert all(not path.name.startswith(".") for path in entries(tmp_path))


# --- as a person runs it


def asks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Gets the clips of each question that a teacher in evaluation mode is asked about a batch."""
    found: list[int] = []
    original = kept_answers.as_input

    def counted(shown: Tensor) -> Tensor:
        found.append(len(shown))
        return original(shown)

    monkeypatch.setattr(kept_answers, "as_input", counted)
    return found


def weights(run: Path) -> dict[str, Tensor]:
    return load_file(run / "student" / "last" / "model.safetensors")


def assert_equal_weights(one: Path, other: Path) -> None:
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("mixup", [0, 0.4])
def test_students_share_answers_and_learn_what_they_would_have_learned_without(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mixup: float
) -> None:
    monkeypatch.setenv("EDGEVID_CACHE", str(tmp_path / "cache"))
    (tmp_path / "tiny.toml").write_text(RECIPE)
    asked = asks(monkeypatch)
    numbers = itertools.count()

    def run(*changes: str, teacher: Path | None = None) -> tuple[Path, Ran]:
        out = tmp_path / f"run-{next(numbers)}"
        given = ("--teacher", teacher) if teacher else ()
        words = settings(f"mix.mixup={mixup}", "data.seed=5", *changes)
        ran = distill("--recipe", tmp_path / "tiny.toml", "--data", clips, "--out", out, *given, *words)
        assert ran.status == 0, ran.err
        return out, ran

    plain, said = run()
    assert not list(tmp_path.glob("cache/answers/*"))
    assert "kept from before" not in said.out
    every = sum(asked)
    asked.clear()
    first, said = run("distill.cache_mb=8")
    assert "student: teacher's answers to 0 of 24 clips were kept from before" in said.out
    assert sum(asked) == every == 24
    assert_equal_weights(plain, first)
    asked.clear()
    # an equal training; the weights of the teacher that is read again from its checkpoint are the same
    again, said = run("distill.cache_mb=8", teacher=first)
    assert asked == []
    assert "answers to 24 of 24 clips" in said.out
    assert_equal_weights(plain, again)
    # another seed, another network
    run("distill.cache_mb=8", "seed=1", "student.size=8", teacher=first)
    assert asked == []
    # other views
    _, said = run("distill.cache_mb=8", "data.seed=6", teacher=first)
    assert "answers to 24" not in said.out


def test_seeds_of_students_see_the_same_clips_where_the_data_has_a_seed(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    off = ("distill.response=0", "distill.feature=0", "optim.epochs=1")
    for name, changes in {"a": ("seed=3",), "b": ("data.seed=3",), "c": ("seed=1", "data.seed=3")}.items():
        words = settings(*off, *changes)
        ran = distill("--recipe", tmp_path / "tiny.toml", "--data", clips, "--out", tmp_path / name, *words)
        assert ran.status == 0, ran.err
    splits = [load_student(tmp_path / name).info.split for name in "abc"]
    assert splits[0] == splits[1] == splits[2]
    ours, theirs = weights(tmp_path / "b"), weights(tmp_path / "c")
    assert any(not torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_digest_is_that_of_weights_and_of_what_is_taken() -> None:
    one = teacher()
    assert digest_of(one) == digest_of(teacher())
    assert digest_of(one) != digest_of(teacher(1))
    shorter = build_teacher(tiny_recipe(teacher={"frames": 8}).teacher, 3)
    assert digest_of(shorter) != digest_of(one)
