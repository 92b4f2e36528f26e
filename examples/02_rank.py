"""Rank neurons by several screens, and see how little two of them agree."""

import fulcra

model = fulcra.load("apothecary-sparse")
behavior = fulcra.load_behavior("refusal")
everywhere = fulcra.universal(model)  # active on text of any kind: not about the behavior

by = {name: fulcra.rank(model, behavior, by=name) for name in ("contrastive", "gradient", "dla")}
for name, ranking in by.items():
    print(name, *ranking.without(everywhere).top(5))

first, second = (set(by[name].top(32)) for name in ("contrastive", "gradient"))
print(len(first & second), "of the first 32 branches are the same")
