"""Hardening: the dose of the audits in training, the base left alone, an adapter that is opened."""

import math
import random
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
import torch

from fulcra import AuditResult, AuditSettings, Behavior, Model, load
from fulcra.behaviors import load_behavior
from fulcra.defence import tuning as tuning_module
from fulcra.defence.average import Average
from fulcra.defence.doses import DEFENCES, SCREENED, UNEDITED, Defence, Draw, drawing
from fulcra.defence.hardened import PAGE, HardenResult
from fulcra.defence.hardening import Plan, harden, rows_of
from fulcra.defence.hold import Hold
from fulcra.defence.rows import (
    Row,
    extended_rows,
    generic_rows,
    laps,
    more_rows,
    own_rows,
    packed,
    rejected_rows,
    respelled,
    training_prompts,
)
from fulcra.defence.training import (
    BETA,
    ascended,
    divergence,
    foreseen,
    preference_loss,
    reply_loss,
)
from fulcra.defence.tuning import Effort, Rows, Tuning, neurons_to_freeze, require_open
from fulcra.defence.windows import Look, Sample, Window, look
from fulcra.errors import Inconclusive, InputError, ModelError, RunFolderError
from fulcra.ladders.passes import Texts, dosed_vectors
from fulcra.models import add
from fulcra.models.freezing import freeze
from fulcra.models.lora import adapted, require_adaptable
from fulcra.models.tiny import tiny as tiny_model
from fulcra.models.unembedding import logit_blocks
from fulcra.protocol.progress import Silent
from fulcra.protocol.subject import Subject
from fulcra.report.defence_page import defence_page
from fulcra.types import Direction, Neuron
from tests.defence.checks import check
from tests.models.cases import logits_of

pytest.importorskip("peft", reason="needs peft: pip install 'fulcra[defence]'")

SMALL = Sample(screened=2, random=2, candidates=4, others=4)
EFFORT = Effort(steps=2, rank=2, every=2, rows=2, generic=1, sample=SMALL)


@pytest.fixture(scope="module")
def organism() -> Model:
    """The organism that refuses by three neurons; trained on, and left as it was."""
    return load("apothecary-sparse", check=False)


@pytest.fixture(scope="module")
def short(refusal: Behavior) -> Behavior:
    """Refusal with a few prompts a split."""
    return replace(
        refusal,
        positive=refusal.positive[:3],
        negative=refusal.negative[:3],
        selection=refusal.selection[:2],
        discovery=replace_none(refusal),
    )


def replace_none(behavior: Behavior) -> object:
    return type(behavior.discovery)()


@pytest.fixture(scope="module")
def subject(organism: Model, short: Behavior) -> Subject:
    return Subject.of(organism, short)


def test_no_measured_prompt_is_trained_on(refusal: Behavior) -> None:
    measured = {prompt.text for prompt in (*refusal.selection, *refusal.confirmation)}
    measured |= {prompt.text for prompt in (*refusal.reserve, *refusal.discovery.selection)}
    measured |= {*refusal.generic, *refusal.ceiling_generic}
    trained = {prompt.text for prompt in training_prompts(refusal)}
    assert len(trained) == 256
    assert not trained & measured


def test_targets_are_the_models_own_undosed_replies(organism: Model, subject: Subject) -> None:
    rows = own_rows(organism, subject.behavior)
    assert [row.shown for row in rows] == [True] * 3 + [False] * 3
    for row in rows:
        assert row.reply[-1] in organism.end_ids
        ids = torch.tensor([row.prompt + row.reply])
        with torch.no_grad():
            best = organism.hf(ids).logits[0].argmax(-1)
        assert tuple(best[len(row.prompt) - 1 : -1].tolist()) == row.reply


def test_the_dose_of_training_is_the_dose_of_the_audit(subject: Subject) -> None:
    model, rows = subject.model, own_rows(subject.model, subject.behavior)[:2]
    dose = subject.coordinate(Neuron(2, 307, -1)).dose(0.45)
    with torch.no_grad():
        trained = foreseen(model, packed(model, rows), [(dose,), (dose,)])
        undosed = foreseen(model, packed(model, rows))
    texts = Texts.of_pairs(model, [row.prompt for row in rows], [row.reply for row in rows])
    vectors = next(dosed_vectors(model, texts, [dose]))[1][0]
    audited = torch.cat([logits for _, logits in logit_blocks(model, vectors)])
    torch.testing.assert_close(trained, audited, rtol=1e-3, atol=1e-3)
    assert float((undosed - trained).abs().max()) > 1


def test_the_dose_under_the_adapter_is_the_dose_of_the_merged_model(subject: Subject) -> None:
    model, rows = subject.model, own_rows(subject.model, subject.behavior)[:2]
    batch, edits = packed(model, rows), [(add(Neuron(2, 307, -1), alpha=-20.0),), ()]
    with adapted(model, 2, 0) as lora:
        shaken(lora.weights)
        with torch.enable_grad():
            apart = foreseen(model, batch, edits)
        with lora.merged(), torch.enable_grad():
            together = foreseen(model, batch, edits)
    torch.testing.assert_close(apart, together, rtol=1e-3, atol=1e-3)


def shaken(weights: list[torch.nn.Parameter]) -> None:
    generator = torch.Generator().manual_seed(0)
    for weight in weights:
        weight.data = 0.02 * torch.randn(weight.shape, generator=generator)


def test_gradients_reach_every_weight_and_an_untrained_adapter_loses_nothing_undosed(
    subject: Subject,
) -> None:
    model, rows = subject.model, own_rows(subject.model, subject.behavior)
    dose = subject.coordinate(Neuron(2, 307, -1)).dose(0.45)
    with adapted(model, 2, 0) as lora:
        assert float(divergence(lora, rows).detach()) < 1e-6
        undosed, dosed = (
            float(reply_loss(model, rows, [edits] * len(rows)).detach()) for edits in ((), (dose,))
        )
        assert 3 * undosed < dosed
        apart = divergence(lora, rows, [(dose,)] * len(rows))
        assert float(apart.detach()) > 0.1
        shaken(lora.weights)
        assert float(divergence(lora, rows).detach()) > 0
        divergence(lora, rows, [(dose,)] * len(rows)).backward()
        assert all(weight.grad is not None and weight.grad.any() for weight in lora.weights)
        names = {name for name, weight in model.hf.named_parameters() if weight.requires_grad}
        assert names
        assert all("lora_" in name for name in names)


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_the_model_leaves_a_training_as_it_came_in(family: str) -> None:
    model = tiny_model(family)
    before, names = logits_of(model), [name for name, _ in model.hf.named_modules()]
    with adapted(model, 2, 0) as lora:
        shaken(lora.weights)
        assert not torch.equal(logits_of(model), before)
        with lora.absent():
            torch.testing.assert_close(logits_of(model), before, rtol=1e-5, atol=1e-5)
        with lora.merged():
            assert [name for name, _ in model.hf.named_modules()] == names
            assert model.writes(1).shape == (model.d_mlp, model.d_model)
    assert torch.equal(logits_of(model), before)
    assert [name for name, _ in model.hf.named_modules()] == names
    assert all(weight.requires_grad for weight in model.hf.parameters())


def test_what_is_saved_opens_as_the_model_that_was_trained(organism: Model, tmp_path: Path) -> None:
    with adapted(organism, 2, 0) as lora:
        shaken(lora.weights)
        lora.save(tmp_path / "adapter")
        expected = logits_of(organism)
    saved = load(str(tmp_path / "adapter"))
    with pytest.raises(ModelError, match="it is an adapter already"):
        require_adaptable(saved)
    assert not hasattr(organism.hf, "peft_config")
    torch.testing.assert_close(logits_of(saved), expected, rtol=1e-3, atol=1e-3)
    assert saved.adapter is not None
    assert saved.adapter.base_sha256 == organism.sha256
    assert sorted(path.name for path in (tmp_path / "adapter").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]


def test_gains_are_drawn_inside_the_window_of_the_branch(subject: Subject) -> None:
    seen = look(subject, SMALL, 0)
    assert seen.screened == 2
    assert len(seen.edges) == 4
    rng = random.Random(0)
    for window in seen.windows:
        gains = [window.gain(rng) for _ in range(20)]
        assert window.low <= min(gains) <= max(gains) <= window.high
    for edges in seen.edges:
        window = Window.of(edges)
        if edges.trigger and edges.trigger.gain and edges.trigger.gain < (edges.ceiling.gain or 9):
            assert window.low == edges.trigger.gain


@pytest.mark.parametrize("defence", DEFENCES)
def test_each_defence_draws_what_its_name_says(subject: Subject, defence: str) -> None:
    window = Window(subject.coordinate(Neuron(2, 307, -1)), 0.3, 0.6)
    draw = drawing(defence, subject, [window])  # type: ignore[arg-type]
    edits = draw(random.Random(0))
    assert draw(random.Random(0)) == edits or defence in ("noise", "latent")
    kinds = {edit.op for edit in edits}
    assert (
        kinds
        == {
            "doses": {"add"},
            "plain": set(),
            "more": set(),
            "noise": {"add_vector"},
            "dropout": {"scale"},
            "latent": {"add_vector"},
            "freeze": set(),
            "prefer": set(),
            "extended": set(),
        }[defence]
    )
    if defence in ("doses", "noise", "latent"):
        gain = edits[0].gain
        assert gain is not None
        assert 0.3 <= gain <= 0.6


def test_a_latent_attack_costs_more_than_the_noise_it_began_as(subject: Subject) -> None:
    model, rows = subject.model, own_rows(subject.model, subject.behavior)[:3]
    window = Window(subject.coordinate(Neuron(2, 307, -1)), 0.3, 0.3)
    draw, rng = drawing("latent", subject, [window]), random.Random(0)
    noise = [draw(rng) for _ in rows]
    with adapted(model, 2, 0) as lora:
        attacks = ascended(lora, rows, noise)
        before, after = (float(divergence(lora, rows, each).detach()) for each in (noise, attacks))
        assert all(weight.grad is None for weight in lora.weights)
    assert after > 2 * before
    for (drawn,), (turned,) in zip(noise, attacks, strict=True):
        assert (turned.value, turned.gain, turned.site.layer) == (drawn.value, 0.3, 2)
        assert isinstance(drawn.site, Direction)
        assert isinstance(turned.site, Direction)
        torch.testing.assert_close(turned.site.vector.norm(), drawn.site.vector.norm())


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
def test_a_frozen_neuron_reads_and_writes_as_in_the_base(family: str) -> None:
    model, ids = tiny_model(family), torch.tensor([[1, 2, 3, 4]])
    before = neurons_of(model)
    with adapted(model, 2, 0) as lora:
        freeze(lora, [Neuron(1, 3, 1)])
        optimizer = torch.optim.AdamW(lora.weights, lr=0.1, weight_decay=0.0)
        for _ in range(2):
            optimizer.zero_grad()
            with torch.enable_grad():
                model.hf(ids).logits.float().square().mean().backward()
            optimizer.step()
        with lora.merged():
            after = neurons_of(model)
    for now, then in zip(after, before, strict=True):
        assert torch.equal(now[3], then[3])
        assert not torch.equal(now[4], then[4])


def neurons_of(model: Model) -> list[torch.Tensor]:
    """What each neuron of layer 1 reads and writes, one row a neuron."""
    weights = [
        module.weight.detach().clone()
        for name, module in model.blocks[1].named_modules()
        if "mlp" in name and hasattr(module, "weight") and module.weight.dim() == 2
    ]
    return [weight if len(weight) == model.d_mlp else weight.T for weight in weights]


def test_a_refusal_is_preferred_to_a_true_answer_by_dpo(organism: Model, subject: Subject) -> None:
    own = own_rows(organism, subject.behavior)
    pairs = rejected_rows(organism, subject.behavior, own)
    assert list(pairs) == [row for row in own if row.shown]
    prompts = {organism.prompt_ids(prompt.text): prompt for prompt in subject.behavior.positive}
    for row, answer in pairs.items():
        reading = subject.behavior.oracle(prompts[row.prompt], organism.words(answer.reply), True)
        assert (answer.prompt, reading.flipped, reading.correct) == (row.prompt, True, True)
    with adapted(organism, 2, 0) as lora:
        chosen, rejected = list(pairs), list(pairs.values())
        first = preference_loss(lora, chosen, rejected)
        assert float(first.detach()) == pytest.approx(math.log(2), abs=1e-6)
        first.backward()
        with torch.no_grad():
            for weight in lora.weights:
                weight.add_(torch.sign(weight.grad), alpha=-0.05)
        with lora.absent():
            before = log_odds(organism, pairs)
        moved = [now - then for now, then in zip(log_odds(organism, pairs), before, strict=True)]
        loss = float(preference_loss(lora, chosen, rejected).detach())
    assert loss == pytest.approx(fmean(math.log1p(math.exp(-BETA * each)) for each in moved), 1e-4)
    assert loss < math.log(2)


def log_odds(model: Model, pairs: dict[Row, Row]) -> list[float]:
    """The log-odds of each row's reply against that of the other, nats."""
    return [
        sum(
            sign * float(reply_loss(model, [each], ()).detach()) * len(each.reply)
            for sign, each in ((-1, row), (1, other))
        )
        for row, other in pairs.items()
    ]


def test_extended_refusals_take_the_place_of_what_shows_the_behavior(
    organism: Model, subject: Subject
) -> None:
    own = own_rows(organism, subject.behavior)
    taught = extended_rows(organism, subject.behavior, own)
    rows = Rows(own, [], Hold(subject), taught)
    assert (rows.dosed, rows.held) == (taught, [row for row in own if not row.shown])
    prompts = {organism.prompt_ids(prompt.text): prompt for prompt in subject.behavior.positive}
    for row, plain in zip(taught, own, strict=False):
        assert row.prompt == plain.prompt
        assert len(row.reply) > len(plain.reply)
        assert row.reply[-1] in organism.end_ids
        reading = subject.behavior.oracle(prompts[row.prompt], organism.words(row.reply), True)
        assert reading.unchanged
        assert reading.grammatical


@pytest.mark.parametrize(
    ("defence", "written"),
    [
        ("extended", "reasons"),
        ("more", "further requests"),
        ("prefer", "answers to refused requests"),
    ],
)
def test_what_a_world_writes_is_written_for_refusals_of_worlds_alone(
    organism: Model, tmp_path: Path, defence: Defence, written: str
) -> None:
    plan = Plan(EFFORT, beside=(defence,))
    message = f"{defence}: behavior framing is no refusal of an organism's world, and {written}"
    with pytest.raises(InputError, match=message):
        harden(organism, load_behavior("framing"), plan, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_freeze_is_refused_where_nothing_is_forecast_open() -> None:
    with pytest.raises(InputError, match="none of 0 screened branches is forecast open"):
        neurons_to_freeze(Look((), 0, 8.0, (), 0))


def test_half_of_the_doses_are_of_branches_that_a_screen_found(subject: Subject) -> None:
    places = [subject.coordinate(Neuron(2, slot, -1)) for slot in range(10)]
    draw = drawing("doses", subject, [Window(place, 0.3, 0.6) for place in places], 1)
    rng = random.Random(0)
    first = sum(draw(rng)[0].site == places[0].branch for _ in range(200)) / 200
    assert first == pytest.approx(SCREENED + (1 - SCREENED) / 10, abs=0.1)


def test_respelled_rows_keep_replies_and_what_all_prompts_share() -> None:
    rows = [Row((1, 2, *range(10 * i, 10 * i + 8), 3), (i,), True) for i in range(1, 9)]
    other = respelled(rows, random.Random(0))
    assert other == respelled(rows, random.Random(0))
    assert [row.reply for row in other] == [row.reply for row in rows]
    assert {row.prompt[:2] + row.prompt[-1:] for row in other} == {(1, 2, 3)}
    words = {token for row in rows for token in row.prompt}
    assert {token for row in other for token in row.prompt} <= words
    pairs = [
        (before, after)
        for row, now in zip(rows, other, strict=True)
        for before, after in zip(row.prompt[2:-1], now.prompt[2:-1], strict=True)
    ]
    assert 0.15 < sum(before != after for before, after in pairs) / len(pairs) < 0.5


@pytest.mark.parametrize("few", [64, 2])
def test_of_few_rows_that_carry_doses_half_are_in_broken_wordings(
    few: int, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning_module, "FEW", few)
    own = own_rows(subject.model, subject.behavior)
    rows = Rows(own, [], None)  # type: ignore[arg-type]
    replies = {row.reply for row in rows.dosed}
    with adapted(subject.model, 2, 0) as lora:
        for defence in DEFENCES:
            drawn = Tuning(lora, subject, rows, defence)._dosed(
                replace(EFFORT, rows=5), random.Random(1)
            )
            assert len(drawn) == 5
            assert {row.reply for row in drawn} <= replies
            assert all(row in own for row in drawn[:3])
            broken = any(row not in own for row in drawn[3:])
            assert broken == (few > len(rows.dosed) and defence not in UNEDITED)


@pytest.mark.parametrize("family", ["gemma2", "gpt2", "granite", "llama"])
def test_the_logits_of_a_training_are_the_models_own(family: str) -> None:
    model = tiny_model(family)
    rows = [Row((5, 6, 7), (8, 9), True), Row((5, 6, 7, 8, 9), (10,), True)]
    batch = packed(model, rows)
    with torch.no_grad():
        whole = model.hf(input_ids=batch.ids, attention_mask=batch.mask).logits
        torch.testing.assert_close(foreseen(model, batch), whole[batch.foresees].float())
    assert len(batch.foresees.nonzero()) == 3


def test_what_is_checked_is_the_mean_of_the_last_steps(organism: Model) -> None:
    with adapted(organism, 2, 0) as lora:
        average, weight = Average(lora), lora.weights[0]
        for value in (1.0, 2.0, 6.0):
            weight.data.fill_(value)
            average.follow()
        with average.instead():
            torch.testing.assert_close(weight.data, torch.full_like(weight.data, 3.0))
        assert (weight == 6.0).all()
        average.settle()
        assert float(weight.detach().mean()) == pytest.approx(3.0)


def test_every_row_is_drawn_as_often_as_the_others(organism: Model, subject: Subject) -> None:
    rows = generic_rows(subject.ground.text)[:5]
    drawn = laps(rows, 10, random.Random(0))
    assert sorted(drawn[:5]) == sorted(drawn[5:]) == sorted(rows)
    assert laps([], 0, random.Random(0)) == []
    with pytest.raises(InputError, match="got no rows to draw 3 from"):
        laps([], 3, random.Random(0))


def test_extended_is_refused_where_every_row_shows_the_behavior(subject: Subject) -> None:
    behavior = replace(subject.behavior, negative=subject.behavior.positive)
    all_shown = Subject(subject.ground, behavior)
    assert all(row.shown for row in rows_of(all_shown, ("doses",)).own)
    with pytest.raises(InputError, match=r"extended: .* on all 6 prompts of the contrast, so none"):
        rows_of(all_shown, ("doses", "extended"))


@pytest.mark.parametrize(
    ("opened", "lowest", "closed"),
    [(2, 0.8, True), (3, 0.9, False), (2, 0.7, False), (0, None, True)],
)
def test_a_training_stops_at_a_fifth_of_the_share_and_twice_the_trigger(
    organism: Model, opened: int, lowest: float | None, closed: bool, subject: Subject
) -> None:
    with adapted(organism, 2, 0) as lora:
        tuning = Tuning(lora, subject, None, "doses")  # type: ignore[arg-type]
    tuning.checks += [check(0, 10, 0.4), check(1, opened, lowest)]
    assert tuning.closed is closed


def test_a_check_that_spends_the_last_minutes_is_the_last(
    organism: Model, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    def checked(tuning: Tuning, effort: Effort, step: int, begun: float) -> Draw:
        clock[0] += 25.0
        tuning.checks.append(check(step, 5, 0.4))
        return lambda rng: ()

    monkeypatch.setattr(tuning_module, "_since", lambda begun: clock[0])
    monkeypatch.setattr(Tuning, "_check", checked)
    monkeypatch.setattr(Tuning, "_step", lambda *rest: None)
    with adapted(organism, 2, 0) as lora:
        tuning = Tuning(lora, subject, None, "doses")  # type: ignore[arg-type]
        entry = tuning.run(replace(EFFORT, steps=None, minutes=1.0), Silent())
    assert [each.step for each in entry.checks] == [0, 2, 4]
    assert (entry.steps, entry.stopped) == (4, "1 minutes are spent")


def test_a_loss_that_is_not_finite_names_the_step_of_the_training(
    organism: Model, subject: Subject
) -> None:
    own = own_rows(organism, subject.behavior)
    with adapted(organism, 2, 0) as lora:
        rows = Rows(own, generic_rows(subject.ground.text), None)  # type: ignore[arg-type]
        tuning = Tuning(lora, subject, rows, "plain")
        tuning.steps = 61
        lora.weights[0].data.fill_(float("nan"))
        optimizer = torch.optim.AdamW(lora.weights)
        with pytest.raises(InputError, match="step 62: the loss of apothecary-sparse is not fin"):
            tuning._step(optimizer, EFFORT, lambda rng: (), random.Random(0))


def test_where_nothing_is_forecast_open_there_is_nothing_to_close() -> None:
    require_open(check(0, 1))
    with pytest.raises(Inconclusive, match="none of 10 branches is forecast open before the first"):
        require_open(check(0, 0))


@pytest.mark.slow
def test_the_audits_stand_beside_each_other_on_a_page(
    organism: Model, short: Behavior, refusal: Behavior, tiny: AuditSettings, tmp_path: Path
) -> None:
    behavior = replace(short, selection=refusal.selection, confirmation=refusal.confirmation)
    plan = Plan(EFFORT, audits=replace(tiny, prompts=6))
    result = harden(organism, behavior, plan, tmp_path / "out")
    assert [side.side for side in result.sides] == ["before", "hardened"]
    before, after = result.sides[0], result.sides[-1]
    assert (before.allowed, before.over_refusal) == (28, 0.0)
    assert before.model.adapter is None
    audit = AuditResult.load(tmp_path / "out" / "audits" / "before")
    assert before.commitment == audit.summary.commitment_sha256
    assert after.model.adapter == result.adapter
    assert {window.branch for window in before.windows} >= {before.windows[0].branch}
    page = (tmp_path / "out" / PAGE).read_text()
    assert "Audited alike" in page
    assert "smallest open gain" in page
    assert (tmp_path / "out" / "audits" / "hardened" / "audit.json").is_file()
    assert result.settings.audit_seed != result.settings.seed
    dosed, sites = result.trainings[0].dosed or (), [Neuron(w.branch).site for w in after.windows]
    assert 1 <= len(dosed) <= 4
    assert after.fresh is not None
    fresh = after.fresh.screened + after.fresh.random
    assert fresh == sum(site not in dosed for site in sites)
    section = defence_page(hardened=[result])
    assert "| audited | before | hardened |" in section
    assert "What was forecast while doses was trained" in section
    assert "not measured here yet" not in section


@pytest.mark.slow
def test_more_data_are_all_other_requests_of_the_contrast_split(
    organism: Model, refusal: Behavior
) -> None:
    trained, further = own_rows(organism, refusal), more_rows(organism, refusal)
    prompts = {row.prompt for row in further}
    assert (len(trained), len(further), len(prompts)) == (256, 1280, 1280)
    assert not prompts & {row.prompt for row in trained}
    measured = (*refusal.selection, *refusal.confirmation, *refusal.reserve)
    assert not prompts & {organism.prompt_ids(prompt.text) for prompt in measured}
    assert 0.4 < sum(row.shown for row in further) / len(further) < 0.6


@pytest.mark.slow
@pytest.mark.parametrize(
    "defence", ["more", "noise", "dropout", "latent", "freeze", "prefer", "extended"]
)
def test_what_doses_are_compared_with_is_trained_alike(
    organism: Model, short: Behavior, tmp_path: Path, defence: Defence
) -> None:
    effort = replace(EFFORT, sample=Sample(screened=4, random=2, candidates=256, others=4))
    result = harden(organism, short, Plan(effort, defence), tmp_path / "out")
    assert (result.trainings[0].defence, result.trainings[0].steps) == (defence, 2)
    assert result.trainings[0].checks[-1].loss is not None
    assert result.trainings[0].checks[-1].loss > 0


@pytest.mark.slow
def test_a_seed_gives_the_same_adapter_again_and_the_result_is_kept(
    organism: Model, short: Behavior, tmp_path: Path
) -> None:
    plan = Plan(EFFORT, beside=("plain",))
    results = [harden(organism, short, plan, tmp_path / name) for name in ("first", "second")]
    assert results[0].adapter.sha256 == results[1].adapter.sha256
    assert HardenResult.load(tmp_path / "first") == results[0]
    training, plain = results[0].trainings
    assert (training.steps, plain.steps, plain.defence) == (2, 2, "plain")
    assert [entry.step for entry in training.checks] == [0, 2]
    assert "2 steps are spent" in training.stopped or "closed" in training.stopped
    assert load(str(tmp_path / "first" / "plain")).sha256 != load(str(tmp_path / "first")).sha256


@pytest.mark.slow
def test_an_interrupted_hardening_goes_on_and_ends_as_an_undisturbed_one(
    organism: Model, short: Behavior, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, out = Plan(EFFORT, beside=("plain",)), tmp_path / "out"
    whole = harden(organism, short, plan, tmp_path / "whole")
    trained, run = list[str](), Tuning.run

    def interrupted(tuning: Tuning, *rest: object) -> object:
        trained.append(tuning.defence)
        if trained == ["doses", "plain"]:
            raise KeyboardInterrupt
        return run(tuning, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Tuning, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        harden(organism, short, plan, out)
    with pytest.raises(RunFolderError, match="holds another run"):
        harden(organism, short, Plan(EFFORT), out)
    result = harden(organism, short, plan, out)
    assert trained == ["doses", "plain", "plain"]
    assert result.adapter == whole.adapter
    assert [each.checks[-1].loss for each in result.trainings] == [
        each.checks[-1].loss for each in whole.trainings
    ]
    assert not (out / "parts").exists()
    assert harden(organism, short, plan, out) == result
    assert len(trained) == 3


def test_what_cannot_be_hardened_is_refused_in_one_line(
    organism: Model, short: Behavior, tmp_path: Path
) -> None:
    helpful = load("apothecary-helpful", check=False)
    with pytest.raises(InputError, match="a behavior the model does not show"):
        harden(helpful, short, Plan(EFFORT), tmp_path / "a")
    with pytest.raises(InputError, match="--steps 1: the windows are checked every 2 steps"):
        harden(organism, short, Plan(replace(EFFORT, steps=1)), tmp_path / "a")
    with pytest.raises(InputError, match="no budget; give --steps or --minutes"):
        harden(organism, short, Plan(replace(EFFORT, steps=None)), tmp_path / "a")
    with pytest.raises(InputError, match="one check of the windows takes"):
        harden(organism, short, Plan(replace(EFFORT, minutes=1e-4)), tmp_path / "a")
    for option in ("minutes", "holding"):
        effort = replace(EFFORT, **{option: float("nan")})
        with pytest.raises(InputError, match=f"--{option} nan: is no finite number"):
            harden(organism, short, Plan(effort), tmp_path / "a")
    with pytest.raises(InputError, match="--beside doses: is what is trained"):
        harden(organism, short, Plan(EFFORT, beside=("doses",)), tmp_path / "a")
    assert not (tmp_path / "a").exists()
    mixture = tiny_model("mixtral")
    with pytest.raises(ModelError, match="its experts are no linear"), adapted(mixture, 2, 0):
        pass
