"""Options that several commands share."""

from typing import Annotated

import typer

Gate = Annotated[
    bool,
    typer.Option("--gate/--no-gate", help="Look at no more than must be: not while nothing moves. Default: --gate."),
]
Hold = Annotated[
    int | None,
    typer.Option(metavar="FRAMES", help="For so many after each look what was seen stands. Default: the model's."),
]
Threshold = Annotated[
    float | None,
    typer.Option(metavar="SCORE", help="From this score on an exit before the last decides. Default: the model's own."),
]
