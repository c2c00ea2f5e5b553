"""Tiny, real ONNX models that need no training: they name the colour that a video shows.

    path = tiny_stream_model(tmp_path / "tiny.onnx")         # frame by frame, state carried
    path = tiny_clip_model(tmp_path / "tiny.clip.onnx")      # the same function of T frames at once
    path = tiny_conditional_model(tmp_path / "tiny.onnx")    # the stream that stops at `early` where that is sure

They compute the frame's mean colour and let it leak into a running mean, `mean = leak * mean + (1 - leak) * colour`,
so what they say depends on their state: half a second of red gives one `red`, grey gives `other`. From a zero state
stream and clip agree step by step; so does the conditional one while it never stops early. Each has two exits: `early`
sees the frame alone, `final` the running mean. All are sealed.

A test that wants a manifest of its own passes `tiny_manifest("stream", rate_hz=15.0, events=EventRule(on=0.9))`.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgevid.frame import Frame
from edgevid.manifest import METADATA_KEY, ClipPool, EventRule, ExitSpec, InputSpec, Manifest, Provenance, StateSpec
from edgevid.models.contract import ClipModel, StreamModel
from edgevid.recognise import ClipScores, score_clip
from edgevid.seal import seal

LABELS = ("red", "green", "blue", "other")
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "other": (128, 128, 128)}
"""Label -> RGB of a picture that deserves it."""
LEAK = 0.5
HEIGHT, WIDTH, T = 24, 32, 8

# Logits are GAIN * (WEIGHT @ colour + BIAS) of a colour in 0..1. A pure colour wins by 0.6 over `other`, grey loses by
# 0.4 against it; GAIN makes 0.99 of the first and 0.97 of the second.
GAIN = 12.0
WEIGHT = np.array([[1, -0.5, -0.5, 0], [-0.5, 1, -0.5, 0], [-0.5, -0.5, 1, 0]], np.float32)
BIAS = np.array([0, 0, 0, 0.4], np.float32)


def tiny_manifest(kind: Literal["stream", "clip"], **changes: Any) -> Manifest:
    """The manifest of a tiny model, its fields replaced by `changes`; 10 Hz, T = 8, 24x32 pixels."""
    fields: dict[str, Any] = {
        "name": "tiny" if kind == "stream" else "tiny-clip",
        "kind": kind,
        "labels": LABELS,
        "input": InputSpec(height=HEIGHT, width=WIDTH),
        "rate_hz": 10.0,
        "clip_frames": T,
        "states": (StateSpec(name="mean", shape=(1, 3)), StateSpec(name="last", shape=(1, 3, 1, 1)))
        if kind == "stream"
        else (),
        "exits": (ExitSpec(name="early", macs=12), ExitSpec(name="final", macs=24)),
        "clip_pool": ClipPool(kind="peak"),
        "embedding_size": 3,
        "events": EventRule(on=0.6, off=0.3, min_s=0.0, cooldown_s=0.3, smooth_s=0.0),
        "provenance": Provenance(data="none", weights="written by hand", licences="MIT", recipe="tests/tiny_models.py"),
    }
    return Manifest(**(fields | changes))


def tiny_stream_model(path: Path, manifest: Manifest | None = None) -> Path:
    """Write a sealed stream model. States: `mean`, the running mean; `last`, the colour of the frame before.

    `embedding` is the frame's colour minus the one before, 0..1.
    """
    nodes = [
        *_colour("frame"),  # [1, 3]
        helper.make_node("Mul", ["mean", "leak"], ["kept"]),
        helper.make_node("Mul", ["colour", "fresh"], ["added"]),
        helper.make_node("Add", ["kept", "added"], ["next_mean"]),
        helper.make_node("Reshape", ["last", "row"], ["before"]),
        helper.make_node("Sub", ["colour", "before"], ["embedding"]),
        helper.make_node("Reshape", ["colour", "column"], ["next_last"]),
        *_head("colour", "early"),
        *_head("next_mean", "final"),
    ]
    floats = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "tiny_stream",
        [
            helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, HEIGHT, WIDTH, 3]),
            helper.make_tensor_value_info("mean", floats, [1, 3]),
            helper.make_tensor_value_info("last", floats, [1, 3, 1, 1]),
        ],
        [
            helper.make_tensor_value_info("logits_early", floats, [1, 4]),
            helper.make_tensor_value_info("logits_final", floats, [1, 4]),
            helper.make_tensor_value_info("embedding", floats, [1, 3]),
            helper.make_tensor_value_info("next_mean", floats, [1, 3]),
            helper.make_tensor_value_info("next_last", floats, [1, 3, 1, 1]),
        ],
        _constants(leak=[LEAK], fresh=[1 - LEAK], row=[1, 3], column=[1, 3, 1, 1], axes=[1, 2]),
    )
    return save(graph, manifest or tiny_manifest("stream"), path)


def tiny_conditional_model(path: Path, manifest: Manifest | None = None) -> Path:
    """Write a sealed stream model with an `If`: where `early` is sure, the running mean is not computed and stays.

    `embedding` is the running mean. Held, it sees the colour of the frame before once more, and does not stop early.
    """
    floats, ints = TensorProto.FLOAT, TensorProto.INT64
    stop = _branch(
        "stop",
        helper.make_node("Identity", ["logits_early"], ["stop_logits"]),
        helper.make_node("Identity", ["mean"], ["stop_mean"]),
        helper.make_node("Identity", ["first"], ["stop_exit"]),
    )
    go_on = _branch(
        "go_on",
        helper.make_node("Mul", ["mean", "leak"], ["kept"]),
        helper.make_node("Mul", ["colour", "fresh"], ["added"]),
        helper.make_node("Add", ["kept", "added"], ["go_on_mean"]),
        helper.make_node("MatMul", ["go_on_mean", "weight"], ["product_final"]),
        helper.make_node("Add", ["product_final", "bias"], ["go_on_logits"]),
        helper.make_node("Identity", ["second"], ["go_on_exit"]),
    )
    nodes = [
        *_colour("frame", "seen"),
        helper.make_node("Reshape", ["last", "row"], ["colour_before"]),
        helper.make_node("Where", ["hold", "colour_before", "seen"], ["colour"]),
        *_head("colour", "early"),
        helper.make_node("Softmax", ["logits_early"], ["scores_early"]),
        helper.make_node("ReduceMax", ["scores_early", "labels_axis"], ["best_early"], keepdims=0),
        helper.make_node("GreaterOrEqual", ["best_early", "threshold_early"], ["sure_if_asked"]),
        helper.make_node("Not", ["hold"], ["asked"]),
        helper.make_node("And", ["sure_if_asked", "asked"], ["sure"]),
        helper.make_node("If", ["sure"], ["logits_final", "next_mean", "exit"], then_branch=stop, else_branch=go_on),
        helper.make_node("Identity", ["next_mean"], ["embedding"]),
        helper.make_node("Reshape", ["colour", "column"], ["next_last"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny_conditional",
        [
            helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, HEIGHT, WIDTH, 3]),
            helper.make_tensor_value_info("mean", floats, [1, 3]),
            helper.make_tensor_value_info("last", floats, [1, 3, 1, 1]),
            helper.make_tensor_value_info("threshold_early", floats, [1]),
            helper.make_tensor_value_info("hold", TensorProto.BOOL, [1]),
        ],
        [
            helper.make_tensor_value_info("logits_early", floats, [1, 4]),
            helper.make_tensor_value_info("logits_final", floats, [1, 4]),
            helper.make_tensor_value_info("embedding", floats, [1, 3]),
            helper.make_tensor_value_info("next_mean", floats, [1, 3]),
            helper.make_tensor_value_info("next_last", floats, [1, 3, 1, 1]),
            helper.make_tensor_value_info("exit", ints, [1]),
        ],
        _constants(
            leak=[LEAK],
            fresh=[1 - LEAK],
            row=[1, 3],
            column=[1, 3, 1, 1],
            axes=[1, 2],
            labels_axis=[1],
            first=[0],
            second=[1],
        ),
    )
    return save(graph, manifest or tiny_manifest("stream", conditional=True), path)


def tiny_clip_model(path: Path, manifest: Manifest | None = None, *, one_score: bool = False) -> Path:
    """Write a sealed clip model; `one_score` makes it give the last step's outputs only (T = 1 on the output side)."""
    steps = np.arange(T)
    age = steps[:, None] - steps[None, :]
    # Row t holds the weight of every frame in the running mean at t: what the stream's recursion unrolls to.
    unrolled = np.where(age >= 0, (1 - LEAK) * LEAK ** np.maximum(age, 0), 0).astype(np.float32)
    outputs = slice(T - 1, T) if one_score else slice(0, T)
    n = 1 if one_score else T
    nodes = [
        *_colour("clip"),  # [1, T, 3]
        helper.make_node("MatMul", ["unrolled", "colour"], ["means"]),  # [1, n, 3]
        helper.make_node("MatMul", ["select", "colour"], ["now"]),
        helper.make_node("MatMul", ["difference", "colour"], ["embedding"]),
        *_head("now", "early"),
        *_head("means", "final"),
    ]
    floats = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "tiny_clip",
        [helper.make_tensor_value_info("clip", TensorProto.UINT8, [1, T, HEIGHT, WIDTH, 3])],
        [
            helper.make_tensor_value_info("logits_early", floats, [1, n, 4]),
            helper.make_tensor_value_info("logits_final", floats, [1, n, 4]),
            helper.make_tensor_value_info("embedding", floats, [1, n, 3]),
        ],
        [
            *_constants(axes=[2, 3]),
            numpy_helper.from_array(unrolled[outputs], "unrolled"),
            numpy_helper.from_array(np.eye(T, dtype=np.float32)[outputs], "select"),
            numpy_helper.from_array((np.eye(T) - np.eye(T, k=-1)).astype(np.float32)[outputs], "difference"),
        ],
    )
    return save(graph, manifest or tiny_manifest("clip"), path)


def damage(path: Path, kind: Literal["stream", "clip"]) -> Path:
    """The model in `path`, a stream's or a clip's, with biases that are no numbers."""
    model = onnx.load(path)
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "bias")
    bias.CopyFrom(numpy_helper.from_array(np.full(4, np.nan, np.float32), "bias"))
    return save(model.graph, tiny_manifest(kind), path)


def save(graph: onnx.GraphProto, manifest: Manifest | None, path: Path) -> Path:
    """Write `graph` as a model file, sealed when it has a manifest, which need not fit: so faulty files are made."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if manifest is not None:
        helper.set_model_props(model, {METADATA_KEY: manifest.to_json()})
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    if manifest is not None:
        seal(path)
    return path


def coloured_frames(*periods: tuple[str, int], height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """uint8 `(T, height, width, 3)`: `coloured_frames(("other", 9), ("red", 8))` is nine grey frames and eight red."""
    return np.concatenate(
        [np.full((count, height, width, 3), COLOURS[label], np.uint8) for label, count in periods], axis=0
    )


def score_frames(frames: NDArray[np.uint8], model: StreamModel | ClipModel) -> ClipScores:
    """`score_clip` of frames that are already at the model's rate and size, uint8 `(T, height, width, 3)`."""
    rate_hz = model.manifest.rate_hz
    return score_clip((Frame(pixels, i / rate_hz, i) for i, pixels in enumerate(frames)), model)[0]


def _constants(**values: list[float] | list[int]) -> list[TensorProto]:
    """Initializers by name (int64 for shapes and axes), with those that every head needs."""
    arrays = {name: np.array(v, np.int64 if isinstance(v[0], int) else np.float32) for name, v in values.items()}
    arrays |= {"weight": GAIN * WEIGHT, "bias": GAIN * BIAS, "white": np.array([255.0], np.float32)}
    return [numpy_helper.from_array(array, name) for name, array in arrays.items()]


def _colour(pixels: str, gives: str = "colour") -> list[onnx.NodeProto]:
    """Mean colour in 0..1 over the two picture axes, which the initializer `axes` names."""
    return [
        helper.make_node("Cast", [pixels], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float", "axes"], ["grey_levels"], keepdims=0),
        helper.make_node("Div", ["grey_levels", "white"], [gives]),
    ]


def _branch(name: str, *nodes: onnx.NodeProto) -> onnx.GraphProto:
    """One side of the conditional model's `If`; it takes what it needs from around it."""
    outputs = [
        helper.make_tensor_value_info(f"{name}_logits", TensorProto.FLOAT, [1, 4]),
        helper.make_tensor_value_info(f"{name}_mean", TensorProto.FLOAT, [1, 3]),
        helper.make_tensor_value_info(f"{name}_exit", TensorProto.INT64, [1]),
    ]
    return helper.make_graph(list(nodes), name, [], outputs)


def _head(feature: str, exit_name: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("MatMul", [feature, "weight"], [f"product_{exit_name}"]),
        helper.make_node("Add", [f"product_{exit_name}", "bias"], [f"logits_{exit_name}"]),
    ]
