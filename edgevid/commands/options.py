"""Options that several commands share."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgevid.models.contract import ClipModel, StreamModel

Gate = Annotated[bool, typer.Option("--gate/--no-gate", help="Compute nothing while nothing moves. Default: --gate.")]
Threshold = Annotated[
    float | None,
    typer.Option(metavar="SCORE", help="From this score on an exit before the last decides. Default: the model's own."),
]


def stopping(network: "StreamModel | ClipModel", threshold: float | None) -> "StreamModel | ClipModel":
    """The network with this threshold at every exit but the last; as it is where none is given.

    Raises:
        InputError: no such score, or no exit before the last.
    """
    from edgevid.errors import InputError
    from edgevid.models.contract import StreamModel

    if threshold is None:
        return network
    if not 0 <= threshold <= 1:
        raise InputError(f"--threshold is a score from 0 to 1, not {threshold}")
    exits = network.manifest.exits
    if not isinstance(network, StreamModel) or len(exits) < 2:
        raise InputError(f"--threshold is for stream models with several exits, and {network.manifest.name} is none")
    return network.with_thresholds([threshold] * len(exits))
