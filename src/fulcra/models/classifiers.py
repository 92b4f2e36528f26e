"""Other models as judges of a prompt: sequence classifiers, and guards asked for a word."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor

from fulcra.errors import InputError, ModelError
from fulcra.models.adapter import Model
from fulcra.models.adapters import require_no_adapter
from fulcra.models.capture import reply_log_probs
from fulcra.models.headers import has_weights
from fulcra.models.library import quiet_library, refusing
from fulcra.models.loading import config_of, model_folder
from fulcra.models.placement import require_device
from fulcra.models.whole import require_finite_weights, require_fit, require_whole

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@final
class Classifier:
    """A sequence classifier with its tokenizer; its labels in the order of its outputs."""

    def __init__(
        self, name: str, hf: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase"
    ) -> None:
        self.name, self.hf, self.tokenizer = name, hf.eval(), tokenizer
        names: Any = hf.config.id2label
        self.labels = tuple(str(names[i]) for i in range(len(names)))

    @torch.no_grad()
    def log_probs(self, texts: Sequence[str]) -> Tensor:
        """Log-probability of every label, [text, label], float32; one pass a text.

        The bare output where there is one label.
        """
        rows = [self._one(text) for text in texts]
        return torch.stack(rows) if len(self.labels) == 1 else torch.stack(rows).log_softmax(-1)

    def _one(self, text: str) -> Tensor:
        # one text at a time: decoders that classify read the last token, and many have no padding
        # token
        batch = self.tokenizer(text, return_tensors="pt").to(self.hf.device)
        length = batch["input_ids"].shape[-1]
        room = getattr(self.hf.config, "max_position_embeddings", None)
        if room is not None and length > room:
            raise InputError(
                f"classifier {self.name!r}: a prompt of {length} tokens, its context is {room};"
                " give shorter prompts"
            )
        logits: Tensor = self.hf(**batch).logits[0].float().cpu()
        return logits


def is_classifier(name: str) -> bool:
    """Whether a model's config says that it classifies sequences; ModelError without a model."""
    architectures = config_of(name).architectures or []
    return any(name.endswith("ForSequenceClassification") for name in architectures)


def load_classifier(name: str, device: str = "cpu") -> Classifier:
    """The sequence classifier of a folder or hub id, from safetensors only, no code of it run.

    InputError where torch cannot use `device`, "auto" for what there is.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    require_no_adapter(name, Path(name))
    folder, config = model_folder(name), config_of(name)
    if at_hand := Path(name).is_dir() or has_weights(name, folder):
        require_fit(name, folder, config, classifies=True)
    source = folder if at_hand else name
    place = {} if require_device(device) == "cpu" else {"device_map": device}
    with refusing(f"classifier {name!r}: cannot be loaded"), quiet_library():
        hf, report = AutoModelForSequenceClassification.from_pretrained(
            source,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            trust_remote_code=False,
            **place,
        )
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    if missing := sorted(report["missing_keys"]):
        raise ModelError(
            f"classifier {name!r}: the file lacks {missing[0]}, so its answers would be random;"
            " give a trained classifier"
        )
    require_whole(name, report)
    require_finite_weights(name, hf)
    return Classifier(name, hf, tokenizer)


def guard_odds(
    guard: Model, texts: Sequence[str], words: tuple[str, str] = ("unsafe", "safe")
) -> Tensor:
    """Log-odds [nats] of the first word against the second in a guard's answer, [text].

    The prompt is one user turn of the guard's own chat template, which states its policy; nothing
    is generated.
    """
    replies = [guard.reply_ids(word) for word in words]
    if not all(replies) or replies[0] == replies[1]:
        raise InputError(
            f"guard {guard.name!r}: the words {words[0]!r} and {words[1]!r} are not two different"
            " rows of tokens; name two others"
        )
    prompts = [guard.prompt_ids(text) for text in texts]
    first, second = (
        torch.stack([row.sum() for row in reply_log_probs(guard, prompts, same, batch=16)])
        for same in ([reply] * len(prompts) for reply in replies)
    )
    return first - second
