"""The ground an audit stands on: generic text, the clean stream, and what counts as coherent."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from fulcra.behaviors.splits import longest_reply
from fulcra.engines.generic import GenericText, continue_openings
from fulcra.errors import InputError
from fulcra.judges.coherence import CoherenceStandard, coherence_standard, coherent
from fulcra.ladders.trigger_ladder import Openings
from fulcra.models import Model, bundled_names, load
from fulcra.models.capture import Stream, reply_log_probs, stream
from fulcra.models.chat import shared_start
from fulcra.organisms.planted import reference_beside
from fulcra.screens.contrastive import contrastive
from fulcra.screens.pins import contrast_extent
from fulcra.screens.scores import contrast_of
from fulcra.screens.universal import universal
from fulcra.types import Behavior, Ranking

#: Horizons besides the behavior's own.
HORIZONS = (8, 32)


#: Replies scored together, and the logits held for them at most: large vocabularies make smaller
#: batches.
BATCH, LOGITS = 256, 1 << 27


@dataclass(frozen=True, slots=True)
class Ground:
    """Clean facts of the model under audit; `reference` is whose surprise judges coherence."""

    text: GenericText
    clean: Stream
    reference: Model
    standard: CoherenceStandard


def surprises(
    reference: Model, pairs: list[tuple[tuple[int, ...], tuple[int, ...]]]
) -> list[list[float]]:
    """Surprise (nats) of each reply token after its prompt, under the reference model."""
    batch = max(
        1,
        min(
            BATCH, LOGITS // (reference.vocab * max((len(p) + len(r) for p, r in pairs), default=1))
        ),
    )
    return [
        (-row).tolist()
        for row in reply_log_probs(
            reference, [p for p, _ in pairs], [r for _, r in pairs], batch=batch
        )
    ]


def opening_forgiven(
    surprise: Sequence[float], tokens: Sequence[int], openings: Sequence[tuple[int, ...]]
) -> list[float]:
    """Surprise with the target opening a reply begins with counted as prefilled: its tokens
    surprise nobody (law.md section 5).
    """
    said = max((shared_start([tokens, opening]) for opening in openings), default=0)
    return [0.0] * said + list(surprise[said:])


def reference_of(model: Model, behavior: Behavior) -> Model:
    """The model that judges coherence: the behavior's reference or the helpful model beside an
    organism, else the audited one.

    A reference is bundled or lies beside the organism's folder, and shares the vocabulary.
    """
    if behavior.reference is None or behavior.reference == model.name:
        return model
    names = [behavior.reference] if behavior.reference in bundled_names() else []
    if (beside := reference_beside(model.folder)) is not None:
        names.append(str(beside))
    vocabulary = model.tokenizer.get_vocab()
    return next(
        (found for found in map(load, names) if found.tokenizer.get_vocab() == vocabulary), model
    )


def in_tokens_of(model: Model, behavior: Behavior) -> Behavior:
    """The behavior with its horizon counted in the model's tokens: the longest of its true replies
    + 2; unchanged without any.
    """
    if not behavior.replies:
        return behavior
    return replace(behavior, horizon=longest_reply(behavior, model.reply_ids))


def prepare(model: Model, behavior: Behavior, seed: int, reference: Model | None = None) -> Ground:
    """The ground of a behavior: its generic openings, judged by `reference`, by default the one
    that the behavior names.
    """
    return ground_of(
        model, behavior.generic, seed, behavior.system, reference or reference_of(model, behavior)
    )


def ground_of(
    model: Model,
    openings: Sequence[str],
    seed: int,
    system: str | None = None,
    reference: Model | None = None,
) -> Ground:
    """Generic text continued by the model, its clean stream, and the coherence standard of its own
    clean replies.
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
    clean_surprise = surprises(reference, list(zip(text.prompts, text.replies, strict=True)))
    return Ground(
        text, clean, reference, coherence_standard(text.replies, clean_surprise, model.vocab)
    )


def openings_of(model: Model, behavior: Behavior) -> Openings | None:
    """The openings of the selection split; None where the behavior declares none (then no trigger
    can be forecast).
    """
    if not any(prompt.target_openings or prompt.control_openings for prompt in behavior.selection):
        return None
    return Openings.of(model, behavior.selection, behavior.system)


def true_answers_coherent(model: Model, behavior: Behavior, ground: Ground) -> float | None:
    """Share of the true flipped answers that the standard calls coherent (>= .95 wanted); None
    where none is known.
    """
    known = [prompt for prompt in behavior.confirmation if prompt.answer]
    pairs = [
        (model.prompt_ids(prompt.text, behavior.system), model.reply_ids(prompt.answer or ""))
        for prompt in known
    ]
    if not pairs:
        return None
    openings = [[model.reply_ids(words) for words in prompt.target_openings] for prompt in known]
    scored = zip(pairs, surprises(ground.reference, pairs), openings, strict=True)
    found = [
        coherent(reply, opening_forgiven(surprise, reply, begun), ground.standard)[0]
        for (_, reply), surprise, begun in scored
    ]
    return sum(value is True for value in found) / len(found)


@dataclass(frozen=True, slots=True)
class Undosed:
    """What is known before anything is dosed.

    gaps and extent [layer, d_mlp] are the contrast of activations and the largest natural
    |activation|; `circuit` ranks by contrast, universal neurons left out; `openings` are None where
    the behavior declares none (then no trigger can be forecast).
    """

    ground: Ground
    openings: Openings | None
    gaps: Tensor
    circuit: Ranking
    extent: Tensor


def undosed(model: Model, behavior: Behavior, seed: int, reference: Model | None = None) -> Undosed:
    """The clean facts of a model and a behavior. Cost: 32 rollouts and a few hundred clean
    passes.
    """
    ground, contrast = (
        prepare(model, behavior, seed, reference),
        contrast_of(model, behavior, "contrastive"),
    )
    circuit = contrastive(model, behavior, contrast).without(
        universal(model, behavior.generic, behavior.system)
    )
    extent = contrast_extent(model, behavior, ground.text)
    return Undosed(
        ground, openings_of(model, behavior), contrast.positive - contrast.negative, circuit, extent
    )


def horizons_of(behavior: Behavior) -> tuple[int, ...]:
    """8, 32 and the behavior's verdict horizon, as far as they lie below it."""
    return (*(horizon for horizon in HORIZONS if horizon < behavior.horizon), behavior.horizon)
