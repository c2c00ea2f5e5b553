"""Running one command, in this process as the command line would, or in one of its own."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import typer
from typer.testing import CliRunner

from edgevid.errors import EdgevidError


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


def run_command(register: Callable[[typer.Typer], None], *args: object) -> Ran:
    """`run_command(bench.register, "bench", model, "--steps", 3)`. An error that is no EdgevidError is raised."""
    app = typer.Typer()
    app.callback()(lambda: None)  # with it a single command is called by its name, as among others
    register(app)
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    if isinstance(result.exception, EdgevidError):
        return Ran(result.exception.exit_status, result.stdout, result.stderr + f"{result.exception}\n")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


@contextlib.contextmanager
def started(command: Sequence[str], **how: Any) -> Iterator[subprocess.Popen[Any]]:
    """A process that a test which fails does not wait for; `how` as for `Popen`."""
    with subprocess.Popen(command, **how) as process:
        try:
            yield process
        finally:
            process.kill()
