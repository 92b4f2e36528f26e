"""How a model lies on accelerators: tensor parallel, replicas, rows that fit, seconds a token."""

from typing import NamedTuple

from fulcra.engines.memory import ACCELERATOR_BYTES, MAX_ROWS
from fulcra.errors import InputError
from fulcra.models.sizes import ModelSizes
from fulcra.protocol.scale.accelerators import A_NODE, Accelerator, Shares

#: A replica that holds fewer rows than this reads its weights for too few tokens.
FEWEST_ROWS = 64
#: How many accelerators one replica may lie on.
PARALLEL = (1, 2, 4, 8, 16, 32)
#: Bytes of an activation, a key or a value, whatever the weights are packed in.
NUMBER = 2


class Layout(NamedTuple):
    """Replicas of a model on accelerators.

    parallel: accelerators of one replica. weights: their bytes on one accelerator. row: bytes of
    the keys and values of one rollout on one accelerator. rows: rollouts decoded together.
    """

    parallel: int
    replicas: int
    weights: float
    row: float
    rows: int

    @property
    def memory(self) -> float:
        """Bytes of weights, keys and values on one accelerator."""
        return self.weights + self.rows * self.row

    @property
    def a_node(self) -> int:
        """Replicas that are lost with one node; one where a replica lies on several nodes."""
        return max(1, min(self.replicas, A_NODE // self.parallel))

    @property
    def nodes(self) -> int:
        """Nodes that hold the replicas, for one on several nodes all of these as one."""
        return -(-self.replicas // self.a_node)


class Rates(NamedTuple):
    """Seconds of one replica for one token: read in a pass, and one more token of a rollout."""

    read: float
    token: float


def layout(
    sizes: ModelSizes, device: Accelerator, gpus: int, bits: int, tokens: int, shares: Shares
) -> Layout:
    """The fewest accelerators a replica that hold the model and enough rollouts of `tokens`.

    InputError where so many `gpus` hold not one replica.
    """
    free = device.memory * shares.memory
    for parallel in PARALLEL:
        weights = sizes.parameters * bits / 8 / parallel
        # more accelerators than heads of keys and values hold copies of them
        row = sizes.cache * NUMBER * tokens / min(parallel, sizes.heads)
        fitting = int(min(free - weights, ACCELERATOR_BYTES) // row)
        if fitting >= FEWEST_ROWS:
            break
    else:
        if weights < free:
            raise InputError(
                f"plan: {FEWEST_ROWS} rollouts of {tokens:,} tokens of {sizes.name} take more than"
                f" the {ACCELERATOR_BYTES >> 30} GiB of a batch, or than {device.name} has beside"
                " the weights; give fewer --prompt-tokens or a shorter --horizon"
            )
        raise InputError(
            f"plan: {sizes.name} in {bits} bits fits on no {PARALLEL[-1]} {device.name}; give an"
            " accelerator with more memory, or fewer --bits"
        )
    if gpus < parallel:
        raise InputError(
            f"plan: {sizes.name} in {bits} bits needs {parallel} {device.name} for one replica and"
            f" --gpus is {gpus}; give more, an accelerator with more memory, or fewer --bits"
        )
    return Layout(parallel, gpus // parallel, weights, row, min(MAX_ROWS, fitting))


def rates(sizes: ModelSizes, device: Accelerator, place: Layout, shares: Shares) -> Rates:
    """Seconds a token from peaks: products where they bound it, else the bytes that are read.

    A pass multiplies every active parameter by each token; one more token of `rows` rollouts also
    reads every weight (of a mixture: of all experts) and the keys and values of half a rollout.
    """
    flops = 2 * sizes.active / (place.parallel * device.flops * shares.compute)
    speed = device.bandwidth * shares.bandwidth
    weights = place.weights / speed / place.rows
    exchanged = _exchange(sizes, device, place, shares)
    starts = 2 * sizes.layers * shares.latency / place.rows if place.parallel > 1 else 0.0
    cache = place.row / 2 / speed
    return Rates(flops + exchanged, max(flops, weights) + cache + exchanged + starts)


def _exchange(sizes: ModelSizes, device: Accelerator, place: Layout, shares: Shares) -> float:
    """Seconds a token for the two sums a layer that accelerators of one replica exchange."""
    if place.parallel == 1:
        return 0.0
    within = place.parallel <= A_NODE
    one_way = (device.link / 2 if within else shares.network) * shares.bandwidth
    ring = 2 * (place.parallel - 1) / place.parallel
    return 2 * sizes.layers * ring * sizes.d_model * NUMBER / one_way
