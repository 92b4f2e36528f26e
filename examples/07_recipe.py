"""An edit as a file: made for one model, with the window predicted for it, read back elsewhere."""

from pathlib import Path

import fulcra

model = fulcra.load("apothecary-sparse")
behavior = fulcra.load_behavior("refusal")
branch = fulcra.Neuron("L1.N83-")

made = fulcra.recipe(model, [fulcra.add(branch, gain=0.5)], "a dose on one neuron", behavior)
made.save(Path("runs/recipe"))

again = fulcra.Recipe.load(Path("runs/recipe"))
again.require(model)  # InputError for any other model: doses do not carry over
print(again.edits, again.windows[0].ceiling)
