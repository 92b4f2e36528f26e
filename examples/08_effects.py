"""What an edit does besides: quality, surprise, divergence, allowed requests, another behavior."""

import fulcra

model = fulcra.load("apothecary-sparse")
refusal, framing = fulcra.load_behavior("refusal"), fulcra.load_behavior("framing")
gate = fulcra.Neuron("L2.N307")

made = fulcra.recipe(model, [fulcra.scale(gate, 0.0)], "the gate ablated", refusal)
result = fulcra.effects(model, [refusal, framing], made)
print(result)
