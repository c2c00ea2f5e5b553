"""Options that several commands share."""

from typing import Annotated

import typer

Gate = Annotated[bool, typer.Option("--gate/--no-gate", help="Compute nothing while nothing moves. Default: --gate.")]
Threshold = Annotated[
    float | None,
    typer.Option(metavar="SCORE", help="From this score on an exit before the last decides. Default: the model's own."),
]
