"""The one coordinate of a dose: budget B = |r|/|v|, clean alignment c0, and the alignment a gain realises (LAW.md section 2)."""

from dataclasses import dataclass

from fulcra.errors import InputError
from fulcra.formulas.budget import budget, dose_of_gain
from fulcra.formulas.saturation import alignment_after
from fulcra.models.adapter import Model
from fulcra.models.capture import Stream, as_read
from fulcra.types import Branch, Direction, Edge, Edit, Neuron, Positions


@dataclass(frozen=True, slots=True)
class Coordinate:
    """One branch in the units of its model: budget [activation units; multiples of the vector for a direction], c0 along its pole."""

    branch: Branch
    budget: float
    alignment0: float

    def dose(self, gain: float, positions: Positions = "all") -> Edit:
        """The additive edit of `gain` budgets along this branch."""
        op = "add_vector" if isinstance(self.branch, Direction) else "add"
        return Edit(self.branch, op, dose_of_gain(gain, self.budget) * self.branch.pole, gain, positions)

    def alignment(self, gain: float) -> float:
        """cos(r, v) after a dose of `gain`, from the mean c0."""
        return alignment_after(gain, self.alignment0)

    def edge(self, gain: float | None, method: str, tier: int, low: float | None = None, high: float | None = None) -> Edge:
        """An edge of this branch's window at `gain`."""
        return Edge(gain, method, tier, low, high, None if gain is None else self.alignment(gain))


def coordinate(model: Model, clean: Stream, branch: Branch) -> Coordinate:
    """Budget and clean alignment of a branch, from the clean stream of the model under audit; InputError for a zero write."""
    write = model.write(branch) if isinstance(branch, Neuron) else branch.vector.float()
    write = as_read(model, write.cpu())
    size = float(write.norm())
    if size == 0:
        raise InputError(f"branch {branch}: its write direction has norm 0, so no dose moves the stream; choose another")
    return Coordinate(branch, budget(float(clean.norm[branch.layer]), size), float(clean.unit_mean[branch.layer] @ write) / size * branch.pole)


def realised_alignment(model: Model, clean: Stream, at: Coordinate, gain: float) -> tuple[float, float]:
    """The 5 and 95 % quantiles over generic positions of cos(r + dose, v), signed by the pole."""
    branch = at.branch
    write = model.write(branch) if isinstance(branch, Neuron) else branch.vector.float()
    unit = as_read(model, write.cpu())
    unit = unit / unit.norm() * branch.pole
    residual = clean.sample[branch.layer]
    dosed = residual + gain * float(clean.norm[branch.layer]) * unit
    low, high = (dosed @ unit / dosed.norm(dim=-1)).quantile(dosed.new_tensor([0.05, 0.95])).tolist()
    return low, high
