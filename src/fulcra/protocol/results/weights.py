"""The models of a registered design, by the hash of their weights."""

from pydantic import Field

from fulcra.protocol.results.base import Value
from fulcra.protocol.results.seal import SHA256


class Weights(Value):
    """Models of a registered design, entered before anything of them is measured.

    `design` is its hash, `models` the hash of the weights of each; `unfinished` are those whose
    training missed its own rule.
    """

    design: str = Field(pattern=SHA256)
    models: dict[str, str]
    unfinished: tuple[str, ...] = ()
