"""What finished runs say of their held-out clips: what the other benchmarks here read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgevid.errors import InputError
from edgevid_train.checkpoint import CV, ROOMS, Kind
from edgevid_train.runs.phases import PREDICTIONS

Clip = tuple[str, float]
"""A held-out clip: its file and where it starts, in seconds."""


def figures_of(run: Path, kind: Kind | None = None) -> dict[str, Any]:
    """Figures and predictions of a run, cross-validated or with one fold held out, after its last phase.

    `kind`: of the network meant; of a run that trained both a teacher and a student the student when not given.

    Raises:
        InputError: there are none.
    """
    rooms = ROOMS[kind] if kind is not None else (*ROOMS["student"], *ROOMS["teacher"])
    for file in (run / CV, *(run / room / PREDICTIONS for room in rooms)):
        if file.is_file():
            found: dict[str, Any] = json.loads(file.read_text())
            return found
    raise InputError(f"{run}: neither {CV} nor {rooms[-1]}/{PREDICTIONS}: no finished run with held-out clips")


def predictions_of(figures: Mapping[str, Any]) -> dict[Clip, dict[str, Any]]:
    """What was said of each clip."""
    return {(said["file"], said.get("start_s", 0.0)): said for said in figures["predictions"]}
