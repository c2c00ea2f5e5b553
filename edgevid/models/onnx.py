"""ONNX Runtime behind the call contract: a session that is checked against its manifest before it computes anything.

What the tensors are called is fixed. A stream graph takes `frame` uint8 `[1, H, W, 3]` and every state by its name, and
gives `logits_EXIT` `[1, L]` per exit, `embedding` `[1, E]` and `next_STATE` per state. A clip graph takes `clip` uint8
`[1, T, H, W, 3]` and gives `logits_EXIT` `[1, T, L]` and `embedding` `[1, T, E]`, or one of each instead of T.

A conditional stream graph stops at the first exit that is sure. It also takes `threshold_EXIT` float32 `[1]` for every
exit but the last, and gives `exit` int64 `[1]`: the index of the exit that decided, the first that is as sure as its
threshold (`edgevid.cascade.sureness`). The logits of exits after it repeat its own. And it takes `hold` bool `[1]`:
whether the frame is not looked at, since what was seen in the one before stands for it; all exits then give the same,
and the last decides.

deploy/README.md has the contract for those who run a file without this package.
"""

from collections.abc import Sequence
from typing import Any, Final, Self

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edgevid.errors import EdgevidError, InputError, first_line
from edgevid.frame import Pixels
from edgevid.manifest import HoldRule, Manifest
from edgevid.models.contract import Outputs, State

_DTYPES: Final = {
    "tensor(uint8)": "uint8",
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}

NEVER_SURE: Final = 2.0
"""What a conditional graph gets for an exit without a threshold: no score reaches it."""

Asked = dict[str, NDArray[Any]]
"""What a conditional graph takes beside frame and state, by name."""
Shape = tuple[int | str | None, ...]
Tensors = dict[str, tuple[str, Shape]]
"""Name -> dtype and shape; a dimension that is not a number is whatever the graph calls it."""


class OnnxStream:
    """A stream model: `step` takes one frame and the state that the step before gave."""

    def __init__(self, session: ort.InferenceSession, manifest: Manifest) -> None:
        self.manifest = manifest
        self._session = session
        self._shape = (manifest.input.height, manifest.input.width, 3)
        self._states = [s.name for s in manifest.states]
        self._exits = len(manifest.exits)
        self._outputs = [
            *(f"logits_{e.name}" for e in manifest.exits),
            *(f"next_{name}" for name in self._states),
            *(["embedding"] if manifest.embedding_size else []),
            *(["exit"] if manifest.conditional else []),
        ]
        self._after = slice(self._exits, self._exits + len(self._states))
        thresholds = {
            f"threshold_{e.name}": np.array([NEVER_SURE if e.threshold is None else e.threshold], np.float32)
            for e in manifest.exits[:-1]
        }
        self._look: Asked = {**thresholds, "hold": np.array([False])} if manifest.conditional else {}
        self._hold: Asked = {**thresholds, "hold": np.array([True])}
        self._nothing = np.zeros((1, *self._shape), np.uint8)

    def with_thresholds(self, thresholds: Sequence[float | None]) -> Self:
        """The same session under a manifest with these thresholds, one for each exit; see `Manifest`."""
        return type(self)(self._session, self.manifest.with_thresholds(thresholds))

    def with_hold(self, rule: HoldRule) -> Self:
        """The same session under a manifest with this rule."""
        return type(self)(self._session, self.manifest.with_hold(rule))

    def zero_state(self) -> State:
        """The state at the start of a stream."""
        return {s.name: np.zeros(s.shape, s.dtype) for s in self.manifest.states}

    def step(self, pixels: Pixels, state: State) -> tuple[Outputs, State]:
        """One frame, uint8 `(height, width, 3)`, through the network; neither argument is changed or kept.

        Raises:
            ValueError: the pixels have another shape or dtype, or the state is not this model's.
            EdgevidError: a conditional graph says that an exit decided which it does not have.
        """
        if pixels.shape != self._shape or pixels.dtype != np.uint8:
            raise ValueError(f"the model takes uint8 {self._shape}, not {pixels.dtype} {pixels.shape}")
        return self._run(np.ascontiguousarray(pixels)[None], state, self._look)

    def hold(self, state: State) -> tuple[Outputs, State]:
        """A step that looks at no frame; the state is neither changed nor kept.

        Raises:
            ValueError: the graph cannot, or the state is not this model's.
        """
        if not self.manifest.can_hold:
            raise ValueError(f"{self.manifest.id} looks at every frame")
        return self._run(self._nothing, state, self._hold)

    def _run(self, frame: NDArray[np.uint8], state: State, asked: Asked) -> tuple[Outputs, State]:
        if len(state) != len(self._states):
            raise ValueError(f"the model's states are {self._states}, not {list(state)}")
        # ONNX Runtime reads contiguous arrays where they lie and copies its outputs once. Binding the outputs to arrays
        # of ours saves that copy and costs more: 2.60 against 2.36 ms a step with 21 states of 118 kB together.
        inputs = {"frame": frame, **state, **asked}
        values = self._session.run(self._outputs, inputs)
        logits = np.concatenate(values[: self._exits])
        after = dict(zip(self._states, values[self._after], strict=True))
        embedding = values[self._after.stop][0] if self.manifest.embedding_size else np.zeros(0, np.float32)
        return Outputs(logits, embedding, self._decided(values[-1]) if self.manifest.conditional else None), after

    def _decided(self, exit_output: NDArray[np.int64]) -> int:
        decided = int(exit_output[0])
        if not 0 <= decided < self._exits:
            raise EdgevidError(f"{self.manifest.id}: exit {decided} decided, but its exits are 0 to {self._exits - 1}")
        return decided


class OnnxClip:
    """A clip model: `run` takes T frames at once."""

    def __init__(self, session: ort.InferenceSession, manifest: Manifest) -> None:
        self.manifest = manifest
        self._session = session
        self._shape = (manifest.clip_frames, manifest.input.height, manifest.input.width, 3)
        self._exits = len(manifest.exits)
        self._outputs = [
            *(f"logits_{e.name}" for e in manifest.exits),
            *(["embedding"] if manifest.embedding_size else []),
        ]

    def run(self, clip: NDArray[np.uint8]) -> Outputs:
        """uint8 `(T, height, width, 3)` through the network.

        Raises:
            ValueError: the clip has another shape or dtype.
        """
        if clip.shape != self._shape or clip.dtype != np.uint8:
            raise ValueError(f"the model takes uint8 {self._shape}, not {clip.dtype} {clip.shape}")
        values = self._session.run(self._outputs, {"clip": np.ascontiguousarray(clip)[None]})
        logits = np.concatenate(values[: self._exits])
        embedding = values[-1][0] if self.manifest.embedding_size else np.zeros((logits.shape[1], 0), np.float32)
        return Outputs(logits, embedding)


def open_onnx(data: bytes, manifest: Manifest, where: str, *, threads: int = 1) -> OnnxStream | OnnxClip:
    """Make a model of the bytes of an ONNX file. `where` names the file in messages.

    Raises:
        InputError: ONNX Runtime cannot run it, or manifest and graph do not fit.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # Threads that spin while they wait for the next frame would keep cores, and a battery, busy.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 4  # what goes wrong is raised; nothing is printed beside it
    try:
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no base class below Exception
        raise InputError(f"{where}: ONNX Runtime cannot run it: {first_line(error)}") from None
    check_fit(session, manifest, where)
    return OnnxStream(session, manifest) if manifest.kind == "stream" else OnnxClip(session, manifest)


def signature(model: OnnxStream | OnnxClip) -> tuple[Tensors, Tensors]:
    """What the graph takes and what it gives, in its order."""
    return _tensors(model._session.get_inputs()), _tensors(model._session.get_outputs())


def check_fit(session: Any, manifest: Manifest, where: str) -> None:
    """Compare the graph's inputs and outputs with what the manifest says.

    Raises:
        InputError: naming the first tensor that is missing, left over, or of another shape or dtype.
    """
    inputs, outputs = _tensors(session.get_inputs()), _tensors(session.get_outputs())
    steps = 1
    if manifest.kind == "clip":
        found = outputs.get(f"logits_{manifest.exits[0].name}", ("", ()))[1]
        steps = 1 if found[1:2] == (1,) else manifest.clip_frames
    for kind, has, wants in (
        ("input", inputs, _wanted_inputs(manifest)),
        ("output", outputs, _wanted_outputs(manifest, steps)),
    ):
        for name in wants:
            if name not in has:
                raise InputError(f"{where}: manifest and graph do not fit: the graph has no {kind} {name!r}")
        for name in has:
            if name not in wants:
                raise InputError(f"{where}: manifest and graph do not fit: the manifest explains no {kind} {name!r}")
            if has[name] != wants[name]:
                note = f" for its {len(manifest.labels)} labels" if name.startswith("logits_") else ""
                raise InputError(
                    f"{where}: manifest and graph do not fit: {kind} {name!r} is {_text(has[name])}, "
                    f"the manifest says {_text(wants[name])}{note}"
                )


def _wanted_inputs(manifest: Manifest) -> Tensors:
    picture = (manifest.input.height, manifest.input.width, 3)
    if manifest.kind == "clip":
        return {"clip": ("uint8", (1, manifest.clip_frames, *picture))}
    wanted: Tensors = {"frame": ("uint8", (1, *picture))} | {s.name: (s.dtype, s.shape) for s in manifest.states}
    if manifest.conditional:
        wanted |= {f"threshold_{e.name}": ("float32", (1,)) for e in manifest.exits[:-1]} | {"hold": ("bool", (1,))}
    return wanted


def _wanted_outputs(manifest: Manifest, steps: int) -> Tensors:
    lead = (1,) if manifest.kind == "stream" else (1, steps)
    wanted: Tensors = {f"logits_{e.name}": ("float32", (*lead, len(manifest.labels))) for e in manifest.exits}
    if manifest.embedding_size:
        wanted["embedding"] = ("float32", (*lead, manifest.embedding_size))
    if manifest.conditional:
        wanted["exit"] = ("int64", (1,))
    return wanted | {f"next_{s.name}": (s.dtype, s.shape) for s in manifest.states}


def _tensors(nodes: list[Any]) -> Tensors:
    return {node.name: (_DTYPES.get(node.type, node.type), tuple(node.shape)) for node in nodes}


def _text(tensor: tuple[str, Shape]) -> str:
    dtype, shape = tensor
    return f"{dtype} [{', '.join(map(str, shape))}]"
