"""Whoever wants rollouts asks the model's engine: nobody rolls past it."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest

import fulcra
from fulcra.behaviors import load_behavior
from fulcra.engines.edit import clean_stream
from fulcra.engines.engine import Engine, engine_of, identity, rolled_by, run, token_identity
from fulcra.engines.generic import continue_openings
from fulcra.engines.local import LocalEngine
from fulcra.engines.roll import roll
from fulcra.models import Model
from fulcra.models.tiny import tiny
from fulcra.protocol.runs import manifest_of, provenance_of
from fulcra.types import Rollout, RolloutRequest, Sampling

SOURCE = Path(fulcra.__file__).parent
#: Where the parts of the local engine may be named; `spoken` is a conversation, not a rollout.
LOCAL = {
    "local.run_shards",
    "local.LocalEngine",
    "local.decoded",
    "local.shards",
    "decoding.decode",
}


class Backwards:
    """The local engine's rollouts, one at a time from the last; it counts what it ran."""

    name, exact = "backwards", True

    def __init__(self, model: Model, exact: bool = True) -> None:
        self.model, self.exact, self.ran, self.closed = model, exact, 0, 0

    @property
    def settings(self) -> Mapping[str, str | int | float | None]:
        return {"step": -1}

    def run_shards(self, requests: Sequence[RolloutRequest]) -> Iterator[dict[int, Rollout]]:
        for i in reversed(range(len(requests))):
            self.ran += 1
            (done,) = LocalEngine(self.model).run_shards([requests[i]])
            yield {i: done[0]}

    def close(self) -> None:
        self.closed += 1


def test_a_model_without_an_engine_rolls_in_this_process(model: Model) -> None:
    assert isinstance(engine_of(model), LocalEngine)
    assert identity(model) == {"name": "local"}
    assert token_identity(model) == {}


def test_rollouts_come_in_the_order_of_the_requests_whatever_order_they_finish_in(
    model: Model, sampled: list[RolloutRequest]
) -> None:
    few, expected = sampled[::9], run(model, sampled[::9])
    engine = Backwards(model)
    with rolled_by(model, engine):
        assert run(model, few) == expected
    assert (engine.ran, engine.closed, model.engine) == (len(few), 1, None)


def test_an_engine_is_closed_and_gone_after_an_error(model: Model) -> None:
    engine = Backwards(model)
    with pytest.raises(RuntimeError), rolled_by(model, engine):
        raise RuntimeError
    assert (engine.closed, model.engine) == (1, None)


def test_texts_and_generic_text_are_rolled_by_the_models_engine() -> None:
    model = tiny("llama")
    engine: Engine = Backwards(model)
    texts = ("a b", "c")
    before = roll(model, texts, horizon=3), continue_openings(model, texts, 0, tokens=3)
    with rolled_by(model, engine):
        assert roll(model, texts, horizon=3).tokens == before[0].tokens
        assert continue_openings(model, texts, 0, tokens=3) == before[1]
        assert clean_stream(model).norm.shape == (model.n_layers,)
    assert cast(Backwards, engine).ran == 4 + 32


def test_the_budgets_of_one_engine_are_not_those_of_another_with_its_own_tokens() -> None:
    model = tiny("llama")
    here = clean_stream(model)
    other, same = Backwards(model, exact=False), Backwards(model)
    with rolled_by(model, other):
        assert clean_stream(model) is not here
        assert clean_stream(model) is clean_stream(model)
    with rolled_by(model, same):
        assert clean_stream(model) is here
    assert (other.ran, same.ran) == (32, 0)
    assert clean_stream(model) is here


def test_no_room_rolls_past_the_engine() -> None:
    """Of the local engine's parts the rest of the source names none but the conversation."""
    past = []
    for path in SOURCE.rglob("*.py"):
        if path.parent.name == "engines":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = {f"{node.module.rpartition('.')[2]}.{alias.name}" for alias in node.names}
                past += [f"{path.name}: {name}" for name in names & LOCAL]
    assert past == []


def test_a_run_names_its_engine_and_one_of_other_tokens_is_another_run(model: Model) -> None:
    behavior = load_behavior("refusal", "apothecary")
    plain = manifest_of("audit", model, behavior, {})
    assert provenance_of(model).engine == {"name": "local"}
    with rolled_by(model, Backwards(model)):
        assert manifest_of("audit", model, behavior, {}) == plain
        assert provenance_of(model).engine == {"name": "backwards", "step": -1}
    with rolled_by(model, Backwards(model, exact=False)):
        other = manifest_of("audit", model, behavior, {})
    assert other == {**plain, "engine": {"name": "backwards", "step": -1}}


def test_a_row_keeps_its_seed_in_every_engine() -> None:
    sampling = Sampling(0.8, 7)
    assert sampling.of_row(0) == Sampling(0.8, 7_000_021)
    assert sampling.of_row(5) == Sampling(0.8, 7_000_026)
    assert len({Sampling(0.8, seed).of_row(row) for seed in range(3) for row in range(99)}) == 297
