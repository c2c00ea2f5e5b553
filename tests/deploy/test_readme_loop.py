"""The loop in deploy/README.md, run as somebody would who has the file alone: it finds what `edgevid detect` finds."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_runs import run_command

from edgevid.assets import asset
from edgevid.commands import detect

GUIDE = Path(__file__).parents[2] / "deploy" / "README.md"
WITHOUT_EDGEVID = """
import runpy, sys
for package in ("edgevid", "edgevid_train", "edgevid_deploy"):
    sys.modules[package] = None  # what imports it fails
runpy.run_path(sys.argv.pop(1), run_name="__main__")
assert not [name for name in sys.modules if name.startswith("edgevid") and sys.modules[name] is not None]
"""


def loop() -> str:
    (block,) = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    return str(block)


def test_the_loop_fits_a_page() -> None:
    lines = loop().splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 120


def test_the_loop_finds_the_events_that_detect_finds(tmp_path: Path) -> None:
    demo, model = asset("demo/demo.mp4"), asset("models/air-gesture.onnx")
    script = tmp_path / "loop.py"
    script.write_text(loop())
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_EDGEVID, str(script), str(model), str(demo)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    found = [line.split() for line in ran.stdout.splitlines()]

    told = tmp_path / "detected.json"
    assert run_command(detect.register, "detect", demo, "--model", model, "--json", told).status == 0
    (file,) = json.loads(told.read_text())["files"]
    events = file["events"]
    assert len(events) == 11
    assert [label for label, *_ in found] == [event["label"] for event in events]
    for (_, start_s, end_s, _), event in zip(found, events, strict=True):
        assert float(start_s) == pytest.approx(event["start_s"], abs=0.15)
        assert float(end_s) == pytest.approx(event["end_s"], abs=0.15)
