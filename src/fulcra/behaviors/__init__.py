"""What is flipped: contrast prompts, splits, oracle and openings; built in or a user's own."""

from fulcra.behaviors.evaluation import evaluation_prompts
from fulcra.behaviors.make import BehaviorOptions, behavior
from fulcra.behaviors.registry import (
    behavior_names,
    built_in,
    chat_behavior_names,
    load_behavior,
    public_behavior_names,
)
from fulcra.behaviors.schema import behavior_schema
from fulcra.behaviors.splits import behavior_sha256, texts_sha256

__all__ = [
    "BehaviorOptions",
    "behavior",
    "behavior_names",
    "behavior_schema",
    "behavior_sha256",
    "built_in",
    "chat_behavior_names",
    "evaluation_prompts",
    "load_behavior",
    "public_behavior_names",
    "texts_sha256",
]
