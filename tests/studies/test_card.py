"""A card agrees with the audit's own forecasts, plain cosines and the screen's ranks."""

from pathlib import Path

import pytest
import torch

from fulcra import contrastive, load
from fulcra.errors import InputError
from fulcra.formulas.geometry import chance_of_cosine
from fulcra.models import Model
from fulcra.models.capture import last_residuals
from fulcra.models.tiny import tiny
from fulcra.protocol.results.card import CardResult
from fulcra.report.card import card_table, render_card
from fulcra.store import AUDIT, read_json
from fulcra.studies.card import card
from fulcra.studies.exemplars import ExemplarSettings, exemplars
from fulcra.types import Behavior, Neuron
from tests.conftest import ROOT

GATE = Neuron.parse("L2.N307")
RUN = ROOT / "docs" / "evidence" / "audit-sparse"


@pytest.fixture(scope="module")
def gate_card(
    sparse: Model, refusal: Behavior, tmp_path_factory: pytest.TempPathFactory
) -> CardResult:
    """The card of a planted gate, with the shipped audit and exemplars of a few sentences."""
    folder = tmp_path_factory.mktemp("card")
    (folder / "text.txt").write_text("\n".join(prompt.text for prompt in refusal.positive))
    settings = ExemplarSettings(top=3, random=2)
    exemplars(sparse, [GATE], [folder / "text.txt"], settings).save(folder / "out")
    return card(sparse, GATE.opposite, refusal, RUN, folder / "out")


def test_predictions_are_those_the_audit_committed_and_measurements_those_it_made(
    gate_card: CardResult,
) -> None:
    audited = {
        entry["pole"]: entry
        for entry in read_json(RUN / AUDIT)["neurons"]
        if entry["neuron"] == GATE.site
    }
    assert gate_card.neuron == GATE.site
    assert len(gate_card.branches) == 2
    for branch in gate_card.branches:
        entry = audited[branch.pole]
        assert branch.measured is not None
        assert branch.trigger is not None
        assert branch.measured.plain() == entry
        assert branch.ceiling.gain == pytest.approx(entry["ceiling_predicted"]["gain"], rel=1e-3)
        assert branch.trigger.censored == entry["trigger_predicted"]["censored"]
        assert branch.alignment0 == pytest.approx(entry["alignment0"], abs=1e-4)
        assert branch.predicted_verdict == entry["predicted_verdict"]


def test_geometry_is_that_of_the_weights_and_of_the_prompts(
    gate_card: CardResult, sparse: Model, refusal: Behavior
) -> None:
    column = sparse.hf.model.layers[2].mlp.down_proj.weight[:, 307].detach()
    geometry, direction = gate_card.geometry, gate_card.direction
    assert geometry.write_norm == pytest.approx(float(column.norm()), rel=1e-5)
    assert geometry.budget == pytest.approx(geometry.residual_norm / float(column.norm()), rel=1e-4)
    means = [
        torch.cat(list(last_residuals(sparse, [sparse.prompt_ids(p.text) for p in side])))[
            :, 2
        ].mean(0)
        for side in (refusal.positive, refusal.negative)
    ]
    expected = float(torch.nn.functional.cosine_similarity(column, means[0] - means[1], dim=0))
    assert direction is not None
    assert direction.cosine == pytest.approx(expected, abs=1e-4)
    assert direction.p == pytest.approx(chance_of_cosine(expected, 128, 384), rel=1e-2)


def test_ranks_are_places_in_the_screen(
    gate_card: CardResult, sparse: Model, refusal: Behavior
) -> None:
    names = [branch.site for branch in contrastive(sparse, refusal).branches]
    raw, gain = gate_card.ranks
    assert raw.rank == names.index(GATE.site) + 1
    assert raw.of == gain.of == len(names)
    assert gain.rank < raw.rank


def test_the_page_and_the_table_hold_everything(gate_card: CardResult) -> None:
    page = render_card(gate_card)
    for words in (
        GATE.site,
        "audit-sparse",
        "Largest activations",
        "<mark>",
        gate_card.branches[0].promoted[0].token.strip(),
    ):
        assert words in page
    assert "<script" not in page
    assert "//" not in page
    assert card_table(gate_card).renderables
    assert repr(gate_card).startswith("<CardResult>\nL2.N307 of apothecary-sparse, budget B ")
    assert len(repr(gate_card).splitlines()) <= 6


def test_a_card_is_written_and_read_back(gate_card: CardResult, tmp_path: Path) -> None:
    gate_card.save(tmp_path)
    assert CardResult.load(tmp_path) == gate_card
    assert (tmp_path / "card.html").read_text() == render_card(gate_card)


def test_a_card_needs_no_behavior_in_any_kind_of_family() -> None:
    for family in ("gemma2", "gpt2", "qwen3_moe"):
        model = tiny(family)
        neuron = model.neuron(1, 3)
        bare = card(model, neuron)
        assert [branch.trigger for branch in bare.branches] == [None, None]
        assert (bare.direction, bare.ranks, bare.exemplars) == (None, (), None)
        assert render_card(bare)


def test_files_of_another_model_or_neuron_are_refused(
    sparse: Model, refusal: Behavior, tmp_path: Path
) -> None:
    with pytest.raises(
        InputError, match=r"made on other weights \(apothecary-sparse\) than apothecary-dense"
    ):
        card(load("apothecary-dense"), GATE, None, RUN)
    (tmp_path / "text.txt").write_text(refusal.positive[0].text)
    exemplars(sparse, [Neuron(1, 1)], [tmp_path / "text.txt"]).save(tmp_path / "out")
    with pytest.raises(
        InputError, match=r"holds L1\.N1, not L2\.N307; run `fulcra exemplars` on it"
    ):
        card(sparse, GATE, exemplars=tmp_path / "out")
