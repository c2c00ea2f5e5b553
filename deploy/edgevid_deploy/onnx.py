"""A student to ONNX files: the stream graph, and the clip graph of the same weights, with the manifest inside.

What an exporter is not to be trusted with is checked after it has run: `torch.onnx.export` may come back with another
opset than it was asked for, with other names, and drops in silence what a module changes in place.
"""

import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import nn

from edgevid.errors import CheckFailedError
from edgevid.files import replacing
from edgevid.manifest import METADATA_KEY, Manifest
from edgevid.models.load import load
from edgevid.seal import seal
from edgevid_deploy.conditional import Tensors, conditional_graph, graphs
from edgevid_deploy.step import PixelClip, PixelStep, input_names, output_names
from edgevid_train.models.student import Student

Precision = Literal["fp32", "fp16"]

OPSET = 18
"""The opset that torch's exporter writes without converting, and that every ONNX Runtime since 1.14 reads."""
_LEAST_HALVED = 256
"""Smaller tensors (biases, constants of the normalisation) stay float32: halving them would save nothing."""


def export_onnx(student: Student, manifest: Manifest, path: Path, *, precision: Precision = "fp32") -> Manifest:
    """Write the graph that `manifest` describes as one sealed file, under a temporary name until it has been checked.

    Args:
        precision: `fp16` stores the weights in half the bytes; they are cast when a session loads, and computation
            stays in float32, so that speed is the same and only the weights' rounding shows.

    Returns: the sealed manifest.

    Raises:
        CheckFailedError: what came out is not what was asked for.
        InputError: `path` cannot be written.
    """

    def to_onnx(module: nn.Module, example: Tensors, takes: list[str], gives: list[str]) -> ModelProto:
        model = _to_onnx(module, example, takes, gives)
        _strip(model)
        if precision == "fp16":
            _store_halves(model)
        return model

    if manifest.conditional:
        model = conditional_graph(student, manifest, to_onnx)
    else:
        graph = PixelClip(student, manifest.clip_frames) if manifest.kind == "clip" else PixelStep(student)
        model = to_onnx(graph, graph.example(), input_names(manifest), output_names(manifest))
    helper.set_model_props(model, {METADATA_KEY: manifest.to_json()})
    check_graph(model, manifest)
    with replacing(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
        seal(temporary)
        return load(temporary).manifest  # as every runtime will: digest, names, shapes, dtypes against the manifest


def check_graph(model: ModelProto, manifest: Manifest) -> None:
    """What the runtime does not look at: opset, order of inputs and outputs, folded batch norms, one single file.

    Raises:
        CheckFailedError: says what is wrong.
    """
    onnx.checker.check_model(model)
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets != {"": OPSET}:
        raise CheckFailedError(f"export: asked for ONNX opset {OPSET}, the exporter gave {opsets}")
    for what, has, wants in (
        ("inputs", model.graph.input, input_names(manifest)),
        ("outputs", model.graph.output, output_names(manifest)),
    ):
        names = [value.name for value in has]
        if names != wants:
            raise CheckFailedError(f"export: the graph's {what} are {names}, not {wants}")
    if any(node.op_type == "BatchNormalization" for graph in graphs(model.graph) for node in graph.node):
        raise CheckFailedError("export: a batch norm was not folded into the convolution before it")
    if any(t.data_location == TensorProto.EXTERNAL for graph in graphs(model.graph) for t in graph.initializer):
        raise CheckFailedError("export: weights lie outside the file")


def stored_precision(path: Path) -> Precision:
    """How the weights of an ONNX file are stored."""
    model = onnx.load(path)
    tensors = [tensor for graph in graphs(model.graph) for tensor in graph.initializer]
    return "fp16" if any(tensor.data_type == TensorProto.FLOAT16 for tensor in tensors) else "fp32"


def _to_onnx(module: nn.Module, example: Tensors, takes: list[str], gives: list[str]) -> ModelProto:
    with warnings.catch_warnings(), torch.no_grad():
        # Of torch's own internals; what matters about the result is checked.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        program = torch.onnx.export(
            module,
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=takes,
            output_names=gives,
            optimize=True,  # folds constants and batch norms
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def _strip(model: ModelProto) -> None:
    """Take out what the exporter notes for its own debugging: stack traces with paths of the exporting machine."""
    model.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")
    model.graph.ClearField("value_info")
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def _store_halves(model: ModelProto) -> None:
    """Store large float32 weights as float16, with a cast behind each that ONNX Runtime folds away when it loads."""
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _LEAST_HALVED:
            continue
        if np.abs(values).max() > np.finfo(np.float16).max:
            raise CheckFailedError(f"export: the weights {tensor.name} are too large for fp16")
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    model.graph.ClearField("node")
    model.graph.node.extend(nodes)
