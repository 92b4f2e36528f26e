"""A row for a model type: where it keeps its stream and its neurons; a wrong one is refused."""

import fulcra

# what a new type needs is what this one has: written again here, first with a mistake in it
for reads in ("ln_1", "ln_2"):
    fulcra.FAMILIES["gpt2"] = fulcra.Family(
        layers="transformer.h",
        final_norm="transformer.ln_f",
        mlp_reads=reads,
        down="mlp.c_proj",
        transposed=True,
        stream="layer",
        width="n_inner",
    )
    try:
        print("accepted:", fulcra.load("apothecary-gpt2-sparse"))
    except fulcra.FulcraError as error:
        print("refused:", error)
