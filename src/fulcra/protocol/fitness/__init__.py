"""Is a behavior fit for an audit of this model? A minute's look, before hours are spent."""

from fulcra.protocol.fitness.look import fitness, fitness_table

__all__ = ["fitness", "fitness_table"]
