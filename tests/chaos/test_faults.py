"""What happens to machines: every fault is one line and its exit code, and costs nothing done."""

import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fulcra import AuditResult, Behavior, Model, add, cli, load
from fulcra.engines import local
from fulcra.engines.engine import run
from fulcra.engines.incidents import Halved, Incident, NotFinite, heard_by
from fulcra.errors import RunFolderError
from fulcra.ladders import passes, surprises
from fulcra.ladders.passes import Texts, dosed_vectors
from fulcra.protocol.incidents import Incidents
from fulcra.protocol.measure import Measurement
from fulcra.protocol.progress import Clock, Silent
from fulcra.protocol.shards import read_rollouts
from fulcra.protocol.stages import baseline_trials
from fulcra.protocol.subject import Subject
from fulcra.store import INCIDENTS, REPORT
from fulcra.studies.verify import verify
from fulcra.types import Edit, Rollout, RolloutRequest
from tests.chaos.audits import RUN, audit_below, smallest
from tests.chaos.faults import WHOLE, Observation, alone, chain, read_only

GOES_ON = "the same command, with the same --out, goes on where this one stopped"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def met(place: Path) -> list[Observation]:
    return chain(place)


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
def test_a_jumping_clock_scarce_memory_a_race_and_a_full_disk_change_nothing(
    place: Path, met: list[Observation]
) -> None:
    seen = alone(place, place / WHOLE)
    assert [(each.fault, each.lost) for each in seen if each.lost] == []
    assert [each.line for each in seen if "Traceback" in each.line] == []
    assert {each.fault: each.code for each in seen if each.code == 2}.keys() <= {
        "two processes begin at once: the second",
        "a full disk",
    }
    memory = AuditResult.load(place / "memory").incidents
    assert memory is not None
    assert memory.halved


@pytest.mark.slow
def test_a_read_only_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    refused = read_only(tmp_path)
    assert refused.code == 2
    assert refused.line.startswith("fulcra: writing FOLDER/fulcra-run: ")
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


@pytest.mark.slow
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
    whole, halved = (AuditResult.load(tmp_path / name / RUN) for name in ("whole", "tight"))
    assert halved.incidents is not None
    assert sum(halved.incidents.halved.values()) == len(refused)
    assert halved.model_copy(update={"incidents": None}) == whole
    _told_everywhere(tmp_path / "tight" / RUN, f"{len(refused)} batches halved after running out")


def _told_everywhere(run: Path, words: str) -> None:
    """The line stands in the report and among the checks of `fulcra verify`, which all pass."""
    checks = verify(run)
    assert [check for check in checks if not check.passed] == []
    assert words in next(check.detail for check in checks if check.name == "incidents")
    assert words in (run / REPORT).read_text()
    assert any(line.startswith(words) for line in AuditResult.load(run).lines())


def test_a_run_that_goes_on_keeps_what_the_process_before_it_met(tmp_path: Path) -> None:
    incidents, later = Incidents(), Incidents()
    incidents.keep(tmp_path / INCIDENTS)
    assert not (tmp_path / INCIDENTS).exists()
    incidents.hear("baseline", Halved(8))
    incidents.hear("baseline", NotFinite("baseline-0", 2, 9, "L3.N7", "no edit"))
    later.hear("clean ground", Halved(4))
    later.keep(tmp_path / INCIDENTS)
    later.hear("baseline", Halved(4))
    later.hear("baseline", NotFinite("baseline-0", 2, 9, "L3.N7", "no edit"))
    assert later.entry.lines() == [
        "3 batches halved after running out of memory (baseline 2, clean ground 1)",
        "2 of 9 rollouts of baseline-0 met numbers that are not finite and stay unscored; the first"
        " at L3.N7 under no edit",
    ]
    (tmp_path / INCIDENTS).write_text('{"halved": 3}')
    with pytest.raises(RunFolderError, match="expected what an interrupted run left"):
        Incidents().keep(tmp_path / INCIDENTS)


@pytest.mark.slow
def test_an_audit_killed_after_a_halving_still_tells_of_it(
    sparse: Model, refusal: Behavior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode, short = local.decode, smallest(refusal)

    def once(model: Model, requests: list[object], *more: object) -> object:
        if len(requests) > 3:
            monkeypatch.setattr(local, "decode", stopped)
            raise MemoryError
        return decode(model, requests, *more)

    def stopped(model: Model, requests: list[object], *more: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(local, "decode", once)
    with pytest.raises(KeyboardInterrupt):
        audit_below(tmp_path, sparse, short)
    assert (tmp_path / RUN / INCIDENTS).is_file()
    monkeypatch.setattr(local, "decode", decode)
    audit_below(tmp_path, sparse, short)
    _told_everywhere(tmp_path / RUN, "1 batch halved after running out of memory (clean ground 1)")
    assert not (tmp_path / RUN / INCIDENTS).exists()


def test_memory_that_the_system_refuses_halves_a_batch(sparse: Model) -> None:
    requests = [RolloutRequest((5 + i, 6, 7), (), 4) for i in range(6)]
    expected, refused = run(sparse, requests), list[Incident]()

    def tight(model: Model, part: list[RolloutRequest]) -> list[Rollout]:
        if len(part) > 2:
            torch.empty(1 << 46, dtype=torch.uint8)
        return decode(model, part)

    decode = local.decode
    with pytest.MonkeyPatch.context() as patch, heard_by(refused.append):
        patch.setattr(local, "decode", tight)
        assert run(sparse, requests) == expected
    assert refused == [Halved(6), Halved(3), Halved(3)]


@pytest.mark.parametrize(
    "message", ["CUDA error: out of memory", "DefaultCPUAllocator: can't allocate memory"]
)
def test_passes_and_surprises_are_halved_as_rollouts_are(
    sparse: Model, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    texts = Texts.of_pairs(sparse, [(5, 6, 7)], [(8, 9)])
    doses = [None, add(sparse.neuron(1, 83), alpha=0.5), add(sparse.neuron(2, 3), alpha=0.5)]
    pairs = [((5, 6), (7, 8)), ((5,), (9,)), ((6, 7), (8,))]
    whole = _by_dose(sparse, texts, doses)
    scores = surprises.surprises(sparse, pairs)
    real_pass, real_scores = passes._Pass, surprises.text_log_probs

    def one_dose(model: Model, texts: Texts, entry: list[int], prefix: int) -> object:
        if len(entry) > 1:
            raise RuntimeError(message)
        return real_pass(model, texts, entry, prefix)

    def one_row(model: Model, texts: Texts) -> object:
        if len(texts.of) > 1:
            raise RuntimeError(message)
        return real_scores(model, texts)

    monkeypatch.setattr(passes, "_Pass", one_dose)
    monkeypatch.setattr(surprises, "text_log_probs", one_row)
    heard = list[Incident]()
    with heard_by(heard.append):
        halves = _by_dose(sparse, texts, doses)
        assert surprises.surprises(sparse, pairs) == [
            pytest.approx(row, abs=1e-4) for row in scores
        ]
    assert all(torch.allclose(halves[i], whole[i], atol=1e-4) for i in range(3))
    assert heard == [Halved(3), Halved(2)] * 2


def _by_dose(model: Model, texts: Texts, doses: list[Edit | None]) -> dict[int, Tensor]:
    """The final vectors under each dose, by its place."""
    passes = dosed_vectors(model, texts, doses)
    return {i: row for places, rows in passes for i, row in zip(places, rows, strict=True)}


def test_memory_that_runs_out_elsewhere_ends_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(**options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(cli, "app", full)
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith("fulcra: memory ran out outside of the rollouts")


@pytest.mark.slow
def test_a_prompt_with_broken_numbers_is_unscored_and_told_of(
    refusal: Behavior, tmp_path: Path
) -> None:
    model, short = load("apothecary-sparse"), smallest(refusal)
    own = set(model.prompt_ids(short.confirmation[0].text))
    for text in (*_texts_beside(short), *short.generic, *short.ceiling_generic):
        own -= set(model.prompt_ids(text))
    model.hf.get_input_embeddings().weight.data[min(own)] = torch.nan
    audit_below(tmp_path, model, short)
    result = AuditResult.load(tmp_path / RUN)
    assert result.incidents is not None
    baseline = result.incidents.not_finite["baseline-0"]
    assert (baseline.rows, baseline.first, baseline.edits) == (1, "L0.N0", "no edit")
    rows = read_rollouts(tmp_path / RUN)
    broken = [row["outcomes"] for row in rows if row["prompt"] == short.confirmation[0].id]
    assert {outcome for outcomes in broken for outcome in outcomes} == {"unscored"}
    assert result.incidents.broken == len(broken)
    _told_everywhere(tmp_path / RUN, "1 of 3 rollouts of baseline-0 met numbers that are not")
    assert not list((tmp_path / "cache").rglob("*.parquet"))


def _texts_beside(behavior: Behavior) -> list[str]:
    """Every prompt but the first of confirmation."""
    sets = (behavior.positive, behavior.negative, behavior.selection, behavior.confirmation[1:])
    return [prompt.text for prompts in sets for prompt in prompts]


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
