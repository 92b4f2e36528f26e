"""Rollouts by vLLM (extra `vllm`), edited by hooks in its workers and drawn as this process draws.

Its modules `worker`, `hooks`, `rows` and `tokens` are imported by vLLM itself.
"""

from fulcra.engines.vllm.engine import VllmEngine
from fulcra.engines.vllm.load import VllmOptions, installed

__all__ = ["VllmEngine", "VllmOptions", "installed"]
