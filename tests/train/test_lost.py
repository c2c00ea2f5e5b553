"""A connection that is lost: how long it is waited for, who is told, and what becomes of a run."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from command_runs import Ran, run_command
from hypothesis import given
from hypothesis import strategies as st
from remote import Remote, serving
from safetensors.torch import load_file
from tiny_run import RECIPE

from edgevid.errors import InputError
from edgevid_train import commands
from edgevid_train.checkpoint import read_info
from edgevid_train.samples.dataset import TrainingClips
from edgevid_train.storage import faults as faults_module
from edgevid_train.storage import signatures
from edgevid_train.storage.blocks import Blocks
from edgevid_train.storage.faults import WAITS_S, Hosts, LostError, PassingError, persistently, retry_s
from edgevid_train.storage.part import facts_of

WHERE = "https://host:80/a.mp4"


def failing(times: int, error: PassingError) -> Callable[[], str]:
    left = iter(range(times))

    def attempt() -> str:
        if next(left, None) is not None:
            raise error
        return "found"

    return attempt


def test_a_server_that_has_answered_is_waited_for(monkeypatch, capsys) -> None:
    """Growing waits, a minute in all, told once; then it is lost, and whoever asks next waits for it some seconds."""
    monkeypatch.setenv("EDGEVID_RETRY_S", "60")
    hosts, slept = Hosts(), list[float]()
    gone = PassingError("Connection refused", unreachable=True)
    assert persistently(failing(0, gone), WHERE, slept.append, hosts) == "found"
    assert persistently(failing(9, gone), WHERE, slept.append, hosts) == "found"
    assert slept == [0.5, 1, 2, 4, 8, 8, 8, 8, 8]
    assert hosts.tried_again == 9
    slept.clear()
    with pytest.raises(LostError, match=r"^https://host:80/a\.mp4: Connection refused \(tried 12 times\)$"):
        persistently(failing(99, gone), WHERE, slept.append, hosts)
    assert sum(slept) == 60
    slept.clear()
    with pytest.raises(LostError, match="tried 5 times"):
        persistently(failing(99, gone), "https://host:80/b.mp4", slept.append, hosts)
    assert slept == list(WAITS_S)
    said = capsys.readouterr().err
    assert said == "edgevid: host:80: Connection refused; trying for 60 s (EDGEVID_RETRY_S)\n"


def test_what_nobody_ever_answered_is_given_up_soon() -> None:
    slept: list[float] = []
    with pytest.raises(LostError):
        persistently(failing(99, PassingError("refused", unreachable=True)), WHERE, slept.append, Hosts())
    assert slept == list(WAITS_S)
    slept.clear()
    with pytest.raises(LostError, match=r"a\.mp4: Name or service not known$"):
        persistently(failing(99, PassingError("Name or service not known", unknown=True)), WHERE, slept.append, Hosts())
    assert slept == []


def test_a_fault_of_one_file_is_no_lost_connection() -> None:
    slept: list[float] = []
    with pytest.raises(InputError) as caught:
        persistently(failing(99, PassingError("the server says 500")), WHERE, slept.append, Hosts({"host:80"}))
    assert slept == list(WAITS_S)
    assert not isinstance(caught.value, LostError)


@given(st.integers(0, 500), st.integers(0, 60))
def test_waiting_is_bounded(limit_s: int, faults: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("EDGEVID_RETRY_S", str(limit_s))
        slept: list[float] = []
        try:
            persistently(failing(faults, PassingError("x", unreachable=True)), WHERE, slept.append, Hosts({"host:80"}))
        except LostError:
            assert sum(slept) == max(limit_s, sum(WAITS_S))
        assert sum(slept) <= max(limit_s, sum(WAITS_S))


@pytest.mark.parametrize("setting", ["", "soon", "-1", "1.5", "999999", "²"])
def test_a_setting_that_is_no_time(monkeypatch, setting: str) -> None:
    monkeypatch.setenv("EDGEVID_RETRY_S", setting)
    with pytest.raises(InputError, match="EDGEVID_RETRY_S="):
        retry_s()


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clips: Path) -> Iterator[Remote]:
    """A server of the clips; what is read of it is kept nowhere, and nothing is waited for."""
    monkeypatch.setattr(faults_module, "WAITS_S", (0.0, 0.0))
    monkeypatch.setenv("EDGEVID_RETRY_S", "0")
    monkeypatch.setenv("EDGEVID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Blocks, "_load", lambda *_: None)
    facts_of.cache_clear()
    with serving(clips) as found:
        yield found


def distill(*args: object) -> Ran:
    """As in a process of its own, that was never told a signature nor asked a server anything."""
    signatures._queries.clear()
    facts_of.cache_clear()
    return run_command(commands.register, "train-distill", "--device", "cpu", *args)


def words(folder: Path, out: str, address: str) -> tuple[object, ...]:
    recipe = folder / "tiny.toml"
    recipe.write_text(RECIPE.replace("[data]", "[data]\ncache_mb = 1").replace("short_side = 48", "short_side = 240"))
    alone = ("--all", "--set", "distill.response=0", "--set", "distill.feature=0", "--set", "optim.epochs=2")
    return ("--recipe", recipe, "--data", address, "--out", folder / out, *alone)


def at_load(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[], None]) -> None:
    """Do something as the batch with this number is made."""
    loads = iter(range(1, 1000))
    original = TrainingClips.load

    def load(self, plan):
        if next(loads) == number:
            act()
        return original(self, plan)

    monkeypatch.setattr(TrainingClips, "load", load)


@pytest.mark.parametrize("fault", ["gone", "expired"])
def test_a_run_that_lost_its_data_is_saved_and_resumed_as_if_nothing_had_been(
    tmp_path: Path, remote: Remote, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    remote.signature = "sig=1"
    address = f"{remote.address}/clips.csv?sig=1"
    whole = distill(*words(tmp_path, "whole", address))
    assert whole.status == 0, whole.err

    def lose() -> None:
        if fault == "gone":
            remote.busy = 10**6
        else:
            remote.signature = "sig=2"

    with monkeypatch.context() as patched:
        at_load(patched, 3, lose)
        lost = distill(*words(tmp_path, "run", address))
    assert lost.status == 2
    reason = "the server says 503 Service Unavailable (tried 3 times)"
    if fault == "expired":
        reason = "the server says 403 Forbidden; the signature it was asked for with may have expired"
    again = f"it is saved, go on with: edgevid train-distill --resume --out {tmp_path / 'run'}"
    assert lost.err.endswith(f".mp4: {reason}; {again}\n")
    assert lost.err.count("\n") == 1
    assert read_info(tmp_path / "run" / "student" / "last", "student").step > 0
    assert (tmp_path / "run" / "ledger.csv").read_text().count("\n") == 1

    remote.busy, signed = 0, f"{remote.address}/clips.csv?{remote.signature}"
    resumed = distill("--resume", "--out", tmp_path / "run", "--data", signed)
    assert resumed.status == 0, resumed.err
    one, other = (load_file(tmp_path / run / "student/last/model.safetensors") for run in ("whole", "run"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert "student 1/2" in resumed.out


def test_a_server_that_dies_in_the_first_pass_fills_no_ledger(
    tmp_path: Path, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Blocks._fetch
    fetched = iter(range(1, 1000))

    def fetch(self, address, facts, number):
        if next(fetched) == 5:
            remote.busy = 10**6
        return original(self, address, facts, number)

    monkeypatch.setattr(Blocks, "_fetch", fetch)
    ran = distill(*words(tmp_path, "run", f"{remote.address}/clips.csv"))
    assert ran.status == 2
    assert "503 Service Unavailable (tried 3 times); it is saved, go on with: edgevid train-distill --resume" in ran.err
    assert not (tmp_path / "run" / "ledger.csv").exists()
    remote.busy = 0
    assert distill("--resume", "--out", tmp_path / "run").status == 0


def test_a_sweep_that_lost_its_data_says_how_the_sweep_goes_on(
    tmp_path: Path, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_load(monkeypatch, 2, lambda: setattr(remote, "busy", 10**6))
    given = [word for word in words(tmp_path, "sweep", f"{remote.address}/clips.csv") if word != "--all"]
    ran = distill(*given, "--seeds", 2)
    assert ran.status == 2
    assert ran.err.endswith(f"; it is saved, go on with: edgevid train-distill --resume --out {tmp_path / 'sweep'}\n")
    assert ran.err.count("go on with") == 1


def test_a_connection_that_comes_back_is_counted_and_told_once(tmp_path: Path, remote: Remote) -> None:
    remote.cut = 2
    ran = distill(*words(tmp_path, "run", f"{remote.address}/clips.csv"))
    assert ran.status == 0, ran.err
    assert "reads from addresses that were tried again: " in ran.out
