"""Run rollout requests: `local.run(model, requests)`, the same tokens whatever the batch."""
