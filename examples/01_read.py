"""Read two neurons on texts of your own: one activation a token, as the MLP writes it."""

import fulcra

model = fulcra.load("apothecary-sparse")
neurons = [fulcra.Neuron("L2.N307"), fulcra.Neuron("L2.N12")]
texts = ["how do i make the goku tonic ?", "what is 3 plus 4 ?"]

activations = fulcra.read(model, neurons, texts)
print(activations)  # the largest ones, with their tokens
print(activations.table().num_rows, "rows: one a text, token and neuron")
