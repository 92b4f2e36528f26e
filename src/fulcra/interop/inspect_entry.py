"""The entry by which Inspect learns of `fulcra/MODEL`; light, since Inspect loads it always."""

from inspect_ai.model import ModelAPI, modelapi


def _provider() -> type[ModelAPI]:
    from fulcra.interop.inspect_model import DosedModel

    return DosedModel


fulcra = modelapi(name="fulcra")(_provider)
