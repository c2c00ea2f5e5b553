"""Words that several commands share."""

from typing import Annotated

import typer

Gate = Annotated[bool, typer.Option("--gate/--no-gate", help="Compute nothing while nothing moves. Default: --gate.")]
