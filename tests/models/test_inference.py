"""Inferred rows: what exact rows say where there is one, exact edits, and refusals elsewhere."""

import copy
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close
from transformers import AutoConfig
from typer.testing import CliRunner

from fulcra.cli import app
from fulcra.engines.decoding import decode
from fulcra.errors import ModelError
from fulcra.models import Model, add, applied_rows, check, load, scale
from fulcra.models.effective import normed, probe
from fulcra.models.families import FAMILIES
from fulcra.models.inference import inferred, inferred_row
from fulcra.models.oracle import scaled_columns
from fulcra.models.read_hooks import block_outputs, mlp_inputs, mlp_outputs
from fulcra.models.shrinking import tiny_like
from fulcra.models.tiny import tiny, tiny_tokenizer
from fulcra.protocol.runs import model_entry
from fulcra.types import Edits, RolloutRequest
from tests.models.cases import ALL, PROMPTS, logits_of, routed_neuron, row_edits

CLOSE = {"rtol": 1e-4, "atol": 2e-5}
#: Types without a row: serial and parallel blocks, with a norm after the MLP, with experts, with
#: a recurrent part, and with positions of several kinds.
INFERRED = ("bloom", "exaone4", "falcon", "granitemoe", "gptj", "nemotron", "phi", "qwen3_5_text")


@cache
def inferred_model(model_type: str) -> Model:
    """The tiny model of a type without a row, made once."""
    hf, reason = tiny_like(AutoConfig.for_model(model_type))
    assert hf is not None, reason
    return Model(f"tiny-{model_type}", hf, tiny_tokenizer())


@pytest.mark.parametrize("family", ALL)
def test_an_inferred_row_is_the_exact_one(family: str) -> None:
    row, model = inferred(tiny(family).hf), FAMILIES[family]
    alike = {"layers", "final_norm", "mlp_reads", "post_norm", "transposed", "stream", "parallel"}
    alike |= {"experts"} | ({"down"} if model.experts is None else set())
    differing = {
        field.name: (getattr(row, field.name), getattr(model, field.name))
        for field in fields(row)
        if field.name in alike and getattr(row, field.name) != getattr(model, field.name)
    }
    assert differing == {}


@pytest.mark.parametrize("model_type", INFERRED)
def test_every_check_and_the_weight_edit_oracle_pass(model_type: str) -> None:
    entries = check(inferred_model(model_type))
    assert [str(entry) for entry in entries if not entry.passed] == []
    assert {"x 0", "x 2", "dose", "padding", "cache"} < {entry.name for entry in entries}


@pytest.mark.parametrize("model_type", INFERRED)
def test_rows_edited_together_equal_rows_edited_alone(model_type: str) -> None:
    model = inferred_model(model_type)
    edits = row_edits(model)
    with applied_rows(model, edits):
        together = logits_of(model)
    alone = []
    for row, edit in zip(PROMPTS, edits, strict=True):
        with applied_rows(model, edit, every_row=True):
            alone.append(logits_of(model, (row,)))
    assert_close(together, torch.cat(alone), **CLOSE)


@pytest.mark.parametrize("model_type", INFERRED)
def test_a_dose_moves_the_stream_by_the_effective_write(model_type: str) -> None:
    model, ids = inferred_model(model_type), torch.tensor([PROMPTS[0]])
    neuron, measured = routed_neuron(model, 1), probe(model)
    with torch.no_grad(), block_outputs(model) as clean, mlp_outputs(model, 1) as wrote:
        model.hf(input_ids=ids, use_cache=False)
    with torch.no_grad(), mlp_inputs(model, 1) as inputs:
        model.hf(input_ids=ids, use_cache=False)
    dose = applied_rows(model, (add(neuron, alpha=3.0),), every_row=True)
    with torch.no_grad(), dose, block_outputs(model) as dosed:
        model.hf(input_ids=ids, use_cache=False)
    weight: Any = 1.0
    if neuron.expert is not None:
        calls: Any = inputs[1]
        weight = (calls.weights * (calls.expert_ids == neuron.expert)).sum(-1)[0, :, None]
    shift = 3.0 * weight * model.write(neuron)
    expected = normed(model, 1, wrote[1][0] + shift) - normed(model, 1, wrote[1][0])
    moved = (dosed[1] - clean[1])[0]
    assert_close(moved, measured.multiplier[1] * expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("model_type", INFERRED)
def test_unembedding_the_last_stream_gives_the_logits(model_type: str) -> None:
    model, ids = inferred_model(model_type), torch.tensor([PROMPTS[0]])
    with torch.no_grad(), block_outputs(model) as streams:
        logits = model.hf(input_ids=ids, use_cache=False).logits
    with torch.no_grad():
        assert_close(model.unembed(streams[model.n_layers - 1]), logits, **CLOSE)


@pytest.mark.parametrize("model_type", INFERRED)
def test_an_edited_reply_is_that_of_edited_weights_with_and_without_a_cache(
    model_type: str,
) -> None:
    model = inferred_model(model_type)
    neuron = routed_neuron(model, 1)
    edits: Edits = (scale(neuron, 0.0),)
    with applied_rows(model, edits, every_row=True):
        cached, logits = greedy(model, True), logits_of(model)
        assert cached == greedy(model, False)
    with scaled_columns(model, (neuron,), 0.0):
        assert cached == greedy(model, True)
        assert_close(logits, logits_of(model), **CLOSE)


def greedy(model: Model, cached: bool, tokens: int = 6) -> list[int]:
    """A greedy reply of a fixed length."""
    ids = torch.tensor([PROMPTS[0]])
    reply: Tensor = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=tokens,
        min_new_tokens=tokens,
        do_sample=False,
        use_cache=cached,
    )
    return reply[0, len(PROMPTS[0]) :].tolist()


@pytest.mark.parametrize("model_type", INFERRED)
def test_rollouts_together_are_those_alone(model_type: str) -> None:
    model = inferred_model(model_type)
    sites = [model.neuron(layer, 1 + layer) for layer in range(model.n_layers)]
    edits: list[Edits] = [(), *((add(site, alpha=3.0),) for site in sites), (scale(sites[2], 2.0),)]
    prompts = [(5, 6, 7), (8, 9, 10, 11, 12), (5, 6, 7, 13)]
    requests = [RolloutRequest(prompt, edit, 6) for edit in edits for prompt in prompts]
    assert decode(model, requests) == [decode(model, [request], "none")[0] for request in requests]


class Changed(nn.Module):
    """A Llama's MLP with a part of another kind."""

    def __init__(self, mlp: nn.Module, kind: str) -> None:
        super().__init__()
        self.kind, self.mlp = kind, mlp
        self.extra_up, self.extra_down = linear(32, 8), linear(8, 32)
        self.scale = linear(32, 1)
        if kind == "low rank":
            mlp.down_proj = nn.Sequential(linear(48, 8), linear(8, 32))
        if kind == "norm before down":
            mlp.down_proj = nn.Sequential(nn.LayerNorm(48), linear(48, 32))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.mlp(x)
        if self.kind == "scale by token":
            return out * self.scale(x).sigmoid()
        if self.kind == "adapter behind":
            return out + self.extra_down(self.extra_up(out).relu())
        if self.kind == "adapter beside":
            return out + self.extra_down(self.extra_up(x).relu())
        return out


def linear(columns: int, rows: int) -> nn.Linear:
    """A random map without bias."""
    layer = nn.Linear(columns, rows, bias=False)
    nn.init.normal_(layer.weight, std=0.3)
    return layer


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("low rank", "is no neurons"),
        ("norm before down", "one column of .* moves several"),
        ("scale by token", "no map whose input moves the stream by its own column alone"),
        ("adapter behind", "is not all that an MLP adds"),
        ("adapter beside", "is not all that an MLP adds|several maps of neurons"),
    ],
)
def test_an_mlp_of_another_kind_is_refused(kind: str, reason: str) -> None:
    torch.manual_seed(0)
    hf: Any = copy.deepcopy(tiny("llama").hf)
    inferred(hf)
    for block in hf.model.layers:
        block.mlp = Changed(block.mlp, kind)
    with pytest.raises(ModelError, match=reason):
        inferred(hf)


def test_one_odd_layer_is_enough_for_a_refusal() -> None:
    hf: Any = copy.deepcopy(tiny("llama").hf)
    hf.model.layers[2].mlp = Changed(hf.model.layers[2].mlp, "scale by token")
    with pytest.raises(ModelError, match=r"model\.layers\.2 holds no map"):
        inferred(hf)


def test_a_down_projection_that_two_layers_share_is_refused() -> None:
    hf: Any = copy.deepcopy(tiny("llama").hf)
    hf.model.layers[2].mlp.down_proj = hf.model.layers[0].mlp.down_proj
    with pytest.raises(ModelError, match="are one weight"):
        inferred(hf)


@pytest.mark.parametrize(
    ("model_type", "reason"),
    [
        ("mamba", "mixer.out_proj is not all that an MLP adds"),
        ("bert", "no map whose input moves the stream"),
        ("bitnet", "moves several"),
        ("qwen2_moe", "mlp.experts is not all that an MLP adds"),
        ("deepseek_v3", "is not all that an MLP adds|several maps"),
    ],
)
def test_types_whose_edits_would_not_be_exact_are_refused(model_type: str, reason: str) -> None:
    hf, _ = tiny_like(AutoConfig.for_model(model_type))
    with pytest.raises(ModelError, match=f"'{model_type}' has no row .*({reason})"):
        inferred_row(hf)


def test_a_row_that_the_oracle_refutes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from fulcra.models.checks import validated

    model = inferred_model("gptj")
    monkeypatch.setattr(model, "family", FAMILIES["gpt2"])
    with pytest.raises(ModelError):
        validated(model)


Saved = Callable[[str], Path]


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    """The folder of a tiny model of a type."""

    def save(model_type: str) -> Path:
        hf, reason = tiny_like(AutoConfig.for_model(model_type))
        assert hf is not None, reason
        hf.save_pretrained(tmp_path / model_type)
        tiny_tokenizer().save_pretrained(tmp_path / model_type)
        return tmp_path / model_type

    return save


def test_loading_says_that_a_row_was_inferred_and_results_remember_it(saved: Saved) -> None:
    with pytest.warns(UserWarning, match="bloom has no row of its own, one was inferred and ver"):
        model = load(str(saved("bloom")))
    assert model.inferred is not None
    assert "down mlp.dense_4h_to_h" in model.inferred
    assert model_entry(model).plain()["inferred_row"] == model.inferred
    assert "inferred_row" not in model_entry(tiny("llama")).plain()


def test_check_prints_the_inferred_row_before_the_checks(saved: Saved) -> None:
    with pytest.warns(UserWarning, match="one was inferred"):
        outcome = CliRunner().invoke(app, ["check", str(saved("stablelm"))])
    assert outcome.exit_code == 0
    first, *others = outcome.output.splitlines()
    assert first.startswith("inferred row, stablelm has none of its own: layers model.layers, ")
    assert all(line.startswith("ok ") for line in others)


def test_a_recurrent_model_is_refused_in_one_line_before_its_weights_are_read(
    saved: Saved,
) -> None:
    folder = saved("mamba")
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"'mamba' has no row .*none can be inferred") as refusal:
        load(str(folder))
    assert "\n" not in str(refusal.value)
    assert refusal.value.exit_code == 2
