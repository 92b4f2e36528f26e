"""What an audit would cost, in the terminal: rollouts, tokens, time and memory; 80 columns."""

from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from fulcra.report.sheet import Sheet

if TYPE_CHECKING:
    from fulcra.protocol.results.cost import CostResult


def duration(seconds: float) -> str:
    """Seconds as "4.2 s", "3 min 20 s" or "5 h 12 min"."""
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(count: int) -> str:
    """Bytes as "640 MiB" or "3.1 GiB"."""
    return f"{count / 2**20:.0f} MiB" if count < 2**30 else f"{count / 2**30:.1f} GiB"


def cost_table(cost: "CostResult") -> Group:
    """The renderable of an estimate: every step, and the sums below."""
    rows = [
        (
            name,
            f"{step.rollouts:,}",
            f"{step.tokens:,}",
            duration(step.seconds),
            duration(step.cpu_seconds),
        )
        for name, step in cost.steps.items()
    ]
    total = (
        "total",
        f"{cost.rollouts:,}",
        f"{cost.tokens:,}",
        duration(cost.seconds),
        duration(cost.cpu_seconds),
    )
    numbers = ("rollouts", "tokens", "time", "CPU")
    threads = f"{cost.threads} thread{'s' if cost.threads > 1 else ''}"
    subject = f"{cost.model} · {cost.behavior}: what an audit would cost here, with {threads}"
    note = f"memory up to about {size(cost.bytes)}; controls that were measured before cost nothing"
    table = Sheet(("step", *numbers), rows, numbers=numbers, total=total).rich()
    given_up = [f"gives up: {line}" for line in cost.concessions]
    return Group(Text(subject, "dim"), "", table, *given_up, note)
