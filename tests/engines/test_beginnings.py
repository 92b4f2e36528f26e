"""What prompts begin with is read once a dose, and every row says what it says alone."""

import pytest
import torch

from fulcra.engines import local
from fulcra.engines.beginnings import by_dose, shared_prefix
from fulcra.engines.decoding import decode, reads_in_parts
from fulcra.engines.engine import run
from fulcra.engines.local import shards
from fulcra.models import Model, ablate_direction, add, anchor, pin, scale
from fulcra.models.tiny import tiny
from fulcra.types import Direction, Edits, Rollout, RolloutRequest, Sampling

BEGINNING = (5, 6, 7, 8, 9)
PROMPTS = [BEGINNING + rest for rest in ((10, 11), (12, 13, 14, 15), (16,))]
#: Families with a sliding window, where pads inside a prompt would count.
WINDOWED = ("cohere2", "gemma2", "gemma3", "gpt_oss", "mistral", "olmo3")


def edits_of(model: Model) -> list[Edits]:
    sites = [model.neuron(layer, 1 + layer) for layer in range(model.n_layers)]
    first, other = torch.linspace(-1, 1, model.d_model), torch.linspace(1, 0, model.d_model)
    return [
        (),
        *((add(site, alpha=3.0),) for site in sites),
        (scale(sites[-1], 2.0),),
        (pin(sites[0], 2.0), add(sites[-1], alpha=1.0)),
        (add(Direction(0, "v", first), alpha=0.5),),
        (add(Direction(0, "v", other), alpha=0.5),),
        (ablate_direction(Direction(0, "v", first)),),
        (anchor(sites[1], 3.0, 0.4, k=2.0),),
    ]


def requests_of(model: Model, heat: float = 0.0) -> list[RolloutRequest]:
    return [
        RolloutRequest(prompt, edits, 6, Sampling(heat, i))
        for edits in edits_of(model)
        for i, prompt in enumerate(PROMPTS)
    ]


def alone(model: Model, requests: list[RolloutRequest]) -> list[Rollout]:
    return [decode(model, [request], "none")[0] for request in requests]


@pytest.mark.parametrize("name", ["llama", "gpt2", "opt", "mixtral", "qwen3", "granite"])
@pytest.mark.parametrize("heat", [0.0, 0.8])
def test_rows_that_share_a_beginning_say_what_they_say_alone(name: str, heat: float) -> None:
    model = tiny(name)
    plain = [r for r in requests_of(model, heat) if not any(e.op == "anchor" for e in r.edits)]
    assert shared_prefix(model, plain) == len(BEGINNING)
    assert reads_in_parts(model)
    assert decode(model, plain) == alone(model, plain)


def test_anchored_rows_say_what_they_say_alone() -> None:
    model = tiny("llama")
    requests = requests_of(model)
    assert run(model, requests) == alone(model, requests)


@pytest.mark.parametrize("name", WINDOWED)
def test_no_beginning_is_read_apart_under_a_sliding_window(name: str) -> None:
    model = tiny(name)
    assert shared_prefix(model, requests_of(model)) == 0


def test_a_beginning_is_left_whole_where_it_does_not_pay() -> None:
    model = tiny("llama")
    site = model.neuron(1, 1)
    one_each = [RolloutRequest(p, (add(site, alpha=float(i)),)) for i, p in enumerate(PROMPTS)]
    assert shared_prefix(model, one_each) == 0
    late = [RolloutRequest(p, (add(site, alpha=1.0, positions="generated"),)) for p in PROMPTS]
    assert shared_prefix(model, late) == 0
    assert shared_prefix(model, [RolloutRequest(p) for p in ((5, 6, 7, 8), (9, 6))]) == 0
    assert shared_prefix(model, [RolloutRequest(PROMPTS[0])]) == 0


def test_batches_go_by_dose_where_prompts_begin_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny("llama")
    layers = [model.n_layers - 1, 0, 0]
    edits = [(add(model.neuron(layer, i), alpha=1.0),) for i, layer in enumerate(layers)]
    requests = [RolloutRequest(p, e, 6) for p in PROMPTS for e in edits]
    monkeypatch.setattr(local, "rows_together", lambda model, rows: min(6, len(rows)))
    assert by_dose(requests) == [1, 4, 7, 2, 5, 8, 0, 3, 6]
    assert shards(model, requests) == [[1, 4, 7, 2, 5, 8], [0, 3, 6]]
    apart = [RolloutRequest((20 + i, *p), e, 6) for i, p in enumerate(PROMPTS) for e in edits]
    assert shards(model, apart)[0] == [6, 7, 8, 0, 1, 2]
