"""Forecasts of both edges of a window from teacher-forced passes; one of them rolls out itself."""

from fulcra.ladders.curvature import second_order_kl
from fulcra.ladders.flip_ladder import flip_ladder
from fulcra.ladders.kl_ladder import kl_ladder
from fulcra.ladders.own_text_ladder import own_text_ladder
from fulcra.ladders.surprise_ladder import sampled_surprise_ladder, surprise_ladder
from fulcra.ladders.trigger_ladder import trigger_ladder

__all__ = [
    "flip_ladder",
    "kl_ladder",
    "own_text_ladder",
    "sampled_surprise_ladder",
    "second_order_kl",
    "surprise_ladder",
    "trigger_ladder",
]
