"""Every held value of the neurons that are drawn, as a table with n and intervals."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fulcra.report.notation import counted, number
from fulcra.report.sheet import Sheet

if TYPE_CHECKING:
    from fulcra.protocol.results.audit import Pin

COLUMNS = ("neuron", "held at", "times its range", "flips", "strict reach")


def pin_numbers(pinned: "Mapping[str, Sequence[Pin]]", n: int | None) -> Sheet:
    """One row a neuron and value, by increasing value."""
    rows = [
        (
            neuron,
            "ablated" if pin.op == "ablate" else number(pin.value),
            f"{pin.multiple:g}",
            counted(pin.flip_rate, n),
            counted(pin.reach, n),
        )
        for neuron, pins in pinned.items()
        for pin in sorted(pins, key=lambda pin: float(pin.value))
    ]
    return Sheet(COLUMNS, rows, numbers=COLUMNS[1:3])
