"""A student's manifest: what validation scores by, and what export writes into the model file."""

from collections.abc import Sequence

from pydantic import ValidationError

from edgevid.errors import InputError, first_fault
from edgevid.manifest import ExitSpec, Manifest, Measurement, Provenance, StateSpec
from edgevid_train.models.student import Student, macs_of_hold, macs_per_exit
from edgevid_train.recipe import Recipe

NOT_STATED = "not stated"
"""What a manifest says of data and licences when a recipe says nothing: a recipe may be for anybody's videos."""


def describe(
    student: Student,
    recipe: Recipe,
    labels: tuple[str, ...],
    measured: tuple[Measurement, ...] = (),
    trained_on: tuple[str, ...] = (),
) -> Manifest:
    """The manifest of the stream graph, not yet sealed; no exit decides before the last until it is calibrated.

    `trained_on`: the marks that stand in the checkpoint.

    Raises:
        InputError: the recipe asks for what no manifest may say.
    """
    macs = macs_per_exit(student)
    try:
        return _manifest(student, recipe, labels, macs, measured, trained_on)
    except ValidationError as error:
        place, what = first_fault(error)
        raise InputError(
            f"the model of this recipe cannot be described: {place + ': ' if place else ''}{what}"
        ) from None


def _manifest(
    student: Student,
    recipe: Recipe,
    labels: tuple[str, ...],
    macs: Sequence[int],
    measured: tuple[Measurement, ...],
    trained_on: tuple[str, ...],
) -> Manifest:
    config = student.config
    return Manifest(
        name=recipe.name,
        kind="stream",
        labels=labels,
        activation=recipe.task.activation,
        input=config.input,
        rate_hz=config.rate_hz,
        clip_frames=config.reach,
        states=tuple(StateSpec(name=name, shape=shape) for name, shape in student.state_shapes.items()),
        exits=tuple(ExitSpec(name=name, macs=n) for name, n in zip(student.exit_names, macs, strict=True)),
        hold=recipe.hold,
        hold_macs=macs_of_hold(student) if len(macs) > 1 else 0,
        clip_pool=recipe.clip_pool,
        embedding_size=student.embedding_size,
        events=recipe.events,
        provenance=Provenance(
            data=recipe.about.data or NOT_STATED,
            weights=f"{config.backbone}: {student.weights_from}",
            licences=recipe.about.licences or NOT_STATED,
            recipe=recipe.name,
            trained_on=trained_on,
        ),
        measured=measured,
    )
