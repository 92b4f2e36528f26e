"""Run rollout requests: `engine.run(model, requests)`, by the engine that the model has."""
