"""Settings that no audit can be made of are refused where they are made."""

from pathlib import Path

import pytest

from fulcra import AuditSettings, Behavior
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
    ],
)
def test_wrong_settings_are_one_line(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=f"^audit settings: .*{message}"):
        AuditSettings(**settings)  # type: ignore[arg-type]


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
