"""One entry of an annotation file with the place where it stands, so that every fault names file, row and field."""

import json
import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from edgevid.errors import InputError, first_line
from edgevid_train.storage import read_bytes
from edgevid_train.storage import shown as shown_path

_UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")  # controls, halves of pairs, ends of lines


@dataclass(frozen=True, slots=True)
class Entry:
    """A JSON object.

    Attributes:
        values: its fields. One that is null counts as missing.
        where: file and place in it, as messages begin: `fho_main.json: videos[3].annotated_intervals[0]`.
    """

    values: Mapping[str, Any]
    where: str

    def fault(self, field: str, what: str) -> InputError:
        """To be raised: `fault("label", "is missing")`, `fault("label", ": 7 is not text")`."""
        return InputError(f"{self.where}: field {field!r}{'' if what.startswith(':') else ' '}{what}")

    def has(self, field: str) -> bool:
        return self.values.get(field) is not None

    def text(self, field: str) -> str:
        """Raises InputError when it is missing, empty, no text, or cannot be printed."""
        value = self._value(field)
        if not isinstance(value, str):
            raise self.fault(field, f": {shown(value)} is not text")
        if not value.strip():
            raise self.fault(field, "is empty")
        if any(unicodedata.category(c) in _UNPRINTABLE for c in value):
            raise self.fault(field, f": {shown(value)} holds characters that cannot be printed")
        return value.strip()

    def identifier(self, field: str) -> str:
        """Text that files are called by: raises InputError also when it would lead into another folder."""
        text = self.text(field)
        if "/" in text or "\\" in text or text in (".", ".."):
            raise self.fault(field, f": {shown(text)} cannot be a file's name")
        return text

    def number(self, field: str) -> float:
        """Raises InputError when it is missing, no number or not finite."""
        value = self._value(field)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.fault(field, f": {shown(value)} is not a number")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.fault(field, f": {shown(value)} is not a finite number")
        return number

    def whole(self, field: str) -> int:
        """Raises InputError when it is no whole number from 0 on."""
        number = self.number(field)
        if number < 0 or number != int(number):
            raise self.fault(field, f": {number:g} is not a whole number from 0 on")
        return int(number)

    def seconds(self, field: str) -> float:
        """Raises InputError when it is no number from 0 on."""
        try:
            number = self.number(field)
        except InputError:
            if not self.has(field):
                raise
            number = -1.0
        if number < 0:
            raise self.fault(field, f": {shown(self.values[field])} is not a number of seconds")
        return number

    def flag(self, field: str, default: bool) -> bool:
        if not self.has(field):
            return default
        value = self.values[field]
        if not isinstance(value, bool):
            raise self.fault(field, f": {shown(value)} is neither true nor false")
        return value

    def entry(self, field: str) -> "Entry":
        value = self._value(field)
        if not isinstance(value, dict):
            raise self.fault(field, f": {shown(value)} is not an object")
        return Entry(value, _within(self.where, field))

    def entries(self, field: str, *, optional: bool = False) -> list["Entry"]:
        """The objects of a list; an optional one that is missing is empty."""
        if optional and not self.has(field):
            return []
        value = self._value(field)
        if not isinstance(value, list):
            raise self.fault(field, f": {shown(value)} is not a list")
        return entries_of(value, _within(self.where, field))

    def _value(self, field: str) -> Any:
        if not self.has(field):
            raise self.fault(field, "is missing")
        return self.values[field]


@dataclass(frozen=True, slots=True)
class Row(Entry):
    """A row of a table: text everywhere, an empty field counts as missing."""

    values: Mapping[str, str]

    def has(self, field: str) -> bool:
        return bool(self.values.get(field))

    def text(self, field: str) -> str:
        """Raises InputError when it is missing, empty, or cannot be printed in one line."""
        if field in self.values and not self.values[field]:
            raise self.fault(field, "is empty")
        return Entry.text(self, field)

    def number(self, field: str) -> float:
        text = self.text(field)
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise self.fault(field, f": {shown(text)} is not a number")
        return number

    @classmethod
    def of(cls, header: list[str], values: list[str], where: str) -> Self:
        """Raises InputError when there are not as many values as names."""
        if len(values) != len(header):
            raise InputError(f"{where}: {len(values)} fields, the header has {len(header)}")
        return cls({name: value.strip() for name, value in zip(header, values, strict=True)}, where)


def shown(value: object) -> str:
    """A value in a message: one printable line, and not a whole file."""
    text = ascii(value) if not isinstance(value, str) or not value.isprintable() else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def entries_of(values: list[Any], where: str) -> list[Entry]:
    """Raises InputError when one of `values` is no JSON object."""
    for index, value in enumerate(values):
        if not isinstance(value, dict):
            raise InputError(f"{where}[{index}]: {shown(value)} is not an object")
    return [Entry(value, f"{where}[{index}]") for index, value in enumerate(values)]


def read_text(path: Path) -> str:
    """UTF-8 with or without a byte-order mark. Raises InputError."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{shown_path(path)}: not UTF-8 text (byte {error.start})") from None


def read_json(path: Path) -> Any:
    """Raises InputError that says at which line a file ends or breaks."""
    return parsed(read_text(path), str(path))


def parsed(text: str, where: str) -> Any:
    """The value of some JSON. Raises InputError as `read_json`."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: line {error.lineno}, column {error.colno}: not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON: {first_line(error)}") from None


def read_object(path: Path) -> Entry:
    """A JSON file that holds one object."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: {shown(value)} is not an object")
    return Entry(value, f"{path}:")


def _within(where: str, field: str) -> str:
    field = field if field.isprintable() and len(field) <= 60 else shown(field)
    return f"{where} {field}" if where.endswith(":") else f"{where}.{field}"
