"""Options that several commands share."""

from typing import Annotated

import typer

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
