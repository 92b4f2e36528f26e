"""A dosed model as the lm-evaluation-harness runs it, in this process (extra: evals)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lm_eval.models.huggingface import HFLM

from fulcra.engines.edit import edit, resolve
from fulcra.models import Model
from fulcra.types import Edit

BATCH = 16


class DosedHarness(HFLM):  # type: ignore[misc]
    """The harness' own model over a loaded one: every pass and every text under the edits.

    `passes` counts the edited ones so far.
    """

    def __init__(
        self, model: Model, edits: Sequence[Edit] = (), batch_size: int | str = BATCH
    ) -> None:
        super().__init__(
            pretrained=model.hf, tokenizer=model.tokenizer, backend="causal", batch_size=batch_size
        )
        self.dosed, self.edits = model, tuple(resolve(model, each) for each in edits)
        self.passes = 0

    @contextmanager
    def _in_force(self) -> Iterator[None]:
        with edit(self.dosed, *self.edits) as applied:
            yield
        self.passes += applied.passes

    def _model_call(self, *inputs: Any, **options: Any) -> object:
        with self._in_force():
            return super()._model_call(*inputs, **options)

    def _model_generate(self, *inputs: Any, **options: Any) -> object:
        with self._in_force():
            return super()._model_generate(*inputs, **options)
