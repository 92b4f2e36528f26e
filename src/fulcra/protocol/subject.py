"""A model under a behavior, undosed: what every study measures against."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor

from fulcra.behaviors.splits import longest_reply
from fulcra.engines.generic import GenericText, continue_openings
from fulcra.errors import InputError
from fulcra.formulas.coordinate import Coordinate
from fulcra.judges.coherence import CoherenceStandard, coherence_standard, coherent
from fulcra.ladders.surprises import PromptAndReply as PromptAndReply
from fulcra.ladders.surprises import surprises as surprises
from fulcra.ladders.trigger_ladder import Openings
from fulcra.models import Model, load
from fulcra.models.capture import Stream, stream
from fulcra.models.chat import shared_start
from fulcra.models.coordinate import coordinate
from fulcra.organisms.planted import bundled_names, reference_beside
from fulcra.screens.contrastive import by_contrast
from fulcra.screens.pins import contrast_extent
from fulcra.screens.scores import Clean, Contrast, contrast_of
from fulcra.screens.universal import universal
from fulcra.types import Behavior, Branch, Neuron, Ranking

#: Horizons besides the behavior's own.
HORIZONS = (8, 32)


@dataclass(frozen=True, slots=True)
class Ground:
    """Clean facts of a model: generic text, its stream there, and what counts as coherent.

    `reference` is the model whose surprise judges coherence.
    """

    model: Model
    text: GenericText
    stream: Stream
    reference: Model
    standard: CoherenceStandard

    def __repr__(self) -> str:
        count, judge = len(self.text.prompts), self.reference.name
        return f"<Ground of {self.model.name}: {count} generic texts, coherence by {judge}>"

    @property
    def clean(self) -> Clean:
        """Text and stream, as screens take them."""
        return Clean(self.text, self.stream)

    def coordinate(self, branch: Branch) -> Coordinate:
        """The branch in the units of this model: its budget and clean alignment."""
        return coordinate(self.model, self.stream, branch)


@dataclass(frozen=True, eq=False)
class Subject:
    """One model under one behavior, undosed; `behavior.horizon` counts the model's own tokens.

    What is not in `ground` is computed when first asked for, and then kept.
    """

    ground: Ground
    behavior: Behavior
    seed: int = 0

    @classmethod
    def of(
        cls, model: Model, behavior: Behavior, seed: int = 0, reference: Model | None = None
    ) -> "Subject":
        """The subject with its ground; `reference` is by default the one the behavior names.

        Cost: 32 rollouts and as many clean passes; a few hundred more for `circuit` and `extent`.
        """
        behavior = in_tokens_of(model, behavior)
        judge = reference or reference_of(model, behavior)
        return cls(ground_of(model, behavior.generic, seed, behavior.system, judge), behavior, seed)

    def __repr__(self) -> str:
        name, horizon = self.behavior.name, self.behavior.horizon
        return f"<Subject {self.model.name} under {name}, horizon {horizon}, seed {self.seed}>"

    @property
    def model(self) -> Model:
        """The model under audit, that of the ground."""
        return self.ground.model

    @property
    def clean(self) -> Clean:
        """Generic text and its clean stream, as screens take them."""
        return self.ground.clean

    @property
    def horizons(self) -> tuple[int, ...]:
        """8, 32 and the behavior's verdict horizon, as far as they lie below it."""
        return horizons_of(self.behavior)

    def prompt_ids(self, text: str) -> tuple[int, ...]:
        """A prompt under the behavior's system prompt, rendered once however often it is asked."""
        if text not in self._rendered:
            self._rendered[text] = self.model.prompt_ids(text, self.behavior.system)
        return self._rendered[text]

    @cached_property
    def _rendered(self) -> dict[str, tuple[int, ...]]:
        return {}

    @cached_property
    def openings(self) -> Openings | None:
        """Openings of the selection split; None without any (then no trigger can be forecast)."""
        prompts = self.behavior.selection
        if not any(prompt.target_openings or prompt.control_openings for prompt in prompts):
            return None
        return Openings.of(self.model, prompts, self.behavior.system)

    @cached_property
    def contrast(self) -> Contrast:
        """Mean activations on positives and negatives, [layer, d_mlp] each."""
        return contrast_of(self.model, self.behavior, "contrastive")

    @cached_property
    def gaps(self) -> Tensor:
        """The contrast of activations, [layer, d_mlp]."""
        return self.contrast.positive - self.contrast.negative

    @cached_property
    def universal(self) -> tuple[Neuron, ...]:
        """The neurons that are active on text of any kind."""
        return universal(self.model, self.behavior.generic, self.behavior.system)

    @cached_property
    def circuit(self) -> Ranking:
        """The ranking by contrast, universal neurons left out."""
        return by_contrast(self.model, self.contrast).without(self.universal)

    @cached_property
    def extent(self) -> Tensor:
        """The largest natural |activation| of every neuron, [layer, d_mlp]."""
        return contrast_extent(self.model, self.behavior, self.ground.text)

    def coordinate(self, branch: Branch) -> Coordinate:
        """The branch in the units of this model: its budget and clean alignment."""
        return self.ground.coordinate(branch)

    def true_answers_coherent(self) -> float | None:
        """Share of the true flipped answers that the standard calls coherent; None without any."""
        answered = [prompt for prompt in self.behavior.confirmation if prompt.answer]
        if not answered:
            return None
        model, pairs, openings = self.model, [], []
        for prompt in answered:
            pairs.append((self.prompt_ids(prompt.text), model.reply_ids(prompt.answer or "")))
            openings.append([model.reply_ids(words) for words in prompt.target_openings])
        sound = 0
        surprise = surprises(self.ground.reference, pairs)
        for (_, reply), nats, begun in zip(pairs, surprise, openings, strict=True):
            nats = opening_forgiven(nats, reply, begun)
            sound += coherent(reply, nats, self.ground.standard).coherent is True
        return sound / len(answered)


def ground_of(
    model: Model,
    openings: Sequence[str],
    seed: int,
    system: str | None = None,
    reference: Model | None = None,
) -> Ground:
    """Generic text continued by the model, its clean stream, and the standard of its own replies.

    InputError where the model ends half of the replies at once.
    """
    text = continue_openings(model, openings, seed, system)
    if len(text.prompts) < len(openings) // 2:
        lost = len(openings) - len(text.prompts)
        raise InputError(
            f"generic text: {model.name} ends {lost} of {len(openings)} replies at once; give"
            " openings it continues"
        )
    reference = reference or model
    clean = stream(model, text.prompts, text.replies)
    surprise = surprises(reference, list(zip(text.prompts, text.replies, strict=True)))
    standard = coherence_standard(text.replies, surprise, model.vocab)
    return Ground(model, text, clean, reference, standard)


def opening_forgiven(
    surprise: Sequence[float], tokens: Sequence[int], openings: Sequence[tuple[int, ...]]
) -> list[float]:
    """Surprise with the target opening that a reply begins with counted as prefilled: 0 there.

    law.md section 5.
    """
    length = max((shared_start([tokens, opening]) for opening in openings), default=0)
    return [0.0] * length + list(surprise[length:])


def reference_of(model: Model, behavior: Behavior) -> Model:
    """The model that judges coherence: the behavior's reference, else the audited model itself.

    The reference shares the vocabulary, and is the one that the organism was tuned from, beside its
    folder; else a bundled one.
    """
    if behavior.reference is None or behavior.reference == model.name:
        return model
    beside = reference_beside(model.folder)
    names = [] if beside is None else [str(beside)]
    if behavior.reference in bundled_names():
        names.append(behavior.reference)
    vocabulary = model.tokenizer.get_vocab()
    for candidate in map(load, names):
        if candidate.tokenizer.get_vocab() == vocabulary:
            return candidate
    return model


def reference_named(model: Model, behavior: Behavior, name: str) -> Model:
    """The model of this name that a finished run was judged by; InputError where it is gone."""
    beside, judge = reference_beside(model.folder), reference_of(model, behavior)
    if name == judge.name:
        return judge
    if name == model.name:
        return model
    if beside is not None and beside.name == name:
        return load(str(beside))
    if name in bundled_names():
        return load(name)
    raise InputError(
        f"model {model.name}: its coherence was judged by {name}, which is neither bundled nor"
        " beside its folder; put it there"
    )


def in_tokens_of(model: Model, behavior: Behavior) -> Behavior:
    """The behavior with its horizon in the model's tokens: its longest true reply + 2.

    Unchanged where no true reply is known.
    """
    if not behavior.replies:
        return behavior
    return replace(behavior, horizon=longest_reply(behavior, model.reply_ids))


def horizons_of(behavior: Behavior) -> tuple[int, ...]:
    """8, 32 and the behavior's verdict horizon, as far as they lie below it."""
    return (*(horizon for horizon in HORIZONS if horizon < behavior.horizon), behavior.horizon)
