"""Mending: a gate of an audit, changes of one neuron as adapters, what they close and cost."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fulcra import AuditResult, Behavior, Model, load
from fulcra.defence.mend.besides import Besides
from fulcra.defence.mend.changes import Activations, Change, activations_of, mean, spreads, zero
from fulcra.defence.mend.gates import gate_of, opened_in
from fulcra.defence.mend.mended import (
    BesidesEntry,
    ChangeEntry,
    HeldEntry,
    HoldEntry,
    LadderEntry,
    MendResult,
    ReachEntry,
)
from fulcra.defence.mend.mending import (
    Plan,
    audit_settings,
    mend,
    smallest,
    unoffered,
)
from fulcra.defence.mend.reach import Attacks
from fulcra.defence.mend.retraining import Lessons, retrained
from fulcra.defence.rows import Row, generic_rows, own_rows
from fulcra.defence.windows import subject_now
from fulcra.engines.generic import continue_openings
from fulcra.errors import InputError, ModelError, RunFolderError
from fulcra.ladders.kl_ladder import clean_tokens, divergences
from fulcra.ladders.passes import Texts
from fulcra.models import add, add_mlp, applied_rows, direction, pin, scale
from fulcra.models.lora import Factors, adapted, named, require_adaptable
from fulcra.models.neuron_rows import layer_rows, reading_modules
from fulcra.models.tiny import tiny as tiny_model
from fulcra.protocol.progress import Silent
from fulcra.protocol.subject import Subject
from fulcra.report.mended import change_sheet, notes
from fulcra.types import Neuron
from tests.models.cases import PROMPTS, logits_of, model_of

pytest.importorskip("peft", reason="needs peft: pip install 'fulcra[defence]'")

AUDIT = Path(__file__).parents[2] / "docs" / "evidence" / "audit-sparse"
GATE = Neuron("L3.N215")


@pytest.fixture(scope="module")
def subject(refusal: Behavior) -> Subject:
    return Subject.of(load("apothecary-sparse", check=False), refusal)


@pytest.fixture(scope="module")
def rows(subject: Subject) -> list[Row]:
    return own_rows(subject.model, subject.behavior) + generic_rows(subject.ground.text)


@pytest.fixture(scope="module")
def seen(subject: Subject, rows: list[Row]) -> Activations:
    return activations_of(subject.model, GATE.layer, rows)


def held(model: Model, neuron: Neuron, value: float) -> torch.Tensor:
    with applied_rows(model, (pin(neuron, value),), every_row=True):
        return logits_of(model)


def changed(model: Model, factors: Mapping[str, Factors], merged: bool = False) -> torch.Tensor:
    with adapted(model, 1, 0, named(list(factors))) as lora:
        lora.put(factors)
        if not merged:
            return logits_of(model)
        with lora.merged():
            return logits_of(model)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2", "opt", "starcoder2"])
def test_zero_is_the_ablation_whichever_way_the_weight_is_stored(family: str) -> None:
    model = model_of(family)
    neuron = Neuron(1, int(layer_rows(model, 1, PROMPTS).abs().mean(0).argmax()))
    change = zero(model, neuron)
    assert list(change.factors) == [model.place(1)]
    ablated, before = held(model, neuron, 0.0), logits_of(model)
    assert not torch.allclose(ablated, before, atol=1e-4)
    torch.testing.assert_close(changed(model, change.factors), ablated, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(changed(model, change.factors, True), ablated, rtol=1e-5, atol=1e-6)
    assert torch.equal(logits_of(model), before)


def test_the_column_of_half_precision_is_zero_as_well() -> None:
    model, neuron = tiny_model("llama"), Neuron(1, 3)
    model.hf.bfloat16()
    change = zero(model, neuron)
    with adapted(model, 1, 0, named(list(change.factors))) as lora:
        lora.put(change.factors)
        with lora.merged():
            assert model.writes(1).any()
            assert not model.write(neuron).any()
    assert model.write(neuron).any()


@pytest.mark.parametrize("name", ["apothecary-sparse", "apothecary-gpt2-sparse"])
def test_the_saved_adapter_gives_the_logits_of_the_ablation(name: str, tmp_path: Path) -> None:
    model = load(name, check=False)
    change = zero(model, GATE)
    with adapted(model, 1, 0, named(list(change.factors))) as lora:
        lora.put(change.factors)
        lora.save(tmp_path / "mended")
    saved = load(str(tmp_path / "mended"), check=False)
    assert not saved.write(GATE).any()
    with applied_rows(model, (scale(GATE, 0.0),), every_row=True):
        ablated = logits_of(model)
    assert torch.equal(logits_of(saved), ablated)
    assert change.norm == pytest.approx(
        float(model.write(GATE).norm() / model.writes(GATE.layer).norm())
    )


def test_a_spread_write_is_gone_and_the_others_foretell_it(
    subject: Subject, seen: Activations
) -> None:
    model = subject.model
    smaller, larger = [each for i, each in enumerate(spreads(model, GATE, seen)) if i in (1, 5)]
    assert smaller.fit is not None
    assert larger.fit is not None
    assert smaller.norm < larger.norm
    assert 0.4 < (smaller.fit.r2 or 0) < (larger.fit.r2 or 0) < 1
    write, read = larger.factors[model.place(GATE.layer)]
    assert torch.equal(write, model.write(GATE))
    assert read[GATE.index] == -1
    with adapted(model, 1, 0, named(list(larger.factors))) as lora:
        lora.put(larger.factors)
        with lora.merged():
            assert not model.write(GATE).any()


def test_spread_stays_nearer_to_the_original_than_zero_on_held_out_text(
    subject: Subject, seen: Activations
) -> None:
    model, behavior = subject.model, subject.behavior
    text = continue_openings(model, behavior.ceiling_generic, 0)
    texts = Texts.of_pairs(model, text.prompts, text.replies)
    clean, kls = clean_tokens(model, texts), []
    for change in (zero(model, GATE), list(spreads(model, GATE, seen))[-1]):
        with adapted(model, 1, 0, named(list(change.factors))) as lora:
            lora.put(change.factors)
            with lora.merged():
                kls.append(float(next(divergences(model, texts, clean, [()]))[1].mean()))
    assert 0 < kls[1] < 0.3 * kls[0]


def test_mean_writes_about_as_the_neuron_held_at_its_mean(
    subject: Subject, seen: Activations
) -> None:
    model, value = subject.model, float(seen.fitted[:, GATE.index].mean())
    change = mean(model, GATE, seen, value)
    assert change.fit is not None
    assert (change.fit.error or 1) < 0.3
    at_mean, ablated = held(model, GATE, value), held(model, GATE, 0.0)
    away = float((changed(model, change.factors) - at_mean).abs().mean())
    assert away < 0.5 * float((ablated - at_mean).abs().mean())


def test_activations_are_of_every_position_but_pads(subject: Subject) -> None:
    texts = [(5, 17, 23, 42), (9, 31)]
    whole = layer_rows(subject.model, 2, texts)
    assert whole.shape == (6, subject.model.width(2))
    torch.testing.assert_close(whole[4:], layer_rows(subject.model, 2, texts[1:]))


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("llama", ["gate_proj", "up_proj"]),
        ("gpt2", ["c_fc"]),
        ("gpt_neox", ["dense_h_to_4h"]),
        ("opt", ["fc1"]),
    ],
)
def test_a_neuron_is_read_by_the_modules_beside_its_down_projection(
    family: str, names: list[str]
) -> None:
    assert [name.rpartition(".")[2] for name in reading_modules(model_of(family), 0)] == names


def test_a_retraining_changes_one_column_and_its_rows_and_leaves_the_model(
    subject: Subject, rows: list[Row]
) -> None:
    model, gate = subject.model, gate_of(AUDIT, AuditResult.load(AUDIT))
    assert str(gate.neuron) == "L1.N83-"
    before = logits_of(model)
    shown = [row for row in rows if row.shown][:4]
    change = retrained(subject, gate, Lessons(shown, rows[-4:]), 2, 0, Silent())
    assert torch.equal(logits_of(model), before)
    assert len(change.factors) == 3
    unit = torch.zeros(model.width(1))
    unit[83] = 1
    for name, (write, read) in change.factors.items():
        fixed, free = (read, write) if name == model.place(1) else (write, read)
        assert torch.equal(fixed, unit)
        assert free.any()
    again = retrained(subject, gate, Lessons(shown, rows[-4:]), 2, 0, Silent())
    assert all(torch.equal(change.factors[n].write, again.factors[n].write) for n in again.factors)


def test_the_old_write_in_the_stream_is_the_dose_of_the_neuron(subject: Subject) -> None:
    model, neuron = subject.model, Neuron("L1.N83-")
    site = direction(1, model.write(neuron))
    with applied_rows(model, (add(neuron, alpha=-7.0),), every_row=True):
        dosed = logits_of(model)
    with applied_rows(model, (add_mlp(site, -7.0),), every_row=True):
        torch.testing.assert_close(logits_of(model), dosed, rtol=1e-4, atol=1e-4)


def test_an_inert_neuron_is_closed_and_its_direction_still_opens(
    subject: Subject,
) -> None:
    model, gate = subject.model, gate_of(AUDIT, AuditResult.load(AUDIT))
    attacks = Attacks.of(subject, gate, (0.3, 0.45))
    change = zero(model, gate.neuron)
    with adapted(model, 1, 0, named(list(change.factors))) as lora:
        lora.put(change.factors)
        with lora.merged():
            reach = attacks.on(subject_now(subject))
    assert reach.inert
    assert reach.closed
    assert (reach.through, reach.held, reach.most) == ((), (), 0.0)
    assert reach.around_opens == 0.45


def reach_of(**more: object) -> ReachEntry:
    plain: dict[str, object] = {"n": 16, "undosed": 0.0, "inert": False, "through": (), "held": ()}
    return ReachEntry.model_validate({**plain, "around": (), "direction": 0.0, **more})


def test_half_of_the_prompts_by_any_way_through_the_neuron_is_open() -> None:
    ladder = LadderEntry(way="own", pole="-", gains=(0.3, 0.6, 0.9), flips=(0.4, 0.5, 0.1))
    assert ladder.opens == 0.6
    assert reach_of().closed
    assert not reach_of(undosed=0.5).closed
    assert not reach_of(through=(ladder,)).closed
    assert not reach_of(held=(HeldEntry(value=0.0, flips=0.7),)).closed
    stream = reach_of(around=(ladder,))
    assert stream.closed
    assert stream.around_opens == 0.6


def test_the_smallest_change_that_closes_and_keeps_is_taken() -> None:
    def entry(how: str, norm: float, undosed: float, keeps: bool) -> ChangeEntry:
        reach = reach_of(undosed=undosed, inert=True)
        return ChangeEntry.model_validate(
            {"how": how, "norm": norm, "reach": reach, "keeps": keeps}
        )

    changes = [
        entry("zero", 0.1, 0.7, False),
        entry("mean", 0.2, 0.0, False),
        entry("spread", 2.0, 0.0, True),
        entry("retrain", 1.0, 0.0, True),
        ChangeEntry(how="retrain", reason="not tried"),
    ]
    taken = smallest(changes)
    assert taken is not None
    assert taken.how == "retrain"
    assert smallest(changes[:2]) is None


def test_gates_are_what_the_audit_opened() -> None:
    audit = AuditResult.load(AUDIT)
    both = gate_of(AUDIT, audit, "L2.N307+")
    assert (str(both.neuron), both.poles, both.opens) == ("L2.N307-", (-1,), 0.65)
    assert both.ablation_opens
    assert 0.0 in both.held
    held_alone = gate_of(AUDIT, audit, "L3.N215")
    assert (held_alone.poles, held_alone.opens, held_alone.holds) == ((), None, (0.0,))
    dosed = gate_of(AUDIT, audit)
    assert not dosed.holds
    opened = opened_in("before", audit)
    assert (next(iter(opened.doses)), len(opened.doses)) == ("L1.N83-", 6)
    assert opened.held == {"L2.N307": 0.6875, "L3.N215": 0.5}
    with pytest.raises(InputError, match=r"not measured by the audit in .* open there: L1\.N83-"):
        gate_of(AUDIT, audit, "L5.N5-")
    with pytest.raises(InputError, match=r"L6\.N291: nothing opens through it"):
        gate_of(AUDIT, audit, "L6.N291")
    closed = [
        branch.model_copy(update={"smallest_open_gain": None, "pins": ()})
        for branch in audit.neurons
    ]
    nothing = audit.model_copy(update={"neurons": tuple(closed)})
    with pytest.raises(InputError, match="nothing opens in this audit"):
        gate_of(AUDIT, nothing)


def test_the_audit_afterwards_has_the_settings_of_the_run_and_another_seed() -> None:
    audit = AuditResult.load(AUDIT)
    more = {"screen": "contrastive", "confirmation": 40, "prompts": 5, "candidates": 64}
    run = audit.model_copy(update={"settings": audit.settings.model_copy(update=more)})
    settings = audit_settings(run, Plan(seed=3, measure="sequential"))
    assert settings.seed == 1003
    assert settings.measure == "sequential"
    assert {name: getattr(settings, name) for name in more} == more
    assert (settings.neurons, settings.random, settings.controls) == (12, 12, 20)


def test_what_cannot_be_mended_is_refused_in_one_line(subject: Subject, tmp_path: Path) -> None:
    audit = AuditResult.load(AUDIT)
    assert "writes nothing" in unoffered(subject.model, gate_of(AUDIT, audit, "L2.N307"))
    assert unoffered(subject.model, gate_of(AUDIT, audit)) == ""
    assert "fused in one weight" in unoffered(model_of("phi3"), gate_of(AUDIT, audit))
    with pytest.raises(ModelError, match="its experts are no linear layers"):
        require_adaptable(model_of("mixtral"))
    with pytest.raises(RunFolderError, match=r"no audit\.json; expected the folder of a finished"):
        mend(tmp_path, Plan(), tmp_path / "out")
    with pytest.raises(InputError, match=r"--how retrain: L3\.N215: ablated, a neuron writes"):
        mend(AUDIT, Plan("L3.N215", ("retrain",)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_audit_of_an_adapter_is_refused(subject: Subject, tmp_path: Path) -> None:
    change = zero(subject.model, GATE)
    with adapted(subject.model, 1, 0, named(list(change.factors))) as lora:
        lora.put(change.factors)
        lora.save(tmp_path / "lying")
    content = json.loads((AUDIT / "audit.json").read_text())
    content["model"] |= {
        "name": str(tmp_path / "lying"),
        "sha256": load(str(tmp_path / "lying"), check=False).sha256,
    }
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "audit.json").write_text(json.dumps(content))
    with pytest.raises(
        InputError, match=r"an adapter already, .* it lies on \(apothecary-sparse\), and mend"
    ):
        mend(tmp_path / "run", Plan(), tmp_path / "out")


def test_a_loss_of_a_tenth_of_the_margin_is_a_loss(subject: Subject) -> None:
    besides = Besides(subject)
    before = besides.before
    assert besides.keeps(before)
    assert before.margin is not None
    for margin, keeps in ((0.91, True), (0.89, False)):
        now = before.model_copy(update={"margin": margin * before.margin})
        assert besides.keeps(now) is keeps
    assert besides.keeps(before.model_copy(update={"shown": before.shown - 1}))
    assert not besides.keeps(before.model_copy(update={"shown": before.shown - 2}))
    worse: BesidesEntry = before.model_copy(update={"hold": HoldEntry(n=148, accuracy=0.9)})
    assert not besides.keeps(worse)


def test_a_change_held_to_no_other_request_mends_and_says_so(subject: Subject) -> None:
    besides = Besides(Subject(subject.ground, few_of(subject.behavior)))
    before = besides.before
    assert before.hold.n == 0
    assert besides.keeps(before) is None
    assert besides.keeps(before.model_copy(update={"shown": before.shown - 2})) is False
    change = ChangeEntry(
        how="zero", norm=0.1, reach=reach_of(inert=True), besides=before, keeps=None
    )
    assert change.mends
    stored = MendResult.load(AUDIT.parent / "mend-L1.N83.json")
    result = stored.model_copy(update={"changes": (change,), "taken": "zero"})
    for lines in (result.lines(), notes(result)):
        assert "; other undosed requests were held to NOTHING" in " ".join(lines)
    rows = {row[0]: row[-1] for row in change_sheet(result).rows}
    assert (rows["other requests"], rows["nothing else lost"]) == ("not measured",) * 2


@pytest.mark.parametrize(
    ("changes", "hold", "lost"),
    [
        ({}, {}, []),
        ({"shown": 23}, {"accuracy": 0.953}, []),
        ({"margin": 7.7}, {"over_refusal": 0.0203}, []),
        ({"margin": 7.6}, {}, ["7.6 nats of margin, not 8.55"]),
        ({"shown": 22, "margin": 8.5}, {}, ["22 of 24 show the behavior, not 24"]),
        (
            {"shown": 23},
            {"accuracy": 0.94, "over_refusal": 0.1},
            [
                "0.94 of other requests answered truly, not 0.959",
                "0.1 of other requests refused, not 0.0135",
            ],
        ),
        ({}, {"over_refusal": 0.0338}, ["0.0338 of other requests refused, not 0.0135"]),
    ],
)
def test_a_refusal_lists_what_breaks_the_rule_and_nothing_inside_it(
    changes: dict[str, float], hold: dict[str, float], lost: list[str]
) -> None:
    result = MendResult.load(AUDIT.parent / "mend-L1.N83.json")
    before, zeroed = result.original, result.changes[0]
    now = before.model_copy(update={**changes, "hold": before.hold.model_copy(update=hold)})
    assert now.losses(before) == lost
    change = zeroed.model_copy(update={"besides": now, "keeps": not lost})
    refused = result.model_copy(update={"changes": (change,), "taken": None})
    assert f"(zero: closed, but {', '.join(lost)})" in refused.refusal or not lost


def test_what_is_worse_in_the_audit_afterwards_stands_beside_the_verdict() -> None:
    lines = {
        name: notes(MendResult.load(AUDIT.parent / f"mend-{name}.json"))
        for name in ("L1.N83", "L2.N307", "L3.N215")
    }
    (none,) = (line for line in lines["L1.N83"] if "afterwards" in line)
    assert none.endswith("none of its figures")
    assert not any("afterwards" in line for line in lines["L2.N307"])
    (worse,) = (line for line in lines["L3.N215"] if "afterwards" in line)
    assert "median margin [nats] 8.88 to 7.14" in worse
    assert "prefill_8 flips 0.812 to 1" in worse
    assert "best_neuron" not in worse


def test_what_the_evidence_keeps_is_what_loses_nothing() -> None:
    for path in AUDIT.parent.glob("mend-*.json"):
        result = MendResult.load(path)
        for change in result.changes:
            if change.besides is not None:
                assert change.keeps is not bool(change.besides.losses(result.original))


def few_of(refusal: Behavior) -> Behavior:
    """The behavior outside its world, with three contrast prompts a side."""
    oracle = refusal.oracle
    return replace(
        refusal,
        positive=refusal.positive[:3],
        negative=refusal.negative[:3],
        selection=refusal.selection[:2],
        confirmation=refusal.confirmation[:2],
        discovery=type(refusal.discovery)(),
        oracle=lambda prompt, text, ended: oracle(prompt, text, ended),
    )


def test_a_change_names_what_it_adds(subject: Subject) -> None:
    change: Change = zero(subject.model, GATE)
    (factors,) = change.factors.values()
    assert factors.norm == pytest.approx(float(torch.outer(*factors).norm()))
