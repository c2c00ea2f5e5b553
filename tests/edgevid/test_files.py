"""What may be written over, and what is never."""

import contextlib
import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from edgevid.errors import InputError
from edgevid.files import SIGN, check_file, check_folder, check_json, replacing, write_text

WRITTEN = ("index.html", ("*.png",))


def folder(path: Path, *names: str) -> Path:
    path.mkdir()
    for name in names:
        (path / name).write_text(SIGN if name.endswith(".html") else "")
    return path


def test_a_folder_of_the_same_kind_is_replaced_with_force_alone(tmp_path: Path) -> None:
    report = folder(tmp_path / "report", "index.html", "a.png", ".DS_Store")
    check_folder(report, *WRITTEN, force=True)
    with pytest.raises(InputError, match="report exists; give --force to replace it"):
        check_folder(report, *WRITTEN, force=False)
    check_folder(folder(tmp_path / "empty"), *WRITTEN, force=False)
    check_folder(tmp_path / "new" / "report", *WRITTEN, force=False)


def test_a_folder_of_another_kind_is_not_replaced_with_force_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = folder(tmp_path / "data", "index.html", "left.mp4", "right.mp4")
    with pytest.raises(InputError, match=r"data holds left.mp4: .*--force does not replace it"):
        check_folder(data, *WRITTEN, force=True)
    with pytest.raises(InputError, match=r"plots holds no index.html: this command did not write it"):
        check_folder(folder(tmp_path / "plots", "a.png"), *WRITTEN, force=True)
    home = folder(tmp_path / "home", "index.html")
    (home / "index.html").write_text("<h1>My page</h1>")
    with pytest.raises(InputError, match=r"home holds somebody's index.html: this command did not write it"):
        check_folder(home, *WRITTEN, force=True)
    odd = folder(tmp_path / "odd")
    (odd / "index.html").mkdir()
    with pytest.raises(InputError, match=r"odd holds somebody's index.html"):
        check_folder(odd, *WRITTEN, force=True)
    with pytest.raises(InputError, match=r"left.mp4 is a file"):
        check_folder(data / "left.mp4", *WRITTEN, force=True)
    inner = folder(folder(tmp_path / "outer") / "inner")
    monkeypatch.chdir(inner)
    for here in (Path(), Path(".."), inner, inner.parent):
        with pytest.raises(InputError, match="the folder that this runs in, or above it"):
            check_folder(here, *WRITTEN, force=True)


def test_a_file_never_takes_the_place_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder; give the name of a file"):
        check_file(folder(tmp_path / "runs"), force=True)
    check_file(tmp_path / "new.json", force=False)
    (tmp_path / "old.json").touch()
    check_file(tmp_path / "old.json", force=True)
    with pytest.raises(InputError, match="give --force to replace it"):
        check_file(tmp_path / "old.json", force=False)


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_is_replaced_and_nothing_else_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, can_exchange: bool
) -> None:
    if not can_exchange:
        monkeypatch.setattr("edgevid.files._exchanged_at_once", lambda *_: False)
    last = folder(tmp_path / "last", "old")
    with replacing(last) as temporary:
        folder(temporary, "new")
        assert [path.name for path in last.iterdir()] == ["old"]
    assert [path.name for path in last.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [last]
    with contextlib.suppress(KeyboardInterrupt), replacing(last) as temporary:
        folder(temporary, "newer")
        raise KeyboardInterrupt
    assert [path.name for path in last.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [last]


@pytest.mark.skipif(sys.platform != "linux", reason="others may have to rename twice")
def test_while_a_folder_is_replaced_there_is_always_one(tmp_path: Path) -> None:
    last = folder(tmp_path / "last")
    missing: list[bool] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            missing.append(not last.is_dir())

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    for _ in range(200):
        with replacing(last) as temporary:
            temporary.mkdir()
    done.set()
    looking.join()
    assert len(missing) > 200
    assert not any(missing)


@pytest.mark.parametrize("name", ["r" * 250 + ".json", "r" * 255, "." + "r" * 254, "ö" * 120 + ".json"])
def test_the_longest_names_can_be_written(tmp_path: Path, name: str) -> None:
    check_file(tmp_path / name, force=False)
    write_text(tmp_path / name, "figures")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_name_that_is_too_long_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a name has at most 255 bytes"):
        check_file(tmp_path / ("r" * 256), force=False)
    with pytest.raises(InputError, match="File name too long"):
        write_text(tmp_path / ("r" * 256), "figures")


def test_a_name_that_is_no_text_can_be_told_of(tmp_path: Path) -> None:
    write_text(tmp_path / "page.html", "clips of d\udcff")
    assert (tmp_path / "page.html").read_text() == r"clips of d\udcff"


def test_what_a_link_points_to_is_replaced_and_not_the_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "target.json", tmp_path / "link.json"
    link.symlink_to(target)
    for text in ("first", "second"):  # before there is a target, and after
        check_file(link, force=True)
        write_text(link, text)
        assert link.is_symlink()
        assert target.read_text() == text
    assert [path.name for path in target.parent.iterdir()] == ["target.json"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_given_what_was_written_and_stays(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", list[str]()
    os.mkfifo(pipe)
    check_file(pipe, force=False)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    write_text(pipe, "all of it")
    reader.join(60)
    assert read == ["all of it"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no full device here")
def test_a_device_that_is_full_is_one_line_and_stays() -> None:
    check_file(Path("/dev/full"), force=True)
    with pytest.raises(InputError, match="cannot write /dev/full: No space left on device"):
        write_text(Path("/dev/full"), "too much")
    assert Path("/dev/full").is_char_device()


def write_folder(place: Path, text: str) -> None:
    with replacing(place) as temporary:
        temporary.mkdir()
        (temporary / "inside").write_text(text)


def test_of_two_that_write_one_new_folder_the_second_is_told(tmp_path: Path) -> None:
    place = tmp_path / "out"

    def overtaken() -> None:
        with replacing(place) as temporary:
            temporary.mkdir()
            place.mkdir()
            (place / "inside").write_text("the other's")

    with pytest.raises(InputError, match="was written by another process meanwhile"):
        overtaken()
    assert (place / "inside").read_text() == "the other's"
    write_folder(place, "one that was there is replaced")
    assert (place / "inside").read_text() == "one that was there is replaced"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_cannot_be_replaced_is_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path / "out", "before")
    rename = Path.rename

    def fails_once_moved(self: Path, target: Path) -> Path:
        if self.suffix != ".old" and target.name == "out":
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr("edgevid.files._exchanged_at_once", lambda *_: False)
    monkeypatch.setattr(Path, "rename", fails_once_moved)
    with pytest.raises(InputError, match="Input/output error"):
        write_folder(tmp_path / "out", "after")
    assert (tmp_path / "out" / "inside").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("model.onnx", "is no .json file"),
        ("weights.safetensors", "is no .json file"),
        ("model.mlpackage/Manifest.json", "is in a Core ML package"),
        ("model.mlpackage/Data/new.json", "is in a Core ML package"),
        ("-", "need the name of a file"),
    ],
)
def test_figures_take_the_place_of_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for made in ("model.onnx", "weights.safetensors", "model.mlpackage/Manifest.json"):
        Path(made).parent.mkdir(exist_ok=True)
        Path(made).write_text("of worth")
    with pytest.raises(InputError, match=says):
        check_json(Path(name), force=True)


def test_figures_replace_older_ones_and_go_to_a_device(tmp_path: Path) -> None:
    (tmp_path / "figures.json").touch()
    check_json(tmp_path / "figures.json", force=True)
    check_json(tmp_path / "figures", force=False)
    check_json(Path(os.devnull), force=True)
    with pytest.raises(InputError, match="give --force"):
        check_json(tmp_path / "figures.json", force=False)


def test_a_file_that_cannot_be_read_is_not_taken_for_one_that_cannot_be_written(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"^\S*sources/gone\.mp4: No such file or directory$"),
        replacing(tmp_path / "out" / "new.json"),
    ):
        (tmp_path / "sources" / "gone.mp4").read_bytes()
    with (
        pytest.raises(InputError, match=r"^cannot write \S*new\.json: "),
        replacing(tmp_path / "new.json") as temporary,
    ):
        (temporary / "below").write_text("")
