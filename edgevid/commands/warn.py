"""How a command tells of what is wrong: one line on standard error, whatever names hold."""

import typer

from edgevid.errors import one_line


def warn(message: str) -> None:
    """Raises OSError where standard error cannot be written."""
    typer.echo(f"edgevid: {one_line(message)}", err=True)
