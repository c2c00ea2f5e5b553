"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Threads = Annotated[int, typer.Option(min=1, max=256, help="Threads of the network.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the result to this file.", show_default=False)]
Force = Annotated[bool, typer.Option("--force", help="Replace what exists.")]

Gate = Annotated[
    bool,
    typer.Option("--gate/--no-gate", help="Look at no more than must be: not while nothing moves. Default: --gate."),
]
Hold = Annotated[
    str | None,
    typer.Option(
        metavar="QUIET,BUSY",
        help="Frames not looked at after one that is: while nothing goes on, else. Default: the model's own.",
    ),
]
Threshold = Annotated[
    str | None,
    typer.Option(
        metavar="SCORE",
        help="From this score on an exit decides; or one for each but the last: never,0.8. Default: the model's own.",
    ),
]
