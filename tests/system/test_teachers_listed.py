"""`edgevid models list --teachers` as a person runs it."""

import json
import subprocess
import sys
from pathlib import Path

from edgevid_train.models.teachers.table import TEACHERS

LISTED = """
import sys
from edgevid.cli import run
status = run(["models", "list", "--teachers", "--json", sys.argv[1]])
heavy = {"torch", "torchvision", "timm", "transformers", "pytorchvideo", "onnxruntime"}
print("loaded:", *sorted(heavy & set(sys.modules)))
sys.exit(status)
"""


def test_the_teachers_are_listed_without_torch(tmp_path: Path) -> None:
    out = tmp_path / "teachers.json"
    environment = {"COLUMNS": "80", "PATH": ""}
    ran = subprocess.run(
        [sys.executable, "-c", LISTED, out], capture_output=True, text=True, env=environment, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1].strip() == "loaded:"
    rows = json.loads(out.read_text())["teachers"]
    assert [row["kind"] for row in rows] == list(TEACHERS)
    for row in rows:
        assert f" {row['kind']} " in ran.stdout  # whole, though the screen is narrow
        assert all(row[key] for key in ("network", "parameters", "gflops", "input", "weights", "licence"))
    assert "16 x 224x224" in ran.stdout
    assert "at 7.5 Hz" in ran.stdout

    again = subprocess.run(
        [sys.executable, "-c", LISTED, out], capture_output=True, text=True, env=environment, check=False
    )
    assert again.returncode == 2
    assert "give --force to replace it" in again.stderr
