"""The manifest: what is written is what is read, nothing unknown passes, and no byte of a sealed file can change."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import tiny_manifest, tiny_stream_model

from edgevid.errors import InputError
from edgevid.manifest import (
    NO_DIGEST,
    Calibration,
    ClipPool,
    EventRule,
    ExitSpec,
    HoldRule,
    InputSpec,
    Manifest,
    Measurement,
    StateSpec,
)
from edgevid.seal import digest_of, digest_of_package, seal

fractions = st.floats(0, 1)
seconds = st.floats(0, 1e6)
identifiers = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True).filter(lambda name: name != "frame")
labels = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=20)
figures = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Any manifest that the schema allows."""
    off, on = sorted([draw(fractions), draw(fractions)])
    stream = draw(st.booleans())
    exits = tuple(
        ExitSpec(name=name, macs=draw(st.integers(0, 10**12)), threshold=draw(st.none() | fractions))
        for name in draw(st.lists(identifiers, unique=True, min_size=1, max_size=4))
    )
    return tiny_manifest(
        "stream" if stream else "clip",
        name=draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)),
        labels=tuple(draw(st.lists(labels, min_size=2, max_size=20, unique=True))),
        activation=draw(st.sampled_from(["softmax", "sigmoid"])),
        input=draw(
            st.builds(
                InputSpec,
                height=st.integers(1, 4096),
                width=st.integers(1, 4096),
                fit=st.sampled_from(["stretch", "crop", "letterbox"]),
                filter=st.sampled_from(["area", "linear"]),
            )
        ),
        rate_hz=draw(st.floats(0.01, 240)),
        clip_frames=draw(st.integers(1, 4096)),
        states=tuple(
            StateSpec(name=name, shape=tuple(draw(st.lists(st.integers(1, 999), min_size=1, max_size=5))))
            for name in draw(st.lists(identifiers, unique=True, max_size=4 if stream else 0))
        ),
        max_skip_s=draw(seconds),
        exits=exits,
        conditional=stream and len(exits) > 1 and draw(st.booleans()),
        clip_pool=draw(st.builds(ClipPool, kind=st.sampled_from(["last", "mean", "peak"]), smooth_s=seconds)),
        embedding_size=draw(st.integers(0, 4096)),
        calibration=draw(st.none() | st.builds(Calibration, risk=fractions, confidence=fractions, n=st.integers(1))),
        events=EventRule(on=on, off=off, min_s=draw(seconds), cooldown_s=draw(seconds), smooth_s=draw(seconds)),
        measured=tuple(draw(st.lists(st.builds(Measurement, value=figures, low=st.none() | figures), max_size=2))),
    )


@given(manifests())
@settings(max_examples=150)
def test_what_is_written_is_what_is_read(manifest: Manifest) -> None:
    assert Manifest.from_json(manifest.to_json(), "m") == manifest
    assert "\n" not in manifest.to_json()


def fields(data: Any, place: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where objects stand in a piece of JSON: paths to every dict."""
    if isinstance(data, dict):
        return [place, *(p for key, value in data.items() for p in fields(value, (*place, key)))]
    if isinstance(data, list):
        return [p for index, value in enumerate(data) for p in fields(value, (*place, index))]
    return []


FULL = tiny_manifest(
    "stream",
    calibration=Calibration(risk=0.02, confidence=0.95, n=149),
    measured=(Measurement(metric="top1", value=0.9, split="test", n=240, command="edgevid evaluate"),),
)


def test_what_was_measured_is_of_the_model_as_it_was() -> None:
    assert FULL.with_events(FULL.events) is FULL
    assert FULL.with_hold(FULL.hold) is FULL
    assert FULL.with_events(FULL.events.model_copy(update={"cooldown_s": 9.0})).measured == ()
    same = FULL.with_thresholds([exit_.threshold for exit_ in FULL.exits])
    assert (same.measured, same.calibration) == (FULL.measured, None)


@pytest.mark.parametrize("place", fields(json.loads(FULL.to_json())), ids=str)
def test_an_unknown_key_is_refused_wherever_it_stands(place: tuple[str | int, ...]) -> None:
    data = json.loads(FULL.to_json())
    part = data
    for key in place:
        part = part[key]
    part["surprise"] = 1
    with pytest.raises(InputError, match=r"m\.onnx: manifest field .*surprise") as caught:
        Manifest.from_json(json.dumps(data), "m.onnx")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"schema_version": 2}, "manifest schema 2, this edgevid reads 1"),
        ({"schema_version": None}, "manifest schema None"),
        ({"labels": ["one"]}, "labels"),
        ({"labels": ["a", "b", "a"]}, "label 'a' occurs twice"),
        ({"labels": ["a", "b\x1b[31m"]}, "cannot be printed"),
        ({"labels": ["a", ""]}, "labels.1"),
        ({"name": "../x"}, "name"),
        ({"rate_hz": 0}, "rate_hz"),
        ({"rate_hz": float("nan")}, "rate_hz"),
        ({"max_skip_s": float("inf")}, "max_skip_s"),
        ({"exits": []}, "exits"),
        ({"exits": [{"name": "e", "macs": 1, "threshold": float("nan")}]}, "exits.0.threshold"),
        ({"exits": [{"name": "e", "macs": 1}, {"name": "e", "macs": 2}]}, "exit 'e' occurs twice"),
        ({"states": [{"name": "s", "shape": [1, 0]}]}, "states.0.shape.1"),
        ({"states": [{"name": "frame", "shape": [1]}]}, "'frame'"),
        ({"states": [{"name": "a.b", "shape": [1]}]}, "states.0.name"),
        ({"kind": "clip"}, "a clip model has no state"),
        ({"kind": "clip", "states": [], "conditional": True}, "a clip model computes every exit"),
        ({"conditional": True, "exits": [{"name": "final", "macs": 1}]}, "two at least"),
        ({"conditional": True, "states": [{"name": "threshold_early", "shape": [1]}]}, "'threshold_early'"),
        ({"events": {"on": 0.2, "off": 0.3}}, "off must not be above on"),
        ({"digest": "x" * 64}, "digest"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line_naming_the_field(change: dict[str, Any], says: str) -> None:
    text = json.dumps(json.loads(FULL.to_json()) | change)
    with pytest.raises(InputError) as caught:
        Manifest.from_json(text, "m.onnx")
    assert str(caught.value).startswith("m.onnx: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"x"', "[" * 100_000, "\x00"])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"m\.onnx: "):
        Manifest.from_json(text, "m.onnx")


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_but_never_crashes(text: str) -> None:
    with pytest.raises(InputError):
        Manifest.from_json(text, "m")


def test_other_thresholds_leave_everything_else_as_it_is_but_the_promise_about_the_old_ones() -> None:
    exits = (ExitSpec(name="early", macs=1, threshold=0.5), ExitSpec(name="final", macs=2, threshold=0.25))
    manifest = tiny_manifest("stream", exits=exits)
    changed = manifest.with_thresholds([None, 0.75])
    assert [e.threshold for e in changed.exits] == [None, 0.25], "the last exit needs none"
    assert changed.with_thresholds([0.5, None]) == manifest
    assert FULL.calibration is not None
    assert FULL.with_thresholds([0.5, None]).calibration is None
    with pytest.raises(ValueError, match="2 exits, but 3"):
        manifest.with_thresholds([0.5, 0.5, 0.5])


def test_another_rule_for_holding_breaks_a_promise_about_events_only() -> None:
    for unit, kept in (("recording", True), ("event", False)):
        manifest = tiny_manifest("stream", calibration=Calibration(risk=0.02, confidence=0.95, n=149, unit=unit))
        assert manifest.with_hold(HoldRule()) == manifest
        changed = manifest.with_hold(HoldRule(quiet=2))
        assert changed.hold == HoldRule(quiet=2, busy=0)
        assert (changed.calibration is not None) == kept


def test_another_event_rule_breaks_a_promise_about_events_only() -> None:
    rule = EventRule(on=0.9)
    for unit, kept in (("recording", True), ("event", False)):
        promise = Calibration(risk=0.02, confidence=0.95, n=149, unit=unit)
        manifest = tiny_manifest("stream", calibration=promise)
        assert manifest.with_events(manifest.events) == manifest
        changed = manifest.with_events(rule)
        assert changed == manifest.model_copy(update={"events": rule, "calibration": promise if kept else None})


def test_background_and_id() -> None:
    manifest = tiny_manifest("stream", labels=("other", "wave"), digest="ab" * 32)
    assert manifest.background == 0
    assert tiny_manifest("stream", labels=("nod", "wave")).background is None
    assert manifest.id == "tiny@abababababab"


def written(data: bytes) -> str | None:
    """The digest that a file's manifest claims, as a reader finds it."""
    at = data.find(b'"digest":"')
    return data[at + 10 : at + 74].decode("latin-1") if at >= 0 else None


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return tiny_stream_model(tmp_path_factory.mktemp("sealed") / "tiny.onnx").read_bytes()


def test_a_sealed_file_holds_its_own_digest(sealed: bytes) -> None:
    digest = written(sealed)
    assert digest is not None
    assert digest != NO_DIGEST
    assert digest_of(sealed, digest) == digest


@given(st.data())
@settings(max_examples=300)
def test_no_byte_of_a_sealed_file_can_change(sealed: bytes, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(sealed) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda value: value != sealed[position]))
    changed = sealed[:position] + bytes([other]) + sealed[position + 1 :]
    digest = written(changed)
    assert digest is None or digest_of(changed, digest) != digest


def test_every_character_of_the_digest_counts(sealed: bytes) -> None:
    start = sealed.index(b'"digest":"') + 10
    for position in range(start, start + 64):
        changed = (
            sealed[:position] + (b"0" if sealed[position : position + 1] != b"0" else b"1") + sealed[position + 1 :]
        )
        digest = written(changed)
        assert digest is not None
        assert digest_of(changed, digest) != digest


@pytest.mark.parametrize("content", [b"", b"no manifest", f'"digest":"{NO_DIGEST}"'.encode() * 2])
def test_sealing_needs_one_empty_digest(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="expected one empty digest"):
        seal(path)
    assert path.read_bytes() == content


def test_a_package_is_sealed_over_paths_and_bytes(tmp_path: Path) -> None:
    package = tmp_path / "m.mlpackage"
    (package / "Data").mkdir(parents=True)
    (package / "Data" / "model").write_bytes(b"\x00head" + FULL.to_json().encode() + b"tail")
    (package / "Data" / "weights").write_bytes(b"0" * 200)
    digest = seal(package)
    assert written((package / "Data" / "model").read_bytes()) == digest
    assert digest_of_package(package, digest) == digest

    (package / "Data" / "weights").rename(package / "Data" / "weight")
    assert digest_of_package(package, digest) != digest
    (package / "Data" / "weight").rename(package / "Data" / "weights")
    (package / "Data" / "weights").write_bytes(b"0" * 199 + b"1")
    assert digest_of_package(package, digest) != digest
