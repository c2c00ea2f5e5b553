"""TOML text <-> nested values, and single values changed by key, as `--set` gives them."""

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from edgevid.errors import InputError


def dump_toml(values: Mapping[str, Any]) -> str:
    """TOML of nested mappings, lists and plain values. None has no TOML and is left out: it is every such default."""
    lines: list[str] = []

    def table(prefix: tuple[str, ...], content: Mapping[str, Any]) -> None:
        plain = {k: v for k, v in content.items() if not isinstance(v, Mapping) and v is not None}
        if prefix and (plain or not content):
            lines.extend(["", f"[{'.'.join(map(_key, prefix))}]"])
        lines.extend(f"{_key(k)} = {_value(v)}" for k, v in plain.items())
        for name, inner in content.items():
            if isinstance(inner, Mapping):
                table((*prefix, name), inner)

    table((), values)
    return "\n".join(lines).lstrip("\n") + "\n"


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _string(name)


def _string(text: str) -> str:
    # JSON's escapes are TOML's, but TOML wants the delete character escaped too.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_key(k)} = {_value(v)}' for k, v in value.items() if v is not None)} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return _string(value)
    return repr(value)


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """Raises InputError, which names `where`, when it is not TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where}: not TOML: {error}") from None


def apply(values: dict[str, Any], change: str) -> None:
    """`optim.lr=3e-4`: the value is TOML, or else a string, so that `student.backbone=resnet18` needs no quotes."""
    key, equals, text = change.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise InputError(f"--set {change!r}: expected key=value, for example optim.epochs=3")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    inner = values
    for part in parts[:-1]:
        inner = inner.setdefault(part, {})
        if not isinstance(inner, dict):
            raise InputError(f"--set {change!r}: {part} is a value, not a section")
    inner[parts[-1]] = value
