"""A damaged annotation file, whatever the damage, gives records or one line that says what is wrong with it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from miniatures import WRITERS

from edgevid.errors import InputError
from edgevid_train.annotations import FORMATS, ReadOptions, read_data

ANNOTATIONS = (".csv", ".txt", ".json")
NASTY = st.sampled_from(
    [*"\"',; \n\t\0|[{}", "", "\r\n", "\x1b[31m", "../../x", "/etc/passwd", "-1", "1e999", "nan", "9" * 20, "٣"]
) | st.sampled_from(["é" * 200, "x" * 5000, "\u2028", "null", "1.5", "00:00:01.00"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NASTY | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container of a JSON value with every key or index in it."""
    if not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


@st.composite
def damaged(draw: st.DrawFn, whole: bytes, is_json: bool) -> bytes:
    """A file with a piece of it cut out, replaced, doubled or put elsewhere; of JSON also with other values in it."""
    if is_json and draw(st.booleans()):
        value = json.loads(whole)
        for _ in range(draw(st.integers(1, 3))):
            found = places(value)
            if not found:
                break
            container, key = draw(st.sampled_from(found))
            if draw(st.booleans()):
                container[key] = draw(JSON)
            else:
                del container[key]
        return json.dumps(value).encode()
    begin = draw(st.integers(0, len(whole)))
    end = min(len(whole), begin + draw(st.integers(0, 60)))
    piece = draw(NASTY.map(str.encode) | st.binary(max_size=6) | st.just(whole[begin:end] * 2) | st.just(b""))
    return whole[:begin] + piece + whole[end if draw(st.booleans()) else len(whole) :]


@pytest.mark.parametrize("format_", WRITERS)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_gives_records_or_one_line(tmp_path: Path, format_: str, data: st.DataObject) -> None:
    root = tmp_path / "data"
    if not root.exists():
        WRITERS[format_](root)
    files = sorted(file for file in root.rglob("*") if file.suffix in ANNOTATIONS)
    file = data.draw(st.sampled_from(files), label="file")
    whole = file.read_bytes()
    content = data.draw(damaged(whole, file.suffix == ".json"), label="content")
    target = data.draw(st.sampled_from([None, *FORMATS[format_].targets]), label="target")
    said: list[str] = []
    records, refusal = [], None
    file.write_bytes(content)
    try:
        records = read_data(root, ReadOptions(format=format_, target=target), said.append)
    except InputError as error:
        refusal = str(error)
    finally:
        file.write_bytes(whole)
    if refusal is not None:
        assert refusal.startswith(str(root))
        assert refusal.isprintable()
        assert len(refusal) < 1000
        return
    assert records
    for record in records:
        assert root in record.file.parents
        assert ".." not in record.name.split("/")
        record.file.exists()  # a name that the file system takes
        assert record.labels
        assert all(label.isprintable() and 0 < len(label) <= 128 for label in record.labels)
        assert record.start_s >= 0
        assert record.end_s is None or record.end_s > record.start_s
        assert record.split in (None, "train", "val", "test")
    assert all(line.isprintable() for line in said)
    assert len({record.id for record in records}) == len(records)
