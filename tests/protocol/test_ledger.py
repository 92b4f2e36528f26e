"""A ledger: entries that name the one before, appended by one writer at a time, whole or not."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fulcra import disk
from fulcra.disk import extend
from fulcra.errors import InputError, RunFolderError
from fulcra.protocol.recheck.witnesses import ledger_look
from fulcra.protocol.witness.chain import chain_of
from fulcra.protocol.witness.entries import NOTHING, Entry, Outcome, Planned
from fulcra.protocol.witness.ledger import FILE, MOST_LINES, Ledger, ledger_at
from fulcra.protocol.witness.seat import Receipt, read_receipt, require_ledger, seat_of
from fulcra.store import RECEIPT, ROLLOUTS, RunFolder, plain, read_json, write_json, write_text
from tests.promptly import promptly

RUNS = [f"{i:032x}" for i in range(9)]
MANIFEST = {
    "command": "audit",
    "model_sha256": "a" * 64,
    "behavior_sha256": "b" * 64,
    "dtype": "float32",
    "code": "c" * 16,
    "settings": {"seed": 0, "gains": (0.1, 1 / 3)},
}


def about(seed: int = 0, **more: str) -> Planned:
    """What a commitment of that seed is about."""
    settings = plain({"seed": seed, "gains": (0.1,)})
    named = {key: value for key, value in MANIFEST.items() if key != "settings"}
    return Planned.model_validate({**named, **more, "seed": seed, "settings": settings})


def drafted(run: str = RUNS[0], planned: Planned | None = None, digit: str = "1") -> Entry:
    """A commitment that stands in no ledger yet."""
    return Entry(
        number=1,
        previous=NOTHING,
        kind="commitment",
        run=run,
        time="2026-01-01T00:00:00+00:00",
        commitment=digit * 64,
        planned=planned or about(),
        sha256=NOTHING,
    )


def ended(run: str = RUNS[0], state: str = "finished") -> Entry:
    """The outcome of a run that stands in no ledger yet."""
    outcome = Outcome.model_validate({"state": state, "seal": "5" * 64, "counts": {"open": 1}})
    changes = {"kind": "outcome", "outcome": outcome}
    content = {key: value for key, value in drafted(run).plain().items() if key != "planned"}
    return Entry.model_validate(content).model_copy(update=changes)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A ledger of four entries: two runs, each with its outcome."""
    ledger = Ledger(tmp_path / "ledger")
    for entry in (drafted(), drafted(RUNS[1], about(neuron="L1.N2")), ended(), ended(RUNS[1])):
        ledger.enter(lambda chain, entry=entry: entry)
    return ledger


def lines_of(ledger: Ledger) -> list[bytes]:
    return ledger.path.read_bytes().splitlines(keepends=True)


def failing(ledger: Ledger, head: str | None = None) -> list[str]:
    look = ledger_look(ledger, head=head)
    return [f"{check.name}: {check.detail}" for check in look.checks if not check.passed]


def test_every_entry_is_numbered_and_names_the_one_before(ledger: Ledger) -> None:
    entries = ledger.sound().entries
    assert [entry.number for entry in entries] == [1, 2, 3, 4]
    hashes = [entry.sha256 for entry in entries]
    assert [entry.previous for entry in entries] == [NOTHING, *hashes[:3]]
    assert failing(ledger) == []
    assert ledger_look(ledger).head == entries[-1].link


Change = Callable[[list[bytes]], list[bytes]]


def swapped(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[2], lines[1], lines[3]]


def with_other_seed(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b'"seed":0', b'"seed":7'), *lines[2:]]


def with_more_digits(lines: list[bytes]) -> list[bytes]:
    return [lines[0].replace(b"0.1", b"0.10000000000001"), *lines[1:]]


def rehashed(lines: list[bytes]) -> list[bytes]:
    """The second entry with another seed, and the hash of that."""
    entry = chain_of(lines[1]).entries[0].model_copy(update={"planned": about(7)})
    return [lines[0], entry.model_copy(update={"sha256": entry.made_sha256}).line, *lines[2:]]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (with_other_seed, "entry 2: altered"),
        (with_more_digits, "entry 1: altered"),
        (rehashed, "entry 2: altered: entry 3 was put behind another"),
        (swapped, "entry 2: reordered: it stands behind entry 3"),
        (lambda lines: [lines[0], *lines[2:]], "entry 2: missing"),
        (lambda lines: lines[2:], "entries 1 to 2: missing"),
        (lambda lines: [*lines, lines[1]], "entry 2: stands twice"),
        (lambda lines: [lines[0], b"{}\n", *lines[1:]], "line 2: altered"),
        (lambda lines: [lines[0], b"\n", *lines[1:]], "line 2: altered"),
        (lambda lines: [*lines[:3], lines[3].rstrip()], "line 4: altered: the end of the line"),
        (lambda lines: [*lines, b"\xff\n"], "line 5: altered"),
        (lambda lines: [*lines, b"9" * 5000 + b"\n"], "line 5: altered"),
        (lambda lines: [lines[0].replace(b'"number":1', b'"number":999999999')], "altered"),
    ],
)
def test_a_changed_ledger_is_named_by_number_and_no_run_is_entered(
    ledger: Ledger, change: Change, fault: str
) -> None:
    ledger.path.write_bytes(b"".join(change(lines_of(ledger))))
    assert any(fault in line for line in failing(ledger)), failing(ledger)
    before = ledger.path.read_bytes()
    with pytest.raises(RunFolderError, match="restore it from a copy") as refusal:
        ledger.enter(lambda chain: drafted(RUNS[2]))
    assert "\n" not in str(refusal.value)
    assert ledger.path.read_bytes() == before


def test_what_a_ledger_holds_steers_no_terminal(ledger: Ledger) -> None:
    steering = "\x1b[2J\x1b]0;ok\x07"
    ledger.enter(lambda chain: drafted(RUNS[2], about(neuron=steering)))
    ledger.path.write_bytes(ledger.path.read_bytes() + json.dumps({steering: 1}).encode() + b"\n")
    assert len(failing(ledger)) == 2
    assert all(line.isprintable() for line in failing(ledger))


def test_a_ledger_that_was_cut_back_is_noticed_by_its_noted_head_alone(ledger: Ledger) -> None:
    lines, head = lines_of(ledger), ledger.sound().entries[-1].sha256
    ledger.path.write_bytes(b"".join(lines[:1]))
    ledger.enter(lambda chain: ended())
    assert failing(ledger) == []
    assert failing(ledger, head) == [
        f"ledger head as noted: noted {head[:12]}, no entry has that hash"
    ]


def test_a_line_that_its_writer_left_broken_counts_for_nothing(ledger: Ledger) -> None:
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole + b'{"commitment":"11')
    look = ledger_look(ledger)
    assert look.checks[0].passed
    assert "counts for nothing" in look.checks[0].detail
    entry = ledger.enter(lambda chain: drafted(RUNS[2]))
    assert ledger.path.read_bytes() == whole + entry.line


@pytest.mark.parametrize("call", ["write", "fsync", "ftruncate"])
def test_a_full_disk_leaves_the_ledger_as_it_was_in_one_line(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    before, write = ledger.path.read_bytes(), os.write
    if call == "ftruncate":
        ledger.path.write_bytes(before + b"torn")

    def full(handle: int, data: object = b"") -> int:
        if call == "write" and isinstance(data, bytes) and len(data) > 100:
            return write(handle, data[:100])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(disk.os, call, full)
        with pytest.raises(RunFolderError, match="No space left on device; nothing was entered"):
            ledger.enter(lambda chain: drafted(RUNS[2]))
    assert ledger.sound().entries[:4] == chain_of(before).entries
    assert ledger.enter(lambda chain: drafted(RUNS[3])).number in (5, 6)


def test_two_writers_at_once_get_consecutive_numbers(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from fulcra.protocol.witness.entries import Entry;"
        "from fulcra.protocol.witness.ledger import Ledger;"
        "ledger, entry = Ledger(Path(sys.argv[1])), Entry.model_validate_json(sys.argv[2]);"
        "[ledger.enter(lambda chain: entry) for _ in range(20)]"
    )
    drafts = [drafted(run).line.decode() for run in RUNS[:3]]
    commands = [[sys.executable, "-c", code, str(tmp_path), draft] for draft in drafts]
    writers = [subprocess.Popen(command) for command in commands]
    assert [writer.wait(300) for writer in writers] == [0, 0, 0]
    entries = Ledger(tmp_path).sound().entries
    assert [entry.number for entry in entries] == list(range(1, 61))
    assert {entry.run for entry in entries} == set(RUNS[:3])


def test_a_locked_ledger_is_waited_for_and_then_told(tmp_path: Path) -> None:
    handle = os.open(tmp_path / FILE, os.O_RDWR | os.O_CREAT)
    disk.fcntl.flock(handle, disk.fcntl.LOCK_EX)
    with promptly(), pytest.raises(TimeoutError, match="locked for too long"):
        extend(tmp_path / FILE, lambda content: (0, b""), patience=0.05)
    os.close(handle)


def test_a_folder_a_file_with_its_url_and_nothing_else_name_a_ledger(tmp_path: Path) -> None:
    named, url = tmp_path / "a ledger", tmp_path / "where"
    url.write_text(f"{named.as_uri()}\n")
    assert ledger_at(url) == ledger_at(named) == Ledger(named)
    for held in ("", "https://example.org/ledger", "file://elsewhere/x", "/tmp", "file:///a\nb"):
        url.write_text(held)
        with pytest.raises(InputError, match=r"found .*must be mounted as a folder"):
            ledger_at(url)
    url.write_bytes(b"\xff")
    with pytest.raises(InputError, match="give the folder of a ledger"):
        ledger_at(url)


def test_a_ledger_that_is_no_file_or_has_no_bounds_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / FILE)
    with pytest.raises(RunFolderError, match="expected a file"):
        ledger_look(Ledger(tmp_path))
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).write_bytes(b"\n" * MOST_LINES)
    with pytest.raises(RunFolderError, match="begin another in a new folder"):
        ledger_look(Ledger(tmp_path))
    (tmp_path / FILE).unlink()
    with pytest.raises(RunFolderError, match=r"ledger\.jsonl: no such file"):
        ledger_look(Ledger(tmp_path))


def test_a_commitment_without_an_outcome_is_abandoned(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.enter(lambda chain: drafted())
    assert ["killed, or still running" in line for line in failing(ledger)] == [True]
    stop = Outcome(state="stopped", stopped_by="KeyboardInterrupt")
    ledger.enter(lambda chain: ended().model_copy(update={"outcome": stop}))
    assert failing(ledger) == [
        f"ledger abandoned: entry 1, audit, model {'a' * 12}, behavior {'b' * 12}: no outcome,"
        " stopped by KeyboardInterrupt at entry 2"
    ]
    ledger.enter(lambda chain: ended())
    assert failing(ledger) == []


def test_a_subject_that_is_committed_again_with_another_seed_is_repeated(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for i, (seed, digit) in enumerate(((0, "1"), (0, "1"), (3, "2"))):
        ledger.enter(lambda chain, i=i, s=seed, d=digit: drafted(RUNS[i], about(s), d))
        ledger.enter(lambda chain, i=i: ended(RUNS[i], "no verdict"))
        repeated = [check for check in ledger_look(ledger).checks if "repeated" in check.name]
        assert [check.passed for check in repeated] == [i < 2]
    assert failing(ledger) == [
        f"ledger repeated: entries 1, 3, 5, audit, model {'a' * 12}, behavior {'b' * 12}: differ"
        " in seed; seeds 0, 0, 3"
    ]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.open(tmp_path / "run", MANIFEST)


def entered(folder: RunFolder, place: Path, sha256: str = "1" * 64) -> None:
    """A run that opens its seat, enters and stops at nothing."""
    seat = seat_of(folder, place)
    assert seat is not None
    with seat.entered(MANIFEST, sha256):
        pass


def test_a_run_is_entered_once_and_its_going_on_is_seen(folder: RunFolder, tmp_path: Path) -> None:
    place = tmp_path / "ledger"
    entered(folder, place)
    entered(folder, place)
    kinds = [entry.kind for entry in Ledger(place).sound().entries]
    assert kinds == ["commitment", "resumption"]
    receipt = read_receipt(folder.path)
    assert receipt is not None
    assert (receipt.entered, receipt.last) == tuple(
        entry.link for entry in Ledger(place).sound().entries
    )


@pytest.mark.parametrize("lost", [True, False])
def test_a_run_killed_between_entry_and_receipt_finds_its_entry(
    folder: RunFolder, tmp_path: Path, lost: bool
) -> None:
    place = tmp_path / "ledger"
    seat = seat_of(folder, place)
    before = (folder.path / RECEIPT).read_bytes()
    assert seat is not None
    with seat.entered(MANIFEST, "1" * 64):
        pass
    write_text(folder.path / RECEIPT, before.decode())
    if lost:
        (place / FILE).write_bytes(b"")
    entered(folder, place)
    kinds = [entry.kind for entry in Ledger(place).sound().entries]
    assert kinds == ["commitment"] if lost else ["commitment", "resumption"]


@pytest.mark.parametrize("stays", [0, 1])
def test_a_ledger_cut_back_since_is_refused(folder: RunFolder, tmp_path: Path, stays: int) -> None:
    place = tmp_path / "ledger"
    entered(folder, place)
    entered(folder, place)
    lines = (place / FILE).read_bytes().splitlines(keepends=True)
    (place / FILE).write_bytes(b"".join(lines[:stays]))
    with pytest.raises(RunFolderError, match=r"was cut back since .* is gone; restore it"):
        seat_of(folder, place)
    Ledger(place).enter(lambda chain: drafted(RUNS[1]))
    Ledger(place).enter(lambda chain: drafted(RUNS[2]))
    with pytest.raises(RunFolderError, match=r"was edited since .* is another; restore it"):
        seat_of(folder, place)


def test_a_run_is_never_entered_after_its_dosed_rollouts(folder: RunFolder, tmp_path: Path) -> None:
    write_text(folder.path / ROLLOUTS, "rows")
    with pytest.raises(RunFolderError, match="a commitment is never entered afterwards"):
        entered(folder, tmp_path / "ledger")
    assert not (tmp_path / "ledger" / FILE).exists()


def test_a_run_in_a_ledger_goes_on_with_that_ledger_alone(
    folder: RunFolder, tmp_path: Path
) -> None:
    assert seat_of(folder, None) is None
    entered(folder, tmp_path / "ledger")
    with pytest.raises(RunFolderError, match="entered in a ledger as entry 1; give that ledger"):
        seat_of(folder, None)
    with pytest.raises(RunFolderError, match="was cut back since"):
        seat_of(folder, tmp_path / "another")
    with pytest.raises(RunFolderError, match="another commitment than entry 1"):
        entered(folder, tmp_path / "ledger", "2" * 64)


def test_a_receipt_with_another_run_or_none_is_refused(folder: RunFolder, tmp_path: Path) -> None:
    entered(folder, tmp_path / "ledger")
    path = folder.path / RECEIPT
    write_json(path, {**read_json(path), "run": RUNS[5]})
    with pytest.raises(RunFolderError, match="was edited: entry 1 of ledger"):
        seat_of(folder, tmp_path / "ledger")
    write_json(path, {"run": 1})
    with pytest.raises(RunFolderError, match="expected a run's receipt"):
        seat_of(folder, tmp_path / "ledger")


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, RunFolderError])
def test_a_stop_is_entered_and_goes_on_upwards(
    folder: RunFolder, tmp_path: Path, error: type[BaseException]
) -> None:
    seat = seat_of(folder, tmp_path / "ledger")
    assert seat is not None
    with pytest.raises(error), seat.entered(MANIFEST, "1" * 64):
        raise error
    last = Ledger(tmp_path / "ledger").sound().entries[-1]
    assert last.outcome == Outcome(state="stopped", stopped_by=error.__name__)


def test_an_end_is_entered_once_and_no_other_one_after_it(
    folder: RunFolder, tmp_path: Path
) -> None:
    entered(folder, tmp_path / "ledger")
    seat = seat_of(folder, tmp_path / "ledger")
    assert seat is not None
    outcome = Outcome(state="finished", seal="5" * 64, counts={"open": 2})
    assert seat.end("1" * 64, outcome) == seat.end("1" * 64, outcome)
    assert sum(entry.over for entry in Ledger(tmp_path / "ledger").sound().entries) == 1
    with pytest.raises(RunFolderError, match=r"is not what entry 3 .* says that it ended as"):
        seat.end("1" * 64, Outcome(state="finished", seal="6" * 64, counts={"open": 2}))


def test_a_ledger_needs_a_folder_of_the_run_beside_its_own(tmp_path: Path) -> None:
    require_ledger(None, None)
    require_ledger(tmp_path / "ledger", tmp_path / "run")
    with pytest.raises(InputError, match="give --out"):
        require_ledger(tmp_path, None)
    for place in (tmp_path / "run", tmp_path / "run" / "ledger"):
        with pytest.raises(InputError, match="lies in the run's own folder"):
            require_ledger(place, tmp_path / "run")


def test_a_receipt_says_nothing_until_the_run_is_entered(folder: RunFolder, tmp_path: Path) -> None:
    seat_of(folder, tmp_path / "ledger")
    receipt = read_receipt(folder.path)
    assert isinstance(receipt, Receipt)
    assert (receipt.entered, receipt.last) == (None, None)
    assert seat_of(folder, None) is None, "it may go on without a ledger"
