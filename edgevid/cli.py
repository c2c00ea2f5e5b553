"""Words on the command line -> calls. No logic lives here."""

import typer

app = typer.Typer(name="edgevid", no_args_is_help=True, add_completion=False)


def main() -> None:
    """Entry point of the `edgevid` command."""
    app()
