"""What is read on texts is what a hook on the transformers model sees, token by token."""

import pytest
import torch

from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.models.reading import Activations, read
from fulcra.models.tiny import tiny, tiny_tokenizer
from fulcra.types import Neuron
from tests.models.cases import model_of
from tests.models.test_chat import WITH_BOS

NEURONS = (Neuron(1, 7), Neuron(0, 3, -1), Neuron(1, 2))
TEXTS = ("w5 w17 w23 w42 w8", "w9", "w77 w13 w54")


def hooked(model: Model, module: torch.nn.Module, text: str) -> tuple[torch.Tensor, ...]:
    """What a module of the transformers model is called with on one text alone."""
    calls: list[tuple[torch.Tensor, ...]] = []
    handle = module.register_forward_pre_hook(lambda module, inputs: calls.append(inputs))
    with torch.no_grad():
        model.hf(torch.tensor([model.tokenizer(text)["input_ids"]]), use_cache=False)
    handle.remove()
    return calls[0]


@pytest.fixture
def activations() -> Activations:
    return read(model_of("llama"), NEURONS, TEXTS)


def test_values_are_what_the_down_projection_reads(activations: Activations) -> None:
    model = model_of("llama")
    for text, values in zip(TEXTS, activations.values, strict=True):
        assert values.dtype == torch.float32
        for column, neuron in enumerate(NEURONS):
            down = model.hf.model.layers[neuron.layer].mlp.down_proj
            inputs = hooked(model, down, text)[0][0]
            torch.testing.assert_close(values[:, column], inputs[:, neuron.index])


def test_in_a_mixture_only_routed_tokens_have_a_value() -> None:
    model = model_of("qwen3_moe")
    experts = model.hf.model.layers[2].mlp.experts
    neurons = [Neuron(2, 3, 1, expert) for expert in range(model.n_experts)]
    activations = read(model, neurons, TEXTS)
    for text, values in zip(TEXTS, activations.values, strict=True):
        tokens, expert_ids, _ = hooked(model, experts, text)
        for expert in range(model.n_experts):
            gate, up = (tokens @ experts.gate_up_proj[expert].T).chunk(2, -1)
            whole = (experts.act_fn(gate) * up)[:, 3]
            routed = (expert_ids == expert).any(-1)
            assert (values[:, expert].isnan() == ~routed).all()
            torch.testing.assert_close(values[routed, expert], whole[routed])
    column = activations.table()["activation"]
    assert column.null_count == sum(int(values.isnan().sum()) for values in activations.values)
    assert len(activations.top(10_000)) == len(column) - column.null_count < len(column)


def test_tokens_stand_beside_their_values(activations: Activations) -> None:
    assert [[token.strip() for token in row] for row in activations.tokens] == [
        text.split() for text in TEXTS
    ]
    rows = activations.table().to_pylist()
    assert len(rows) == 9 * len(NEURONS)
    for row in rows:
        column = [neuron.site for neuron in NEURONS].index(row["neuron"])
        text, position = row["text"], row["position"]
        assert row["activation"] == float(activations.values[text][position, column])
        assert row["token"] == activations.tokens[text][position]


def test_the_top_is_that_of_the_sorted_table(activations: Activations) -> None:
    rows = sorted(activations.table().to_pylist(), key=lambda row: -abs(row["activation"]))
    expected = [(r["text"], r["position"], r["token"], r["neuron"], r["activation"]) for r in rows]
    places = activations.top(6)
    assert [(*place[:3], place.neuron.site, place.activation) for place in places] == expected[:6]
    assert activations.top(0) == ()


def test_it_shows_itself_in_five_lines(activations: Activations) -> None:
    lines = repr(activations).splitlines()
    assert len(lines) == 5
    assert lines[0] == "Activations(texts 3, tokens 9, neurons 3)"
    assert lines[1].strip() == str(activations.top(1)[0])


def test_texts_are_plain_unless_they_are_a_chat() -> None:
    model = tiny("llama", chat_template=WITH_BOS)
    plain, chat = (read(model, NEURONS, TEXTS[:1], chat=chat).tokens[0] for chat in (False, True))
    assert plain == model.pieces(model.prompt_ids(TEXTS[0], chat=False))
    assert chat == model.pieces(model.prompt_ids(TEXTS[0]))
    assert len(chat) > len(plain)
    model.tokenizer = tiny_tokenizer(adds_bos=True)
    assert len(read(model, NEURONS, TEXTS[:1]).values[0]) == len(plain) + 1


@pytest.mark.parametrize("chat", [False, True])
def test_a_system_prompt_stands_before_every_text_and_is_read(chat: bool) -> None:
    model = tiny("llama", chat_template=WITH_BOS)
    under = read(model, NEURONS, TEXTS[:2], chat=chat, system="w7 w8")
    for text, tokens, values in zip(TEXTS[:2], under.tokens, under.values, strict=True):
        assert tokens == model.pieces(model.prompt_ids(text, "w7 w8", chat))
        assert len(values) == len(tokens)


@pytest.mark.parametrize(
    ("neurons", "texts", "message"),
    [
        (NEURONS, ["w5", "  "], r"read\(\): text 1 is empty; give one with words in it"),
        (NEURONS, [], r"read\(\): texts is empty; give a list"),
        (NEURONS, "w5", r"read\(\): texts is one text; give a list"),
        ([], ["w5"], r"read\(\): no neuron was given"),
        ([Neuron(9, 0)], ["w5"], "layers 0-2"),
        ([Neuron(1, 0, 1, 2)], ["w5"], "has no experts; leave out .E2"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    neurons: list[Neuron], texts: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message) as refusal:
        read(model_of("llama"), neurons, texts)
    assert "\n" not in str(refusal.value)
