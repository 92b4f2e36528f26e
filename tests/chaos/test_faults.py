"""What happens to machines: every fault is one line and its exit code, and costs nothing done."""

import time
from pathlib import Path

import pytest
import torch

from fulcra import AuditResult, Behavior, Model
from fulcra.engines import local
from fulcra.protocol.measure import Measurement
from fulcra.protocol.progress import Clock, Silent
from fulcra.protocol.shards import read_rollouts
from fulcra.protocol.stages import baseline_trials
from fulcra.protocol.subject import Subject
from tests.chaos.audits import RUN, audit_below, smallest
from tests.chaos.faults import Observation, chain, read_only

GOES_ON = "the same command, with the same --out, goes on where this one stopped"


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> list[Observation]:
    return chain(tmp_path_factory.mktemp("faults"))


@pytest.mark.slow
def test_seven_faults_on_one_audit_cost_nothing_that_was_finished(met: list[Observation]) -> None:
    assert [(each.fault, each.lost) for each in met if each.lost] == []


@pytest.mark.slow
def test_every_fault_is_one_line_and_its_exit_code(met: list[Observation]) -> None:
    killed, term, full, hup, second, again, interrupt, end = met
    assert [(each.code, each.line) for each in (killed, again)] == [(-9, "")] * 2
    assert (term.code, term.line) == (143, f"fulcra: stopped by SIGTERM; {GOES_ON}")
    assert (hup.code, hup.line) == (129, f"fulcra: stopped by SIGHUP; {GOES_ON}")
    assert (interrupt.code, interrupt.line) == (130, f"fulcra: interrupted; {GOES_ON}")
    assert full.code == second.code == 2
    assert "File too large; nothing was left under that name" in full.line
    assert "is writing there; wait until it ends, or choose another folder" in second.line
    assert end.code in (0, 3)


@pytest.mark.slow
def test_a_read_only_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    refused = read_only(tmp_path)
    assert refused.code == 2
    assert refused.line.startswith("fulcra: writing FOLDER/fulcra-run/.lock: ")
    assert refused.line.endswith("free space or choose another --out")
    assert "\n" not in refused.line


def test_a_clock_that_jumps_back_changes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(Silent())
    monkeypatch.setattr(time, "time", lambda: -1e9)
    monkeypatch.setattr(time, "time_ns", lambda: -(10**18))
    with clock.step("jump", 1):
        pass
    timing = clock.timing()
    assert 0 <= timing.steps["jump"] <= timing.wall_seconds < 60


def test_a_batch_that_runs_out_of_memory_changes_no_rollout(
    sparse: Model, refusal: Behavior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, decode, refused = smallest(refusal), local.decode, list[int]()
    (tmp_path / "whole").mkdir()
    (tmp_path / "tight").mkdir()
    audit_below(tmp_path / "whole", sparse, short)

    def tight(model: Model, requests: list[object], *more: object) -> object:
        if len(requests) > 2:
            refused.append(len(requests))
            raise torch.OutOfMemoryError("too many rows")
        return decode(model, requests, *more)

    monkeypatch.setattr(local, "decode", tight)
    audit_below(tmp_path / "tight", sparse, short)
    assert refused
    tables = [read_rollouts(tmp_path / name / RUN) for name in ("whole", "tight")]
    assert tables[0] == tables[1]
    assert AuditResult.load(tmp_path / "tight" / RUN) == AuditResult.load(tmp_path / "whole" / RUN)


def test_a_number_that_is_none_in_one_layer_leaves_rows_unscored_and_is_named(
    sparse: Model, refusal: Behavior, caplog: pytest.LogCaptureFixture
) -> None:
    subject = Subject.of(sparse, smallest(refusal), 0)
    trials, gate = baseline_trials(subject), sparse.hf.model.layers[3].mlp.gate_proj.weight
    row = gate.data[7].clone()
    gate.data[7] = torch.nan
    try:
        records = Measurement(subject)("baseline", trials)
    finally:
        gate.data[7] = row
    assert {outcome for record in records for outcome in record.outcomes} == {"unscored"}
    assert f"{len(trials)} of {len(trials)} rows met numbers that are not finite" in caplog.text
    assert "L3.N7" in caplog.text
