"""Settings that no audit can be made of are refused where they are made."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from fulcra import AuditSettings, Behavior, WindowSettings
from fulcra.behaviors import behavior_sha256
from fulcra.errors import BehaviorError, InputError
from fulcra.protocol.quotes import audited_behavior
from fulcra.protocol.results.audit import AuditResult


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"screen": "nosuch"}, "screen 'nosuch'; expected 'window', 'contrastive'"),
        ({"measure": "half"}, "measure 'half'; expected 'full', 'curtailed', 'sequential'"),
        ({"neurons": -1}, "neurons -1; expected 0 or more"),
        ({"gains": ()}, r"gains \(\); expected one or more, finite and above 0"),
        ({"gains": (0.3, float("nan"))}, "expected one or more, finite and above 0"),
        ({"gains": 0.3}, r"gains 0\.3; expected one or more, finite and above 0"),
        ({"gains": ("0.3",)}, r"gains \('0\.3',\); expected one or more, finite and above 0"),
        ({"neurons": 2.5}, r"neurons 2\.5; expected 0 or more, a whole number$"),
        ({"neurons": "8"}, "neurons '8'; expected 0 or more, a whole number$"),
        ({"seed": -1}, "seed -1; expected 0 or more"),
        ({"prompts": 0}, "prompts 0; expected 1 or more"),
        ({"prompts": -2}, "prompts -2; expected 1 or more"),
        ({"horizon": -5}, "horizon -5; expected 1 or more"),
        ({"confirmation": -4}, "confirmation -4; expected 1 or more"),
    ],
)
def test_wrong_settings_are_one_line(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=f"^audit settings: .*{message}"):
        AuditSettings(**settings)  # type: ignore[arg-type]


def test_numbers_of_other_libraries_are_taken_as_plain_ones() -> None:
    settings = AuditSettings(neurons=np.int64(3), gains=[np.float32(0.5), 1])  # type: ignore[arg-type]
    assert settings == AuditSettings(neurons=3, gains=(0.5, 1.0))
    assert json.loads(json.dumps(asdict(settings)))["gains"] == [0.5, 1.0]


@pytest.mark.parametrize("gains", [(), (float("nan"), -3.0), "0.3"])
def test_a_window_holds_its_seed_and_gains_alike(gains: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match=r"^window settings: gains .*; expected one or more"):
        WindowSettings(gains=gains)
    with pytest.raises(InputError, match=r"^window settings: seed -1; expected 0 or more"):
        WindowSettings(seed=-1)


def test_further_confirmation_prompts_come_from_the_reserve(refusal: Behavior) -> None:
    more = AuditSettings(confirmation=24).of(refusal)
    assert more.confirmation == refusal.confirmation + refusal.reserve[:8]
    assert more.reserve == refusal.reserve[8:]
    assert more.selection == refusal.selection
    assert {prompt.answer for prompt in more.confirmation} <= set(more.replies)
    assert AuditSettings().of(refusal) == refusal
    fewer = AuditSettings(confirmation=4).of(refusal)
    assert fewer.confirmation == refusal.confirmation[:4]
    assert fewer.reserve[:12] == refusal.confirmation[4:]


def test_more_confirmation_prompts_than_there_are_is_one_line(refusal: Behavior) -> None:
    most = len(refusal.confirmation) + len(refusal.reserve)
    message = f"{most + 1} confirmation prompts are asked for, it brings {most} with its reserve"
    with pytest.raises(BehaviorError, match=message):
        AuditSettings(confirmation=most + 1).of(refusal)


def test_what_an_audit_took_is_read_again_from_its_settings(
    audited: Path, refusal: Behavior
) -> None:
    result = AuditResult.load(audited)
    taken = AuditSettings(confirmation=20).of(refusal)
    settings = result.settings.model_copy(update={"prompts": None, "confirmation": 20})
    named = result.behavior.model_copy(update={"sha256": behavior_sha256(taken)})
    again = audited_behavior(
        result.model_copy(update={"settings": settings, "behavior": named}), refusal
    )
    assert again is not None
    assert again.confirmation == taken.confirmation
