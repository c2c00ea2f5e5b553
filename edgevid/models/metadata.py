"""The metadata of an ONNX file, read and replaced in its bytes alone.

A manifest is needed before anything is computed, and a digest must be checked before bytes that may be damaged reach
native code. So this walks the top level of the file's protocol buffer (onnx.proto3, `ModelProto`) and steps over the
graph without looking into it: some microseconds for a file of any size. In the same way another manifest is put in,
and the graph stays what it was bit for bit.
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
    for number, value, _ in fields(memoryview(data)):
        seen.add(number)
        if number == _METADATA and isinstance(value, memoryview):
            key, text = _entry(value)
            entries[key] = text
    if not {_IR_VERSION, _GRAPH} <= seen:
        raise ValueError("no ONNX model: it has no graph")
    return entries


def with_metadata(data: bytes, key: str, text: str) -> bytes:
    """The same model with `text` under `key`, whether or not it had that key; every other byte as it was.

    Raises:
        ValueError: `data` is not an ONNX model.
    """
    read_metadata(data)
    kept = [
        field
        for number, value, field in fields(memoryview(data))
        if not (number == _METADATA and isinstance(value, memoryview) and _entry(value)[0] == key)
    ]
    entry = _of_length(_KEY, key.encode()) + _of_length(_VALUE, text.encode())
    return b"".join([*kept, _of_length(_METADATA, entry)])


def _entry(message: memoryview) -> tuple[str, str]:
    """Key and value of one entry; a string that is not there is empty."""
    texts = {number: bytes(value).decode() for number, value, _ in fields(message) if isinstance(value, memoryview)}
    return texts.get(_KEY, ""), texts.get(_VALUE, "")


def fields(view: memoryview) -> Iterator[tuple[int, int | memoryview, memoryview]]:
    """Of each field of one message its number, its value (one of known length stays bytes), and all its bytes."""
    at = 0
    while at < len(view):
        begin = at
        tag, at = _varint(view, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(view, at)
            yield number, value, view[begin:at]
            continue
        if wire == _LENGTH:
            length, at = _varint(view, at)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError("no protocol buffer")
        if number == 0 or at + length > len(view):
            raise ValueError("no protocol buffer, or cut off")
        yield number, view[at : at + length], view[begin : at + length]
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


def _of_length(number: int, value: bytes) -> bytes:
    """A field of known length as bytes."""
    return _number(number << 3 | _LENGTH) + _number(len(value)) + value


def _number(value: int) -> bytes:
    """`value` as `_varint` reads it."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])
