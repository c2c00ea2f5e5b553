"""The event rule on the command line: options that replace single numbers of the manifest's rule."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgevid.manifest import EventRule

On = Annotated[
    float | None, typer.Option("--on", min=0, max=1, help="Score at which an action starts. Default: the model's.")
]
Off = Annotated[
    float | None, typer.Option("--off", min=0, max=1, help="Score below which it ends. Default: the model's.")
]
MinS = Annotated[
    float | None,
    typer.Option("--min-s", min=0, help="Seconds the score must stay there before it starts. Default: the model's."),
]
CooldownS = Annotated[
    float | None,
    typer.Option("--cooldown-s", min=0, help="Seconds before the same label starts again. Default: the model's."),
]


def overridden(
    rule: "EventRule", on: float | None, off: float | None, min_s: float | None, cooldown_s: float | None
) -> "EventRule":
    """`rule` with the numbers that were given.

    Raises:
        InputError: `off` would be above `on`, or a number is not finite.
    """
    import math

    from edgevid.errors import InputError

    given = {"on": on, "off": off, "min_s": min_s, "cooldown_s": cooldown_s}
    changed = rule.model_copy(update={name: value for name, value in given.items() if value is not None})
    for name, value in given.items():
        if value is not None and not math.isfinite(value):
            raise InputError(f"--{name.replace('_', '-')} is a number, not {value}")
    if changed.off > changed.on:
        hint = "" if on is not None and off is not None else "; give both"
        raise InputError(f"--off {changed.off:g} would be above --on {changed.on:g}{hint}")
    return changed
