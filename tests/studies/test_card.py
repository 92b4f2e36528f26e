"""A card says what independent computations say: the audit's own forecasts, plain cosines, the
screen's ranks.
"""

from pathlib import Path
from typing import Any

import pytest
import torch

from fulcra import contrastive, load
from fulcra.errors import InputError
from fulcra.formulas.geometry import chance_of_cosine
from fulcra.models import Model
from fulcra.models.capture import last_residuals
from fulcra.models.tiny import tiny
from fulcra.report.card import card_table, render_card
from fulcra.store import AUDIT, read_json
from fulcra.studies.card import card
from fulcra.studies.exemplars import ExemplarSettings, exemplars
from fulcra.types import Behavior, Neuron
from tests.conftest import ROOT

GATE = Neuron.parse("L2.N307")
RUN = ROOT / "docs" / "evidence" / "audit-sparse"


@pytest.fixture(scope="module")
def found(
    sparse: Model, refusal: Behavior, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """The card of a planted gate, with the shipped audit and exemplars of a few sentences."""
    folder = tmp_path_factory.mktemp("card")
    (folder / "text.txt").write_text("\n".join(prompt.text for prompt in refusal.positive))
    exemplars(
        sparse, [GATE], [folder / "text.txt"], ExemplarSettings(top=3, random=2), folder / "out"
    )
    return card(sparse, GATE.opposite, refusal, RUN, folder / "out")


def test_predictions_are_those_the_audit_committed_and_measurements_those_it_made(
    found: dict[str, Any],
) -> None:
    audited = {
        entry["pole"]: entry
        for entry in read_json(RUN / AUDIT)["neurons"]
        if entry["neuron"] == GATE.site
    }
    assert found["neuron"] == GATE.site
    for branch in found["branches"]:
        entry = audited[branch["pole"]]
        assert branch["measured"] == entry
        assert branch["ceiling"]["gain"] == pytest.approx(
            entry["ceiling_predicted"]["gain"], rel=1e-3
        )
        assert branch["trigger"]["censored"] == entry["trigger_predicted"]["censored"]
        assert branch["alignment0"] == pytest.approx(entry["alignment0"], abs=1e-4)
        assert branch["predicted_verdict"] == entry["predicted_verdict"]


def test_geometry_is_that_of_the_weights_and_of_the_prompts(
    found: dict[str, Any], sparse: Model, refusal: Behavior
) -> None:
    column = sparse.hf.model.layers[2].mlp.down_proj.weight[:, 307].detach()
    assert found["geometry"]["write_norm"] == pytest.approx(float(column.norm()), rel=1e-5)
    assert found["geometry"]["budget"] == pytest.approx(
        found["geometry"]["residual_norm"] / float(column.norm()), rel=1e-4
    )
    means = [
        torch.cat(list(last_residuals(sparse, [sparse.prompt_ids(p.text) for p in side])))[
            :, 2
        ].mean(0)
        for side in (refusal.positive, refusal.negative)
    ]
    expected = float(torch.nn.functional.cosine_similarity(column, means[0] - means[1], dim=0))
    assert found["direction"]["cosine"] == pytest.approx(expected, abs=1e-4)
    assert found["direction"]["p"] == pytest.approx(chance_of_cosine(expected, 128, 384), rel=1e-2)


def test_ranks_are_places_in_the_screen(
    found: dict[str, Any], sparse: Model, refusal: Behavior
) -> None:
    names = [branch.site for branch in contrastive(sparse, refusal).branches]
    raw, gain = found["ranks"]
    assert raw["rank"] == names.index(GATE.site) + 1
    assert raw["of"] == gain["of"] == len(names)
    assert gain["rank"] < raw["rank"]


def test_the_page_and_the_table_hold_everything(found: dict[str, Any]) -> None:
    page = render_card(found)
    for words in (
        GATE.site,
        "audit-sparse",
        "Largest activations",
        "<mark>",
        found["branches"][0]["promoted"][0]["token"].strip(),
    ):
        assert words in page
    assert "<script" not in page
    assert "//" not in page
    assert card_table(found).renderables


def test_a_card_needs_no_behavior_in_any_kind_of_family() -> None:
    for family in ("gemma2", "gpt2", "qwen3_moe"):
        model = tiny(family)
        neuron = model.neuron(1, 3)
        found = card(model, neuron)
        assert [branch["trigger"] for branch in found["branches"]] == [None, None]
        assert (found["direction"], found["ranks"], found["exemplars"]) == (None, [], None)
        assert render_card(found)


def test_files_of_another_model_or_neuron_are_refused(
    sparse: Model, refusal: Behavior, tmp_path: Path
) -> None:
    with pytest.raises(
        InputError, match=r"made on other weights \(apothecary-sparse\) than apothecary-dense"
    ):
        card(load("apothecary-dense"), GATE, None, RUN)
    (tmp_path / "text.txt").write_text(refusal.positive[0].text)
    exemplars(sparse, [Neuron(1, 1)], [tmp_path / "text.txt"], out=tmp_path / "out")
    with pytest.raises(
        InputError, match=r"holds L1\.N1, not L2\.N307; run `fulcra exemplars` on it"
    ):
        card(sparse, GATE, exemplars=tmp_path / "out")
