"""A behavior of your own without a file: prompts, and a pattern that reads the flipped reply."""

import fulcra

model = fulcra.load("apothecary-sparse")
world = fulcra.load_behavior("refusal")  # for prompts that this small model can read
restricted = [p.text for p in (*world.positive, *world.selection, *world.confirmation)]
allowed = [p.text for p in world.negative]

behavior = fulcra.behavior(
    "begins the recipe",
    positive=restricted,
    negative=allowed,
    flips=r"^here is how",
    openings=("here is how to make", "i can not help"),
    sensitive=False,
)
print(behavior)
print(fulcra.rank(model, behavior).top(5))
