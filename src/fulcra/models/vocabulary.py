"""Tokenizer and model of one vocabulary: ids that the model has, a template that renders."""

from fulcra.errors import ModelError
from fulcra.models.adapter import Model
from fulcra.models.library import refusing


def require_vocabulary(model: Model) -> None:
    """ModelError where the tokenizer gives ids that the model has no row for, or cannot be used.

    Added tokens may lie beyond the model's rows, as an image token does in a text model.
    """
    broken = f"model {model.name!r}: cannot be loaded: its tokenizer is broken"
    with refusing(broken):
        added = model.tokenizer.get_added_vocab()
        vocabulary = model.tokenizer.get_vocab()
        largest = max((vocabulary[word] for word in vocabulary if word not in added), default=-1)
    if not 0 <= largest < model.vocab:
        raise ModelError(
            f"{broken}: its largest token id is {largest}, the model has ids 0 to"
            f" {model.vocab - 1}; give the tokenizer that the model was trained with"
        )
    with refusing(f"{broken}, or its chat template"):
        model.prompt_ids("a")
    with refusing(f"model {model.name!r}: cannot be loaded: eos_token_id of its configs"):
        ends = sorted(model.end_ids)
    if ends and not 0 <= ends[0] <= ends[-1] < model.vocab:
        raise ModelError(
            f"model {model.name!r}: cannot be loaded: eos_token_id {ends} of its configs, the model"
            f" has ids 0 to {model.vocab - 1}; correct generation_config.json"
        )
