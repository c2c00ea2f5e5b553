"""The commands that deployment adds to the `edgevid` command line."""

import typer


def register(app: typer.Typer) -> None:
    """Called once by `edgevid.cli` through the entry-point group `edgevid.commands`; imports nothing heavy."""
