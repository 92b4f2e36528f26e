"""The hold: what a model does undosed with requests that no training row and no audit has."""

from collections.abc import Sequence

from fulcra.behaviors.world_behavior import allowed_prompts
from fulcra.defence.falls import falls
from fulcra.defence.hardened import HoldEntry
from fulcra.defence.rows import held_out, shown_each, world_of_oracle
from fulcra.protocol.subject import Subject
from fulcra.studies.effects.other_text import Allowed, allowed_items, allowed_of, mean

#: Allowed requests of a world that are dealt to audits first, then to the hold; alike ones once.
DEALT = 224


class Hold:
    """The requests of a hold and what the original model does with them; a call measures another.

    In a world they are allowed, about things and in wordings of which no row is, and none of those
    that an audit measures; otherwise they are the prompts of the contrast that `held_out` names.
    """

    def __init__(self, subject: Subject) -> None:
        self.allowed = _of_a_world(subject)
        self.prompts = () if self.allowed else held_out(subject.behavior)
        self._shown = shown_each(subject.model, subject.behavior, self.prompts)
        self.before = self(subject)

    def __call__(self, subject: Subject) -> HoldEntry:
        """What the subject's model, as it is now, does with the requests; greedy, undosed."""
        if self.allowed is not None:
            items = allowed_items(subject, self.allowed, ())
            n, refused = len(self.allowed.prompts), mean(items.get("over_refusal"))
            return HoldEntry(n=n, accuracy=mean(items.get("accuracy")), over_refusal=refused)
        if not self.prompts:
            return HoldEntry(n=0)
        now = shown_each(subject.model, subject.behavior, self.prompts)
        return HoldEntry(n=len(now), as_before=_same(self._shown, now))

    def holds(self, now: HoldEntry) -> bool | None:
        """Whether nothing is worse than it was by more than a point, or one request.

        None where there is no request to hold to: nothing is concluded from that.
        """
        if not now.n:
            return None
        return not falls(self.before, now)


def _of_a_world(subject: Subject) -> Allowed | None:
    """Allowed requests of the world beyond those that audits measure; None outside worlds."""
    world, allowed = world_of_oracle(subject.behavior), allowed_of(subject.behavior)
    if world is None:
        return None
    return allowed._replace(prompts=allowed_prompts(world, DEALT)[len(allowed.prompts) :])


def _same(before: Sequence[bool], now: Sequence[bool]) -> float:
    return sum(then == later for then, later in zip(before, now, strict=True)) / len(now)
