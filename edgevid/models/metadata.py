"""The metadata of an ONNX file, read from its bytes alone.

A manifest is needed before anything is computed, and a digest must be checked before bytes that may be damaged reach
native code. So this walks the top level of the file's protocol buffer (onnx.proto3, `ModelProto`) and steps over the
graph without looking into it: some microseconds for a file of any size.
"""

from collections.abc import Iterator

_IR_VERSION, _GRAPH, _METADATA = 1, 7, 14  # field numbers in ModelProto
_KEY, _VALUE = 1, 2  # in StringStringEntryProto
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5  # wire types


def read_metadata(data: bytes) -> dict[str, str]:
    """Key -> value of `metadata_props`.

    Raises:
        ValueError: `data` is not an ONNX model.
    """
    entries: dict[str, str] = {}
    seen = set()
    view = memoryview(data)
    for number, value in _fields(view):
        seen.add(number)
        if number == _METADATA and isinstance(value, memoryview):
            entry = {k: bytes(v).decode() for k, v in _fields(value) if isinstance(v, memoryview)}
            entries[entry.get(_KEY, "")] = entry.get(_VALUE, "")
    if not {_IR_VERSION, _GRAPH} <= seen:
        raise ValueError("no ONNX model: it has no graph")
    return entries


def _fields(view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field of one message; a value of known length stays bytes."""
    at = 0
    while at < len(view):
        tag, at = _varint(view, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(view, at)
            yield number, value
            continue
        if wire == _LENGTH:
            length, at = _varint(view, at)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError("no protocol buffer")
        if number == 0 or at + length > len(view):
            raise ValueError("no protocol buffer, or cut off")
        yield number, view[at : at + length]
        at += length


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """Seven bits a byte, least significant first: the number and where the next byte is."""
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(view):
            break
        byte = view[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ValueError("no protocol buffer, or cut off")
