"""One neuron's window: both edges forecast before any dosed rollout, then measured."""

from pathlib import Path

import fulcra

model = fulcra.load("apothecary-sparse")
behavior = fulcra.load_behavior("refusal")
branch = fulcra.Neuron("L1.N83-")

trigger = fulcra.predict_trigger(model, branch, behavior)
ceiling = fulcra.predict_ceiling(model, branch, behavior.generic, system=behavior.system)
print(f"forecast: flips from gain {trigger.gain:.2f}, collapses at {ceiling.gain:.2f}")

result = fulcra.window(model, behavior, branch, out=Path("runs/window"))
print(result)
