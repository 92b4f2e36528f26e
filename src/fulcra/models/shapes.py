"""Shapes of models: how many neurons there are, and whether two models name the same ones."""

from fulcra.models.adapter import Model


def n_neurons(model: Model) -> int:
    """The MLP neurons of all layers and experts together."""
    return sum(map(model.width, range(model.n_layers)))


def set_sizes(model: Model, shares: tuple[float, ...], top_k: int | None = None) -> dict[str, int]:
    """The sizes of sets by name ("0.1 %", "top 32"): shares of all neurons, and a fixed count.

    A share is at least one neuron, the count at most all.
    """
    total = n_neurons(model)
    sizes = {f"{100 * share:g} %": max(1, round(share * total)) for share in shares}
    return sizes if top_k is None else {**sizes, f"top {top_k}": min(top_k, total)}


def unlike(first: Model, second: Model) -> str | None:
    """Why a neuron of one model names none in the other; None where it does."""
    shapes = [[model.width(layer) for layer in range(model.n_layers)] for model in (first, second)]
    if shapes[0] == shapes[1] and first.n_experts == second.n_experts:
        return None
    sizes = [
        f"{model.name} has {model.n_layers} layers of up to {model.d_mlp} neurons"
        for model in (first, second)
    ]
    return f"{sizes[0]}, {sizes[1]}: no neuron of one names a neuron of the other"
