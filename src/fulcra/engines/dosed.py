"""A dosed model that generates as transformers does, and the proof that its edits act."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from fulcra.behaviors.generic import OPENINGS
from fulcra.engines.edit import edit
from fulcra.engines.served import until
from fulcra.errors import InputError, ModelCheckError
from fulcra.models import Applied, Model
from fulcra.types import Edit

if TYPE_CHECKING:
    from transformers.generation.streamers import BaseStreamer

#: Prompts of the check, and tokens of each reply: an edit may act on prompts or replies alone.
PROMPTS, TOKENS = 8, 4


class Proof(NamedTuple):
    """What the check saw: edited passes, and the largest move of a logit beside their noise."""

    passes: int
    moved: float
    noise: float


class _Stops(StoppingCriteria):
    """Ends a reply once it holds a string; the library's own criterion fails on word tokenizers."""

    def __init__(self, model: Model, prompt: int, strings: list[str]) -> None:
        self.model, self.prompt, self.strings = model, prompt, strings

    def __call__(self, input_ids: Tensor, *_: object, **__: object) -> Tensor:
        texts = (self.model.words(row[self.prompt :].tolist()) for row in input_ids)
        ended = [until(text, self.strings) != text for text in texts]
        return torch.tensor(ended, device=input_ids.device)


class Dosed:
    """What transformers' server takes for a model: it generates with the edits in force.

    Nothing of the model's generation_config is taken over but its ends: the text is the model's
    own, greedy unless a request sets a temperature. `seed` of a request's config seeds its draws,
    where they are made.
    """

    def __init__(self, model: Model, applied: Applied, edits: Sequence[Edit]) -> None:
        self.model, self.applied = model, applied
        # the last token of a reply is never read: edits of replies act from its second on
        self.first = 1 if any(edit.positions != "generated" for edit in edits) else 2
        self.edits = tuple(edits)
        self.config, self.device = model.hf.config, model.device
        self.generation_config = plain_config(model)

    def generate(
        self,
        input_ids: Tensor,
        generation_config: GenerationConfig,
        streamer: "BaseStreamer | None" = None,
        **inputs: object,
    ) -> Tensor:
        """Ids [1, pos] of prompt and reply; InputError where the prompt leaves no room for one.

        A reply that would leave the context is cut there; the config says so afterwards.
        """
        length = input_ids.shape[-1]
        room = self.model.context - length
        if room < 1:
            raise InputError(
                f"a prompt of {length} tokens: {self.model.name} has a context of"
                f" {self.model.context}; shorten it"
            )
        generation_config.max_new_tokens = min(generation_config.max_new_tokens or room, room)
        seed = generation_config.__dict__.pop("seed", None)
        torch.manual_seed(seed) if seed is not None else torch.seed()
        stops, generation_config.stop_strings = generation_config.stop_strings, None
        ends = [_Stops(self.model, length, _strings(stops))] if stops else []
        before = self.applied.passes
        ids: Tensor = self.model.hf.generate(
            input_ids,
            generation_config=generation_config,
            stopping_criteria=StoppingCriteriaList(ends),
            streamer=streamer,
            **inputs,
        )
        idle = self.applied.passes == before and ids.shape[-1] >= length + self.first
        if self.edits and idle:
            raise ModelCheckError("the edits did not act on this request; load the model anew")
        return ids


def _strings(stops: str | list[str]) -> list[str]:
    return [stops] if isinstance(stops, str) else stops


def plain_config(model: Model) -> GenerationConfig:
    """Greedy generation that ends where the model's replies end, and does nothing else."""
    ends = sorted(model.end_ids)
    pad = model.tokenizer.pad_token_id
    return GenerationConfig(
        eos_token_id=ends or None, pad_token_id=ends[0] if pad is None and ends else pad, top_k=0
    )


@contextmanager
def _generating_plainly(model: Model) -> Iterator[None]:
    """A span in which the model's own generation_config is a plain one."""
    own = model.hf.generation_config
    model.hf.generation_config = plain_config(model)
    try:
        yield
    finally:
        model.hf.generation_config = own


@contextmanager
def dosed(model: Model, edits: Sequence[Edit]) -> Iterator[tuple[Dosed, Proof]]:
    """The dosed model and the proof that it is dosed; ModelCheckError where nothing moves.

    The model is as before when the block ends. Cost: three short replies to eight openings.
    """
    prompts = [model.prompt_ids(text) for text in OPENINGS[:PROMPTS]]
    with _generating_plainly(model):
        clean, again = (_logits(model, prompts) for _ in range(2))
        with edit(model, *edits) as applied:
            moved = _logits(model, prompts)
            proof = Proof(applied.passes, _distance(clean, moved), _distance(clean, again))
            yield Dosed(model, applied, edits), _required(model, proof)


@contextmanager
def undosed(model: Model) -> Iterator[Dosed]:
    """The model without an edit, generating as a dosed one does: what it is compared with."""
    with _generating_plainly(model), edit(model) as applied:
        yield Dosed(model, applied, ())


def _required(model: Model, proof: Proof) -> Proof:
    if not proof.passes or not proof.moved > 2 * proof.noise:
        raise ModelCheckError(
            f"{model.name} is not dosed: {proof.passes} edited passes moved logits by"
            f" {proof.moved:.2g}, two undosed ones differ by {proof.noise:.2g}; give a recipe whose"
            " edits change what the model computes"
        )
    return proof


def _logits(model: Model, prompts: Sequence[tuple[int, ...]]) -> list[Tensor]:
    """Logits [token, vocab] of a few greedy tokens after each prompt, float32 on the CPU."""
    rows = []
    for ids in prompts:
        reply = model.hf.generate(
            torch.tensor([ids], device=model.device),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long, device=model.device),
            max_new_tokens=min(TOKENS, model.context - len(ids)),
            output_logits=True,
            return_dict_in_generate=True,
        )
        rows.append(torch.cat(reply.logits).float().cpu())
    return rows


def _distance(left: Sequence[Tensor], right: Sequence[Tensor]) -> float:
    """The largest distance of two logits at a token that both replies reached."""
    pairs = zip(left, right, strict=True)
    return max(float((a[: len(b)] - b[: len(a)]).abs().max()) for a, b in pairs)
