"""`--model fulcra` of the lm-evaluation-harness: a dosed model, by its name and recipe.

The harness looks for no models of other packages, so its command line is begun here:
`python -m fulcra.interop.lm_eval run --model fulcra --model_args pretrained=MODEL,recipe=FILE`.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Unpack, final

from lm_eval.__main__ import cli_evaluate
from lm_eval.api.registry import register_model
from torch.cuda import is_available

from fulcra.engines.harness import BATCH, DosedHarness
from fulcra.errors import FulcraError, InputError
from fulcra.interop.dosing import LoadingOptions, dosing_of

Values = list[object]
#: The device that the harness names where none was asked for, on every machine.
UNASKED = "cuda:0"


@final
class FulcraModel(DosedHarness):
    """A model of fulcra with a recipe's edits in force, for every kind of task.

    `recipe` is a file, or "none". `device` is the harness' own default where there is such a one,
    else the CPU. InputError where the edits never act in what is computed.
    """

    def __init__(
        self,
        pretrained: str,
        recipe: str | None = None,
        device: str | None = None,
        batch_size: int | str = BATCH,
        max_batch_size: int | None = None,
        **options: Unpack[LoadingOptions],
    ) -> None:
        if device is None or (device == UNASKED and not is_available()):
            device = "cpu"
        self.dosing = dosing_of(pretrained, recipe, device=device, **options)
        super().__init__(self.dosing.model, self.dosing.edits, batch_size)

    def loglikelihood(self, requests: Sequence[object], *more: object, **options: object) -> Values:
        """Log-likelihoods of replies, under the edits."""
        return self._acting(super().loglikelihood, requests, *more, **options)

    def loglikelihood_rolling(
        self, requests: Sequence[object], *more: object, **options: object
    ) -> Values:
        """Log-likelihoods of whole texts, under the edits."""
        return self._acting(super().loglikelihood_rolling, requests, *more, **options)

    def generate_until(
        self, requests: Sequence[object], *more: object, **options: object
    ) -> Values:
        """Generated texts, under the edits."""
        return self._acting(super().generate_until, requests, *more, **options)

    def get_model_info(self) -> dict[str, object]:
        """What the harness keeps of the model: its size, dtype and hashes, and the recipe."""
        model = self.dosing.model
        return {
            "model_num_parameters": model.hf.num_parameters(),
            "model_dtype": str(model.dtype),
            "model_revision": "",
            "model_sha": model.sha256,
            "model_device": str(model.device),
            "fulcra": self.dosing.entry,
        }

    def _acting(
        self,
        compute: Callable[..., Values],
        requests: Sequence[object],
        *more: object,
        **options: object,
    ) -> Values:
        before = self.passes
        values = compute(requests, *more, **options)
        if requests and self.edits and self.passes == before:
            raise InputError(
                f"{self.dosing.entry['edits']}: never acted on {len(requests)} requests; its"
                " positions do not occur there"
            )
        return values


register_model("fulcra")(FulcraModel)


def main() -> None:
    """Run the harness' own command line; a refusal is one line and its exit code."""
    try:
        cli_evaluate()
    except FulcraError as error:
        print(f"fulcra: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
