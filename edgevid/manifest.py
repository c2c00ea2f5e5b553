"""What a model file says about itself. It travels inside the file: one file to copy, nothing to lose.

The schema is versioned; a reader refuses a version it does not know. `digest` is the SHA-256 of the file with the
digest's own 64 characters set to zero, so that it can stand in the file it describes. A package (a folder, like Core
ML's) is hashed as one file made of its files, sorted by relative path: the path, a zero byte, the size in digits, a
zero byte, the bytes.
"""

import datetime
import json
from collections.abc import Sequence
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from edgevid.errors import InputError, first_fault

SCHEMA: Final = 1
METADATA_KEY = "edgevid.manifest"
"""Key under which the manifest stands in ONNX metadata and in Core ML user-defined metadata."""
NO_DIGEST = "0" * 64
MOST_HELD: Final = 16
"""Frames at most for which one look may stand."""
BACKGROUND = "other"
"""The label of everything that is not an action; it never becomes an event."""

Fraction = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]
Size = Annotated[int, Field(gt=0)]
Activation = Literal["softmax", "sigmoid"]
"""How logits become scores: labels exclude one another, or each is a question of its own."""
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
"""What ONNX and Core ML both take as part of a tensor's name."""
LABEL = r"^\S(.{0,126}\S)?$"
Label = Annotated[str, Field(pattern=LABEL)]
Mark = Annotated[str, Field(pattern=r"^([0-9a-f]{12}|[0-9]{1,20}-[0-9]{1,20})$")]
"""Of one recording or one group; or of drawn clips, from one seed to another."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class InputSpec(_Part):
    """The pixels a model takes. Nobody outside the model normalises them.

    `fit` says how another aspect ratio is brought to `height` x `width`: `stretch`, centre `crop`, or `letterbox` with
    black bars. `filter` is OpenCV's resize filter; `area` averages when it shrinks.
    """

    height: int = Field(gt=0, le=4096)
    width: int = Field(gt=0, le=4096)
    fit: Literal["stretch", "crop", "letterbox"] = "stretch"
    filter: Literal["area", "linear"] = "area"
    colour: Literal["rgb-full-range"] = "rgb-full-range"


class StateSpec(_Part):
    """One tensor that a streaming model carries from step to step; zero at the start of a stream."""

    name: Identifier
    shape: tuple[Size, ...] = Field(min_length=1)
    dtype: Literal["float32", "float16"] = "float32"


class ExitSpec(_Part):
    """A head at which the network may stop. `macs`: multiply-accumulates of one step up to and including this head.

    `threshold`: the exit decides when it is as sure as that (`edgevid.cascade.sureness`); null means that it never
    does. The last exit always decides, whatever its threshold.
    """

    name: Identifier
    macs: int = Field(ge=0)
    threshold: Fraction | None = None


class ClipPool(_Part):
    """How the scores of a clip's steps become the clip's score.

    The score is `last` (the last step), `mean` (over steps), or `peak` (the step at which background is least likely;
    with sigmoid scores each label's highest).
    Before that, scores are averaged over `smooth_s` seconds up to each step, in whole steps. A stream model sees the
    last frame for `settle_s` more: a clip is cut where its action ends, and what tells an action from the beginning of
    a longer one is that it goes no further.
    """

    kind: Literal["last", "mean", "peak"] = "last"
    smooth_s: Seconds = 0.0
    settle_s: Seconds = 0.0


class EventRule(_Part):
    """Scores over time to events: see `edgevid.events`.

    A label's action starts when its smoothed score has been at least `on` for `min_s`, ends when it falls below
    `off`, and the same label starts again no sooner than `cooldown_s` after that end.
    """

    on: Fraction = 0.6
    off: Fraction = 0.3
    min_s: Seconds = 0.0
    cooldown_s: Seconds = 0.5
    smooth_s: Seconds = 0.2

    @model_validator(mode="after")
    def _off_below_on(self) -> Self:
        if self.off > self.on:
            raise ValueError("event rule: off must not be above on")
        return self


class HoldRule(_Part):
    """At how many frames a stream model need not look, while the gate is on: see `edgevid.gate`.

    After a frame at which it looked, what it saw there stands for at most so many more: `quiet` while no action is
    going on or may be beginning, `busy` else.
    """

    quiet: int = Field(default=0, ge=0, le=MOST_HELD)
    busy: int = Field(default=0, ge=0, le=MOST_HELD)


class Calibration(_Part):
    """The promise behind the exit thresholds: with `confidence`, accuracy given up is at most `risk`.

    `n` independent units were looked at, on `date`.
    """

    risk: Fraction
    confidence: Fraction
    n: int = Field(gt=0)
    unit: Literal["recording", "event"] = "recording"
    date: datetime.date | None = None


class Provenance(_Part):
    """What the model was trained on, from which weights and under which licences.

    `trained_on`: marks of the recordings it has seen (see `edgevid_train.marks`); empty when nobody wrote them down.
    """

    data: str
    weights: str
    licences: str
    recipe: str
    trained_on: tuple[Mark, ...] = ()


class Measurement(_Part):
    """One measured figure: which metric, on which split, over how many recordings, with its 95% interval."""

    metric: str
    value: float
    split: str
    n: int = Field(ge=0)
    low: float | None = None
    high: float | None = None
    command: str


class Manifest(_Part):
    """Everything a runtime must know to run a model file, and everything a person must know to trust it."""

    schema_version: Literal[1] = SCHEMA
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    kind: Literal["stream", "clip"]
    labels: tuple[Label, ...] = Field(min_length=2)
    activation: Activation = "softmax"
    input: InputSpec
    rate_hz: float = Field(gt=0, le=240)
    clip_frames: int = Field(gt=0, le=4096)
    """T: frames in a clip; for a stream model the window it can see."""
    states: tuple[StateSpec, ...] = ()
    max_skip_s: Seconds = 1.0
    exits: tuple[ExitSpec, ...] = Field(min_length=1)
    conditional: bool = False
    """Later stages are computed only when no earlier exit is sure: the graph takes the thresholds and stops itself. It
    also takes whether a step looks at its frame at all."""
    hold: HoldRule = HoldRule()
    hold_macs: int = Field(default=0, ge=0)
    """Multiply-accumulates of a step that looks at no frame."""
    clip_pool: ClipPool = ClipPool()
    embedding_size: int = Field(ge=0)
    calibration: Calibration | None = None
    events: EventRule = EventRule()
    provenance: Provenance
    measured: tuple[Measurement, ...] = ()
    digest: str = Field(default=NO_DIGEST, pattern=r"^[0-9a-f]{64}$")

    @field_validator("labels")
    @classmethod
    def _printable(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        # Labels reach terminals and logs: a line feed or an escape sequence in one would forge what stands there.
        for label in labels:
            if not label.isprintable():
                raise ValueError(f"label {label!r} holds characters that cannot be printed")
        return labels

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for what, names in (
            ("label", self.labels),
            ("exit", [e.name for e in self.exits]),
            ("state", [s.name for s in self.states]),
        ):
            repeated = {n for n in names if list(names).count(n) > 1}
            if repeated:
                raise ValueError(f"{what} {sorted(repeated)[0]!r} occurs twice")
        if self.kind == "clip" and self.states:
            raise ValueError("a clip model has no state")
        if max(self.hold.quiet, self.hold.busy) > self.most_held:
            raise ValueError(f"hold: at most {self.most_held} frames, or a state would be older than max_skip_s")
        if "frame" in {s.name for s in self.states}:
            raise ValueError("no state may be called 'frame': that is the picture's input")
        if self.conditional and self.kind == "clip":
            raise ValueError("a clip model computes every exit: it is never conditional")
        if self.conditional and len(self.exits) == 1:
            raise ValueError("a conditional model has exits to choose from: two at least")
        asked = {"hold", *(f"threshold_{e.name}" for e in self.exits)}
        if self.conditional and (taken := {s.name for s in self.states} & asked):
            raise ValueError(f"no state may be called {sorted(taken)[0]!r}: that is an input of a conditional graph")
        return self

    @property
    def background(self) -> int | None:
        """Index of the background label, or None when every label is an action."""
        return self.labels.index(BACKGROUND) if BACKGROUND in self.labels else None

    @property
    def can_hold(self) -> bool:
        """Whether the graph can take a step without looking at a frame."""
        return self.conditional

    @property
    def id(self) -> str:
        """`name@digest`, the digest cut to 12 characters: what events call the model."""
        return f"{self.name}@{self.digest[:12]}"

    def with_thresholds(self, thresholds: Sequence[float | None]) -> Self:
        """The same with other thresholds, one for each exit; the last exit needs none and keeps its own.

        A calibration is a promise about the thresholds before, so it is left out; so is what was measured with others.

        Raises:
            ValueError: there is not one threshold for each exit, or one is outside 0..1.
        """
        if len(thresholds) != len(self.exits):
            raise ValueError(f"{len(self.exits)} exits, but {len(thresholds)} thresholds")
        *inner, last = self.exits
        pairs = zip(inner, thresholds[:-1], strict=True)
        changed = [ExitSpec(name=e.name, macs=e.macs, threshold=t) for e, t in pairs]
        exits = (*changed, last)
        kept = {} if exits == self.exits else {"measured": ()}
        return self.model_copy(update={"exits": exits, "calibration": None} | kept)

    @property
    def most_held(self) -> int:
        """Frames at most for which one look may stand, so that the next one comes within `max_skip_s` of it."""
        return min(MOST_HELD, max(0, int(self.max_skip_s * self.rate_hz + 1e-9) - 1))

    def with_hold(self, rule: HoldRule) -> Self:
        """The same with another rule for holding: as `with_events`."""
        return self._changed("hold", rule)

    def with_events(self, rule: EventRule) -> Self:
        """The same with another event rule.

        A calibration whose units are events is a promise about the rule before, so it is left out; so is what was
        measured under the rule before.
        """
        return self._changed("events", rule)

    def _changed(self, name: str, rule: HoldRule | EventRule) -> Self:
        if rule == getattr(self, name):
            return self
        broken = self.calibration is not None and self.calibration.unit == "event"
        return self.model_copy(update={name: rule, "measured": ()} | ({"calibration": None} if broken else {}))

    def to_json(self) -> str:
        """One line of JSON: what is embedded in a model file."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str, where: str) -> Self:
        """Read and validate. `where` names the file in the message.

        Raises:
            InputError: not JSON, another schema version, an unknown or missing field, or a value out of range.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            raise InputError(f"{where}: its manifest is not JSON") from None
        if not isinstance(data, dict):
            raise InputError(f"{where}: its manifest is not a JSON object")
        if data.get("schema_version") != SCHEMA:
            raise InputError(f"{where}: manifest schema {data.get('schema_version')!r}, this edgevid reads {SCHEMA}")
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            place, what = first_fault(error)
            raise InputError(f"{where}: manifest field {place or 'manifest'}: {what}") from None
