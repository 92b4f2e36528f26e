"""Many interventions on many prompts in one batched call, and one of them on the live model."""

import torch

import fulcra

model = fulcra.load("apothecary-sparse")
behavior = fulcra.load_behavior("refusal")
gate, branch = fulcra.Neuron("L2.N307"), fulcra.Neuron("L1.N83-")
prompts = [prompt.text for prompt in behavior.confirmation[:2]]

edits = [(), fulcra.scale(gate, 0.0), *(fulcra.add(branch, gain=g) for g in (0.3, 0.6, 1.2))]
rollouts = fulcra.roll(model, prompts, edits, horizon=24, behavior=behavior)
print(rollouts)
print(rollouts.table().select(["edit", "text"]).to_pylist()[-1])

with fulcra.edit(model, fulcra.scale(gate, 0.0)) as applied:
    model.generate(torch.tensor([model.prompt_ids(prompts[0])]), max_new_tokens=8)
print("the edit acted in", applied.passes, "passes; the model is as it was")
