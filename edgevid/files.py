"""Writing files so that an interruption or a full disk loses nothing that was there before."""

import contextlib
import errno
import fnmatch
import json
import os
import shutil
import stat
import sys
import tempfile
import threading
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from edgevid.errors import InputError

_AT_HERE, _EXCHANGE, _SWAP = -100, 2, 2
"""AT_FDCWD and RENAME_EXCHANGE of Linux's renameat2(2), RENAME_SWAP of macOS's renamex_np(2)."""
SIGN = '<meta name="generator" content="edgevid">'
"""By which a page is known as ours: many a folder has an index.html."""
_LONGEST = 255
"""Bytes of a name, on all file systems that matter."""
_SHORT = 32
"""Letters of a name that stand in that of its temporary file, which has to be short enough, too."""
_UNKNOWN = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
"""What they say on file systems that cannot exchange two names."""


def exists(path: str | Path) -> bool:
    """Whether something is there; no where nobody may look, or the name is longer than any could be."""
    try:
        return Path(path).exists()
    except OSError:
        return False


def is_folder(path: str | Path) -> bool:
    """Whether a folder is there; no where nobody may look, or the name is longer than any could be."""
    try:
        return Path(path).is_dir()
    except OSError:
        return False


def passes_on(path: str | Path) -> bool:
    """Whether this is a device or a pipe: what is written there goes elsewhere, and nothing may take its place."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def check_output(path: Path, *, force: bool) -> None:
    """Fail now, not after hours of work, when `path` could not be written at the end.

    Raises:
        InputError: `path` exists and `force` is not given, or its folder can neither be written nor be made.
    """
    if passes_on(path):
        return
    if exists(path) and not force:
        raise InputError(f"{path} exists; give --force to replace it")
    if len(os.fsencode(path.name)) > _LONGEST:
        raise InputError(f"cannot write {path.name[:_SHORT]}…: a name has at most {_LONGEST} bytes")
    folder = Path(os.path.realpath(path)).parent
    while not exists(folder) and folder != folder.parent:
        folder = folder.parent
    if not is_folder(folder):
        raise InputError(f"cannot write {path}: {folder} is not a folder")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from None


def check_different(*outputs: str | Path | None) -> None:
    """Raises InputError when two of these outputs are one file; `-` and None are none."""
    files = [os.path.realpath(path) for path in outputs if path is not None and str(path) != "-"]
    if len(set(files)) < len(files):
        raise InputError("two outputs are one file: name another for each")


def check_file(path: Path, *, force: bool) -> None:
    """As `check_output`, for a single file. Raises InputError, of a folder too, whatever `force` says."""
    if is_folder(path):
        raise InputError(f"{path} is a folder; give the name of a file")
    check_output(path, force=force)


def check_json(path: Path, *, force: bool) -> None:
    """As `check_file`, for figures (`--json`, `--metrics`), which never take the place of a model or of a table.

    Raises:
        InputError: as `check_file`; it is `-`; or what is there is no .json file, or lies in a Core ML package.
    """
    if str(path) == "-":
        raise InputError("figures need the name of a file, and - is none")
    if any(folder.suffix == ".mlpackage" for folder in path.absolute().parents):
        raise InputError(f"{path} is in a Core ML package, which would not be whole any more: name another file")
    check_file(path, force=force)
    if exists(path) and path.suffix.lower() != ".json" and not passes_on(path):
        raise InputError(f"{path} is no .json file, and --force does not replace it with figures: name another file")


def check_files(out: Path, json: Path | None, *, force: bool) -> None:
    """As `check_file`, for a file and, as `check_json`, for its figures: two different ones. Raises InputError."""
    check_different(out, json)
    check_file(out, force=force)
    if json:
        check_json(json, force=force)


def check_folder(path: Path, mark: str, parts: Collection[str] = (), *, force: bool) -> None:
    """As `check_output`, for a folder that is replaced as a whole; an empty one needs no `force`.

    `mark`: the name of a file that each such folder holds, with `SIGN` in it where it is a page; `parts`: names, or
    patterns of names, of what else is written into it. A folder without the one, or with anything but the others, is
    something else, data or somebody's home, and is not replaced whatever `force` says.

    Raises:
        InputError: as above, or as `check_output`.
    """
    if not exists(path):
        check_output(path, force=force)
        return
    if not is_folder(path):
        raise InputError(f"{path} is a file, and what is written is a folder")
    here = Path.cwd()
    if path.resolve() in (here, *here.parents):
        raise InputError(f"{path} is the folder that this runs in, or above it, and would be replaced: name another")
    held = sorted(inside.name for inside in path.iterdir() if inside.name != ".DS_Store")  # a Mac looked into it
    foreign = [name for name in held if not any(fnmatch.fnmatch(name, part) for part in (mark, *parts))]
    what = None
    if foreign:
        what = foreign[0]
    elif held and mark not in held:
        what = f"no {mark}"
    elif held and not _is_ours(path / mark):
        what = f"somebody's {mark}"
    if force and what is not None:
        raise InputError(f"{path} holds {what}: this command did not write it, and --force does not replace it")
    check_output(path, force=force or not held)


def _is_ours(mark: Path) -> bool:
    """Whether a page bears our sign; of other files nobody else's are called so."""
    try:
        return mark.suffix != ".html" or SIGN in mark.read_text(errors="replace")
    except OSError:  # a folder, or nobody may look
        return False


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it becomes `path` in one rename, on any failure it is removed.

    What is written there may be a file or a folder. The ending is kept, since writers look at it. A link stays and
    what it points to is replaced; a device or a pipe stays and is given what was written. Where the system cannot
    exchange two folders (Linux and macOS can), there is for a moment none, and the old one is `.NAME.PID.old`.

    Raises:
        InputError: the disk is full, the place cannot be written, or somebody has made a folder there meanwhile.
    """
    special = passes_on(path)
    place = _private(path) if special else Path(os.path.realpath(path))
    was_there = exists(place)
    own = f"{os.getpid()}-{threading.get_ident()}.tmp"
    temporary = place.with_name(f".{place.stem[:_SHORT]}.{own}{path.suffix[:_SHORT]}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if special:
            with temporary.open("rb") as written, path.open("wb") as taker:
                shutil.copyfileobj(written, taker)
        elif temporary.is_dir() and place.is_dir():
            if not was_there and any(place.iterdir()):
                raise InputError(f"{path} was written by another process meanwhile, and is left as it is")
            _exchange(temporary, place)
        else:
            temporary.replace(place)
    except OSError as error:
        if _is_another(error.filename, (path, place, temporary)):
            raise InputError(f"{os.fsdecode(error.filename)}: {error.strerror}") from error
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if is_folder(temporary):
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):  # not there, or nothing can be there: the reason is being told
                temporary.unlink()
        if special:
            shutil.rmtree(place.parent, ignore_errors=True)


def _is_another(named: object, places: Iterable[Path]) -> bool:
    """Whether an error is about a file or folder that has nothing to do with these."""
    if not isinstance(named, str | bytes | os.PathLike):
        return False
    file = Path(os.fsdecode(named))
    return not any(file.is_relative_to(place) or place.is_relative_to(file) for place in places)


def _private(path: Path) -> Path:
    """Where to write what goes to a device: beside it nothing may be writable, and /tmp has other users."""
    try:
        return Path(tempfile.mkdtemp()) / path.name
    except OSError as error:
        raise InputError(f"cannot write {path}: no temporary folder: {error.strerror or error}") from None


def _exchange(new: Path, old: Path) -> None:
    """Each of the two folders takes the other's name, in one step where the system can."""
    if os.name == "posix" and _exchanged_at_once(os.fsencode(new), os.fsencode(old)):
        return
    aside = old.with_name(f".{old.name}.{os.getpid()}.old")
    old.rename(aside)
    try:
        new.rename(old)
    except BaseException:
        aside.rename(old)
        raise
    aside.rename(new)


def _exchanged_at_once(one: bytes, other: bytes) -> bool:
    """Whether the system could. Python has no such call of its own."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        failed = libc.renamex_np(one, other, _SWAP)
    elif hasattr(libc, "renameat2"):
        failed = libc.renameat2(_AT_HERE, one, _AT_HERE, other, _EXCHANGE)
    else:
        return False
    if failed and ctypes.get_errno() not in _UNKNOWN:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return not failed


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 through a temporary name. Raises InputError when that is impossible."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")  # a file's name may be no text


def write_json(path: Path, data: object) -> None:
    """Write `data` as indented JSON, in ASCII, through a temporary name. Raises InputError when that is impossible."""
    write_text(path, json.dumps(data, indent=2) + "\n")


def take_lock(file: int, *, shared: bool = False) -> OSError | None:
    """Lock an open file, by its descriptor, until it is closed. Returns why it cannot be locked, if it cannot."""
    try:
        import fcntl
    except ImportError:  # Windows
        return OSError(errno.ENOSYS, "not on this system")
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        return error
    return None
