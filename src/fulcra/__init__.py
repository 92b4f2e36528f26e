"""Which single neuron can flip a behavior of a language model, how far can it be pushed, and what does the flip achieve?"""
