"""Training on signed addresses: what a run keeps of them, and what its resume asks for again."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_runs import Ran, run_command
from remote import Remote, serving

from edgevid_train import commands
from edgevid_train.storage import faults as faults_module
from edgevid_train.storage import signatures
from edgevid_train.storage.part import facts_of

ALONE = ("--all", "--set", "distill.response=0", "--set", "distill.feature=0", "--set", "optim.epochs=1")


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    """A server of `tmp_path/served`; the cache is empty."""
    monkeypatch.setattr(faults_module, "WAITS_S", (0.0, 0.0))
    monkeypatch.setenv("EDGEVID_CACHE", str(tmp_path / "cache"))
    (tmp_path / "served").mkdir()
    with serving(tmp_path / "served") as found:
        yield found


def command(*args: object) -> Ran:
    """In a process that was never told a signature, nor what a server has."""
    signatures._queries.clear()
    facts_of.cache_clear()
    return run_command(commands.register, *args)


def distill(*args: object) -> Ran:
    return command("train-distill", "--device", "cpu", *args)


def secrets_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and b"SECRET" in path.read_bytes()]


def test_signed_shards_leave_no_signature_and_a_resume_asks_for_one(
    tmp_path: Path, clips: Path, recipe: Path, remote: Remote
) -> None:
    assert command("data", "shards", clips, "--out", remote.folder / "d", "--size", "20kB").status == 0
    last = len(list((remote.folder / "d").glob("*.tar"))) - 1
    pattern = f"{remote.address}/d/shards-{{000000..{last:06d}}}.tar"
    remote.signature = "sig=SECRET1%2F&se=2026"
    unsigned = distill("--recipe", recipe, "--data", pattern, "--out", tmp_path / "run", *ALONE)
    assert unsigned.status == 2
    assert unsigned.err == f"{remote.address}/d/shards-000000.tar: the server says 403 Forbidden\n"
    begun = distill(
        *("--recipe", recipe, "--data", f"{pattern}?{remote.signature}", "--out", tmp_path / "run", *ALONE),
        *("--json", tmp_path / "run" / "figures.json", "--force"),
    )
    assert begun.status == 0, begun.err
    assert "SECRET" not in begun.out + begun.err
    looked = command("data", "stats", f"{pattern}?{remote.signature}", "--json", tmp_path / "stats.json")
    assert looked.status == 0, looked.err
    assert f'"path": "{pattern}"' in (tmp_path / "stats.json").read_text()
    assert secrets_in(tmp_path) == []

    sent, remote.signature = remote.sent, "sig=SECRET2"
    refused = distill("--resume", "--out", tmp_path / "run")
    assert refused.status == 2
    assert refused.err == (
        f"--resume: {pattern} was given with a signature, which is not kept; give the address again with one that is "
        f"valid now: --data '{pattern}?…'\n"
    )
    expired = distill("--resume", "--out", tmp_path / "run", "--data", f"{pattern}?sig=SECRET1")
    assert (expired.status, "may have expired" in expired.err, "SECRET" in expired.err) == (2, True, False)
    other = distill("--resume", "--out", tmp_path / "run", "--data", f"{remote.address}/e.tar?sig=SECRET2")
    assert (other.status, "is not what the run" in other.err, "SECRET" in other.err) == (2, True, False)
    resumed = distill("--resume", "--out", tmp_path / "run", "--data", f"{pattern}?{remote.signature}")
    assert resumed.status == 0, resumed.err
    assert remote.sent == sent  # what was read under the first signature is known under the second
    assert secrets_in(tmp_path) == []


def test_signed_clips_in_a_table_of_this_computer(tmp_path: Path, clips: Path, recipe: Path, remote: Remote) -> None:
    """The table has the signatures, so that a resume needs no other; one clip's is wrong, and the ledger says so."""
    remote.signature = "X-Amz-Signature=SECRET"
    rows = (clips / "clips.csv").read_text().splitlines()
    (tmp_path / "own").mkdir()
    table = [rows[0], *(f"{remote.address}/{row.replace('mp4', f'mp4?{remote.signature}')}" for row in rows[1:])]
    table[3] = table[3].replace("SECRET", "SECRETS")
    (tmp_path / "own" / "clips.csv").write_text("\n".join(table))
    for row in rows[1:]:
        shutil.copy(clips / row.partition(",")[0], remote.folder)
    words = ("--recipe", recipe, "--data", tmp_path / "own", "--out", tmp_path / "run")
    ran = distill(*words, *ALONE, "--set", "data.max_skipped_share=0.1")
    assert ran.status == 0, ran.err
    host = remote.address.partition("://")[2]
    assert (tmp_path / "run" / "ledger.csv").read_text().splitlines()[1:] == [
        f"{host}/02_other.mp4,other,the server says 403 Forbidden; the signature it was asked for with may have expired"
    ]
    again = distill("--resume", "--out", tmp_path / "run")
    assert again.status == 0, again.err
    assert "SECRET" not in ran.out + ran.err + again.out + again.err
    assert secrets_in(tmp_path) == [tmp_path / "own" / "clips.csv"]


def test_a_recipe_keeps_no_signature(tmp_path: Path, recipe: Path) -> None:
    ran = distill(
        "--recipe", recipe, "--set", "data.folder='https://h/clips.csv?sig=SECRET'", "--out", tmp_path / "run"
    )
    assert ran.status == 2
    assert "data.folder: a recipe is kept with its runs, and a signature is not to be: give the address by" in ran.err
    assert "SECRET" not in ran.err


def test_a_files_address_is_the_file(tmp_path: Path, clips: Path, recipe: Path) -> None:
    (tmp_path / "my clips").symlink_to(clips)
    address = f"file://{tmp_path.as_posix()}/my%20clips"
    ran = distill("--recipe", recipe, "--data", address, "--extra", address, "--out", tmp_path / "run", *ALONE)
    assert ran.status == 0, ran.err
    assert f'"data": "{tmp_path}/my clips"' in (tmp_path / "run" / "run.json").read_text()
    ran = distill("--recipe", recipe, "--data", "file://nas/clips", "--out", tmp_path / "other")
    assert ran.status == 2
    assert ran.err.startswith("file://nas/clips: a file of another computer; ")
