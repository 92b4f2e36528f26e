"""Accelerators as their makers publish them, and the share of it that is reckoned with."""

from typing import NamedTuple

from fulcra.errors import InputError

#: Accelerators of one node, joined by their fast links.
A_NODE = 8


class Accelerator(NamedTuple):
    """Published peaks of one accelerator, dense products: bytes, FLOP/s, bytes/s.

    `link` is what goes in and out together between accelerators of one node [bytes/s].
    """

    name: str
    memory: float
    flops: float
    bandwidth: float
    link: float
    source: str


ACCELERATORS: dict[str, Accelerator] = {
    entry.name: entry
    for entry in (
        Accelerator("a100", 80e9, 312e12, 2.039e12, 600e9, "NVIDIA A100 80GB SXM data sheet"),
        Accelerator("h100", 80e9, 989e12, 3.35e12, 900e9, "NVIDIA H100 SXM data sheet"),
        Accelerator("h200", 141e9, 989e12, 4.8e12, 900e9, "NVIDIA H200 SXM data sheet"),
        Accelerator("b200", 180e9, 2250e12, 7.7e12, 1800e9, "NVIDIA HGX B200 data sheet"),
        Accelerator("mi300x", 192e9, 1307e12, 5.3e12, 896e9, "AMD Instinct MI300X data sheet"),
    )
}


class Shares(NamedTuple):
    """The shares of the published peaks that work gets; assumed, nothing here has run on one.

    On a processor .33 to .59 of its fastest product were measured (docs/benchmarks.md).
    """

    compute: float = 0.4
    bandwidth: float = 0.6
    memory: float = 0.9
    #: Seconds that one exchange between accelerators takes before its first byte.
    latency: float = 10e-6
    #: What one accelerator sends to another node [bytes/s]: a 400 Gbit/s card each.
    network: float = 50e9


def accelerator(name: str) -> Accelerator:
    """The accelerator of that name; InputError lists those there are."""
    if name not in ACCELERATORS:
        raise InputError(
            f"--accelerator {name!r}: not in the table; it has {', '.join(ACCELERATORS)}"
        )
    return ACCELERATORS[name]
