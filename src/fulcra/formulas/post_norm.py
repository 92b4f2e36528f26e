"""How a dose turns the stream through the norm after an MLP (law.md section 2)."""

import math
from dataclasses import dataclass

from torch import Tensor

from fulcra.formulas.cap import cap_alignment

#: Doses are looked for from this share of the clean MLP write's length, doubling, then bisected.
SMALLEST = 1e-3
DOUBLINGS = 48
BISECTIONS = 60


@dataclass(frozen=True, slots=True)
class Turning:
    """The alignment of r(alpha) = r_mid + k N(y + alpha v) and u = gamma * v at clean positions.

    `stream`, `mlp` [pos, d_model] are r_mid / k and the clean y, `write` is v signed by the pole,
    `gamma` the norm's gain and `eps` its epsilon. Everything is reduced to scalar products when it
    is made, so a dose costs O(pos).
    """

    products: dict[str, Tensor]
    cap: float
    scale: float

    @classmethod
    def of(cls, stream: Tensor, mlp: Tensor, write: Tensor, gamma: Tensor, eps: float) -> "Turning":
        """The turning by a dose along `write`, in float64.

        From r_mid / k [pos, d_model], y [pos, d_model], v and gamma [d_model].
        """
        r, y, v, g = (part.double().cpu() for part in (stream, mlp, write, gamma))
        root, u = math.sqrt(len(v)), g * v / (g * v).norm()
        clean, dosed = root * g * y, root * g * v
        products = {
            "ru": r @ u,
            "cu": clean @ u,
            "du": dosed @ u,
            "rr": (r * r).sum(-1),
            "rc": (r * clean).sum(-1),
            "rd": r @ dosed,
            "cc": (clean * clean).sum(-1),
            "cd": clean @ dosed,
            "dd": dosed @ dosed,
            "yy": (y * y).sum(-1) + len(v) * eps,
            "yv": y @ v,
            "vv": v @ v,
        }
        return cls(
            products, float(cap_alignment(g, v, r).mean()), float(y.norm(dim=-1).mean() / v.norm())
        )

    def alignments(self, alpha: float | Tensor) -> Tensor:
        """cos(r(alpha), u) at every position, [pos], of a dose alpha >= 0 along the pole."""
        p = self.products
        inverse = (p["yy"] + 2 * alpha * p["yv"] + alpha**2 * p["vv"]).rsqrt()
        along = p["ru"] + (p["cu"] + alpha * p["du"]) * inverse
        across = (
            p["rr"]
            + 2 * (p["rc"] + alpha * p["rd"]) * inverse
            + (p["cc"] + 2 * alpha * p["cd"] + alpha**2 * p["dd"]) * inverse**2
        )
        return along / across.sqrt()

    def alignment(self, alpha: float) -> float:
        """The mean alignment over positions."""
        return float(self.alignments(alpha).mean())

    def dose(self, alignment: float) -> float:
        """The smallest dose of that mean alignment: 0 where it is there already, inf if never."""
        low, high = 0.0, SMALLEST * self.scale
        if self.alignment(0.0) >= alignment:
            return 0.0
        for _ in range(DOUBLINGS):
            if self.alignment(high) >= alignment:
                break
            low, high = high, 2 * high
        else:
            return math.inf
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            low, high = (low, middle) if self.alignment(middle) >= alignment else (middle, high)
        return high

    @property
    def slope(self) -> Tensor:
        """The length |dr/dalpha| of the write per unit of a small dose, [pos]."""
        p = self.products
        inverse = p["yy"].rsqrt()
        turned = p["yv"] * inverse**2
        return (p["dd"] - 2 * turned * p["cd"] + turned**2 * p["cc"]).clamp(min=0).sqrt() * inverse
