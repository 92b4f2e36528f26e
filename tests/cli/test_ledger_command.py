"""`--ledger`, `fulcra sign` and `fulcra stamp`: what others can hold against a run."""

import json
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from fulcra.protocol.witness.ledger import FILE, Ledger
from fulcra.store import RECEIPT
from tests.chaos.faults import Left, ended
from tests.cli.conftest import Call
from tests.processes import MAIN, Process

pytestmark = pytest.mark.slow

SMALL = ("--neurons", "1", "--random", "0", "--screen", "contrastive", "--quiet")


def kinds(ledger: Path) -> list[str]:
    return [entry.kind for entry in Ledger(ledger).sound().entries]


def failed(out: str) -> list[str]:
    return [line for line in out.splitlines() if line.startswith("FAIL")]


def test_a_ledger_names_what_was_abandoned_repeated_and_is_missing(
    fulcra: Call, behavior_file: Path, tmp_path: Path
) -> None:
    place, run = tmp_path / "ledger", tmp_path / "run"
    command = ("audit", "-b", behavior_file, *SMALL, "--ledger", place)
    assert fulcra(*command, "--out", run).code == 3
    assert kinds(place) == ["commitment", "outcome"]
    left = fulcra("verify", run, "--ledger", place)
    assert left.code == 0, left.out
    assert "ok   ledger commitment: entry 1 is what the run committed to" in left.out
    head = Ledger(place).sound().entries[-1].sha256
    assert f"ledger      entry 2, {head}" in left.out
    assert fulcra("verify", run, "--ledger", place, "--head", head, "--quiet").code == 0

    assert fulcra(*command, "--out", run).code == 3
    assert kinds(place) == ["commitment", "outcome"], "a finished run is entered once"

    url = tmp_path / "where"
    url.write_text(place.as_uri())
    other = fulcra(*command[:-1], url, "--out", tmp_path / "other", "--seed", "1")
    assert other.code == 3, other.err
    left = fulcra("verify", run, "--ledger", place)
    assert left.code == 1
    assert [line.partition(", audit")[0] for line in failed(left.out)] == [
        "FAIL ledger repeated: entries 1, 3"
    ]
    assert "differ in seed; seeds 0, 1" in left.out
    alone = json.loads(fulcra("verify", "--ledger", place, "--json").out)
    assert (alone["passed"], alone["ledger"]["number"], alone["coverage"]) == (False, 4, [])
    _require_cuts_to_be_noticed(fulcra, run, place)


def _require_cuts_to_be_noticed(fulcra: Call, run: Path, place: Path) -> None:
    """What `fulcra verify` says of a ledger of two runs that somebody cuts."""
    lines = (place / FILE).read_bytes().splitlines(keepends=True)
    (place / FILE).write_bytes(b"".join(lines[:3]))
    assert "ledger abandoned: entry 3, audit" in fulcra("verify", "--ledger", place).out
    (place / FILE).write_bytes(b"".join(lines[2:]))
    left = fulcra("verify", run, "--ledger", place)
    assert left.code == 1
    assert "FAIL ledger chain: entries 1 to 2: missing" in left.out
    assert "is missing: no entry of the ledger is of this run" in left.out
    (place / FILE).write_bytes(b"".join(lines[:2]))
    assert (
        "FAIL ledger head as noted"
        in fulcra("verify", "--ledger", place, "--head", json.loads(lines[3])["sha256"]).out
    )


BEFORE = "import os, signal; from fulcra.protocol.witness import ledger; real = ledger.extend\n"
#: Kills of a process at its first entry: before it is written, and before its receipt is.
KILLS = {
    "before": "def killed(*of):\n    os.kill(os.getpid(), signal.SIGKILL)\n",
    "after": "def killed(*of):\n    real(*of)\n    os.kill(os.getpid(), signal.SIGKILL)\n",
}


def test_a_run_killed_at_its_entry_goes_on_and_a_ledger_cut_back_stops_it(
    fulcra: Call, behavior_file: Path, tmp_path: Path
) -> None:
    place, run = tmp_path / "ledger", tmp_path / "run"
    command = ("audit", "-b", behavior_file, *SMALL, "--out", run, "--ledger", place)
    for moment, entered in (("before", []), ("after", ["commitment"])):
        code = f"{BEFORE}{KILLS[moment]}ledger.extend = killed\n{MAIN}"
        process = Process([str(word) for word in command], code)
        assert ended(process) == Left(-signal.SIGKILL, "", "")
        assert kinds(place) == entered
        assert not [path for path in (run / "rollouts").iterdir() if "baseline" not in path.name]
    whole = (place / FILE).read_bytes()
    (place / FILE).write_bytes(whole.replace(b'"seed":0', b'"seed":7'))
    assert "entry 1: altered" in fulcra(*command).refusal
    (place / FILE).write_bytes(whole)
    assert fulcra(*command).code == 3
    assert kinds(place) == ["commitment", "resumption", "outcome"]
    (place / FILE).write_bytes(whole)
    assert "was cut back since" in fulcra(*command).refusal
    left = fulcra("verify", run, "--ledger", place)
    assert left.code == 1
    assert "FAIL ledger outcome: entry 1 has no outcome" in left.out


def test_what_has_no_ledger_or_no_run_to_be_held_against_is_refused(
    fulcra: Call, audited: Path, run_copy: Path, tmp_path: Path
) -> None:
    nothing = tmp_path / "nothing"
    assert "neither a run nor a ledger" in fulcra("verify").refusal
    assert (
        "--root and --signers are about"
        in fulcra("verify", "--ledger", tmp_path, "--root", "0" * 64).refusal
    )
    assert "--head is about a ledger" in fulcra("verify", audited, "--head", "0" * 64).refusal
    assert (
        "64 hex digits of an entry" in fulcra("verify", "--ledger", tmp_path, "--head", "x").refusal
    )
    assert "ledger.jsonl: no such file" in fulcra("verify", "--ledger", nothing).refusal
    (run_copy / "seal.json.sig").write_text("x")
    assert (
        "no such file; give an allowed" in fulcra("verify", run_copy, "--signers", nothing).refusal
    )
    (tmp_path / "led").mkdir()
    (tmp_path / "led" / FILE).write_bytes(b"")
    left = fulcra("verify", audited, "--ledger", tmp_path / "led")
    assert left.code == 1
    assert "is missing: no entry of the ledger is of this run" in left.out


def test_a_run_that_ended_without_a_ledger_is_never_entered(
    fulcra: Call, behavior_file: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    command = ("audit", "-b", behavior_file, *SMALL, "--out", run)
    assert fulcra(*command).code == 3
    assert not (run / RECEIPT).exists()
    place = tmp_path / "ledger"
    assert "never entered afterwards" in fulcra(*command, "--ledger", place).refusal
    assert not place.exists()
    inside = fulcra(*command, "--ledger", run / "ledger")
    assert "lies in the run's own folder" in inside.refusal


def test_a_window_is_entered_and_a_prediction_alone_is_not(fulcra: Call, tmp_path: Path) -> None:
    place, run = tmp_path / "ledger", tmp_path / "run"
    command = ("window", "apothecary-sparse", "L2.N307-", "--ledger", place, "--out", run)
    refusal = fulcra(*command, "--predict-only").refusal
    assert "--predict-only commits to nothing" in refusal
    assert fulcra(*command, "--quiet").code == 0
    assert kinds(place) == ["commitment", "outcome"]
    assert Ledger(place).sound().entries[0].planned.neuron == "L2.N307-"
    assert fulcra("verify", run, "--ledger", place, "--quiet").code == 0


def test_a_run_is_signed_once_it_verifies_and_the_signature_is_checked(
    fulcra: Call, run_copy: Path, tmp_path: Path
) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("needs ssh-keygen, which is not installed")
    key, signers = tmp_path / "key", tmp_path / "signers"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    signers.write_text(f"anna@example.org {key.with_suffix('.pub').read_text()}")
    unsigned = fulcra("verify", run_copy, "--signers", signers)
    assert failed(unsigned.out) == [
        "FAIL signature: no seal.json.sig; `fulcra sign RUN --key KEYFILE` makes one"
    ]
    assert unsigned.code == 1
    assert fulcra("sign", run_copy, "--key", key).out == f"signature {run_copy}/seal.json.sig\n"
    left = fulcra("verify", run_copy, "--signers", signers)
    assert left.code == 0
    assert "by anna@example.org" in left.out
    assert "no such file" in fulcra("sign", run_copy, "--key", tmp_path / "none").refusal
    (run_copy / "report.html").write_text("another")
    assert "does not verify, so it is not signed" in fulcra("sign", run_copy, "--key", key).refusal


def test_a_query_for_a_time_stamp_is_written(fulcra: Call, run_copy: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, which is not installed")
    left = fulcra("stamp", run_copy)
    assert left.code == 0, left.err
    assert (run_copy / "seal.json.tsq").is_file()
    assert fulcra("verify", run_copy, "--quiet").code == 0


def test_the_commands_have_help_with_an_example(fulcra: Call) -> None:
    for name in ("sign", "stamp"):
        assert f"Example: fulcra {name} " in fulcra(name, "--help").out
