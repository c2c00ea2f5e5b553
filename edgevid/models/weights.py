"""How many numbers an ONNX file has learned, counted in its bytes."""

import math
from collections.abc import Iterator

from edgevid.models.metadata import fields

_GRAPH = 7  # in ModelProto
_NODE, _INITIALIZER = 1, 5  # in GraphProto
_ATTRIBUTE = 5  # in NodeProto
_TENSOR, _SUBGRAPH = 5, 6  # in AttributeProto
_DIMS, _DATA_TYPE = 1, 2  # in TensorProto
_LEARNED = {1, 2, 3, 10, 11, 16, 21, 22}  # float, uint8, int8, float16, double, bfloat16, uint4, int4


def count_weights(data: bytes) -> int:
    """Elements of all tensors in the file that are not whole numbers of 32 or 64 bits, which hold shapes and indices.

    Branches of an `If` are counted too; folded batch norms are where they were folded to.

    Raises:
        ValueError: `data` is not an ONNX model.
    """
    return sum(_in_graph(graph) for graph in _of(memoryview(data), _GRAPH))


def _in_graph(graph: memoryview) -> int:
    total = sum(_in_tensor(tensor) for tensor in _of(graph, _INITIALIZER))
    for node in _of(graph, _NODE):
        for attribute in _of(node, _ATTRIBUTE):
            total += sum(_in_tensor(tensor) for tensor in _of(attribute, _TENSOR))
            total += sum(_in_graph(branch) for branch in _of(attribute, _SUBGRAPH))
    return total


def _in_tensor(tensor: memoryview) -> int:
    dims, kind = [], 0
    for number, value, _ in fields(tensor):
        if number == _DIMS and isinstance(value, int):
            dims.append(value)
        elif number == _DATA_TYPE and isinstance(value, int):
            kind = value
    return math.prod(dims) if kind in _LEARNED else 0


def _of(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """The fields of one number that are messages themselves."""
    return (value for number, value, _ in fields(message) if number == wanted and isinstance(value, memoryview))
