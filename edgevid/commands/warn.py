"""How a command tells of what is wrong: one line on standard error, whatever names hold."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from edgevid.errors import EdgevidError, one_line


def warn(message: str) -> None:
    """Raises OSError where standard error cannot be written."""
    typer.echo(f"edgevid: {one_line(message)}", err=True)


@contextmanager
def warned() -> Iterator[None]:
    """Inside, what fails is told and stops nothing: something worse is about to be told."""
    try:
        yield
    except EdgevidError as error:
        warn(str(error))
