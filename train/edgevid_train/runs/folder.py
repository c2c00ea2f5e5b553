"""A run's folder is its own for as long as it lasts: two at once would write over each other's checkpoints.

The lock is the kernel's, on a small file in the folder (`flock`, over NFS a lock of bytes by the server), so that it
ends with its process, however that ends. A sweep's folder and those of its runs are kept apart too.
"""

import contextlib
import errno
import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from edgevid.errors import InputError
from edgevid.files import check_output, take_lock
from edgevid_train.loop import processes
from edgevid_train.loop.interrupt import StoppedError
from edgevid_train.storage import LostError

LOCK = ".edgevid-run.lock"
"""Holds the number of the process and its computer, for the message of another one. Gone when the run ends well."""
_DEPTH = 2
"""OUT/sweep-1-…/seed-0: folders between a sweep and its runs."""
_TAKEN = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}
_HOLDER = re.compile(r"(\d{1,10}) ([!-~]{1,80})\n")

_own: set[Path] = set()
"""Folders that this process holds."""


@contextlib.contextmanager
def run_folder(out: Path, *, force: bool, say: Callable[[str], None]) -> Iterator[None]:
    """Keep `out` from every other run until the end. Of several processes of a run the first does it for all.

    What was made here and has nothing in it in the end is removed. Where the file system knows no locks, or this is
    Windows, `say` takes a warning instead.

    Raises:
        InputError: another run is going on in it, above it or below it; it holds something and `force` is not given; or
            it cannot be written to.
    """
    if not processes.leads():
        yield
        return
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; a run needs a folder of its own")
    check_output(out, force=True)
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    with contextlib.ExitStack() as stack:
        stack.callback(_remove_empty, made)
        stack.enter_context(_held(out, say))
        filled = any(path.name != LOCK for path in out.iterdir())
        check_output(out, force=force or not filled)
        yield


@contextlib.contextmanager
def resumable(command: str, out: Path) -> Iterator[None]:
    """A run that has begun and is stopped, or cannot reach its data any more, says in its one line how to go on."""
    try:
        yield
    except (StoppedError, LostError) as error:
        raise type(error)(f"{error}; it is saved, go on with: edgevid {command} --resume --out {out}") from error


@contextlib.contextmanager
def _held(out: Path, say: Callable[[str], None]) -> Iterator[None]:
    try:
        file, refusal = _taken(out)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from None
    folder = out.resolve()
    try:
        if refusal is not None and refusal.errno in _TAKEN:
            raise _refused(out, file)
        if refusal is not None:
            say(f"warning: {out} cannot be locked ({refusal.strerror}): see to it that no other run writes there")
        with contextlib.suppress(OSError):  # a full disk is told by what matters more
            os.truncate(file, 0)
            os.write(file, f"{os.getpid()} {socket.gethostname() or 'localhost'}\n".encode())
        _own.add(folder)
        try:
            _look_around(folder)
            yield
        finally:
            _own.discard(folder)
            with contextlib.suppress(OSError):
                (out / LOCK).unlink()
    finally:
        os.close(file)


def _taken(out: Path) -> tuple[int, OSError | None]:
    """The lock of a folder, opened, and why it cannot be had, if it cannot. Raises OSError."""
    while True:
        out.mkdir(parents=True, exist_ok=True)
        file = os.open(out / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        refusal = take_lock(file)
        try:
            if refusal is not None or os.path.samestat(os.fstat(file), (out / LOCK).stat()):
                return file, refusal
        except FileNotFoundError:
            pass
        os.close(file)  # whoever held it removed it as we opened it


def _look_around(folder: Path) -> None:
    """Raises InputError when a run is going on in a folder above or below, each after having taken its own."""
    above = [parent / LOCK for parent in folder.parents[:_DEPTH]]
    below = [found for depth in range(1, _DEPTH + 1) for found in folder.glob("*/" * depth + LOCK)]
    for path in (*above, *below):
        if path.parent in _own:
            continue
        try:
            file = os.open(path, os.O_RDWR)
        except OSError:
            continue
        try:
            refusal = take_lock(file, shared=True)
            if refusal is not None and refusal.errno in _TAKEN:
                raise _refused(path.parent, file)
        finally:
            os.close(file)


def _refused(folder: Path, file: int) -> InputError:
    found = _HOLDER.fullmatch(os.pread(file, 100, 0).decode(errors="replace"))
    who = f"process {found[1]} on {found[2]}" if found else "another process"
    return InputError(f"{folder}: a run is going on in it, {who}; wait for it, stop it, or choose another --out")


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()
