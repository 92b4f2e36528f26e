"""What a changed model does undosed: the behavior, other requests, generic text; held to before."""

from typing import final

from fulcra.defence.hold import Hold
from fulcra.defence.mend.mended import BesidesEntry
from fulcra.defence.rows import shown_each
from fulcra.engines.generic import continue_openings
from fulcra.ladders.kl_ladder import clean_tokens, divergences
from fulcra.ladders.passes import Texts
from fulcra.ladders.trigger_ladder import clean_odds
from fulcra.protocol.subject import Subject


@final
class Besides:
    """Side effects of a change, against the original, which is measured when this is made.

    Divergence is on generic text that no change is fitted to or trained on.
    """

    def __init__(self, original: Subject) -> None:
        model, behavior = original.model, original.behavior
        text = continue_openings(model, behavior.ceiling_generic, original.seed, behavior.system)
        self._texts = Texts.of_pairs(model, text.prompts, text.replies)
        self._clean = clean_tokens(model, self._texts)
        self._hold = Hold(original)
        self.before = self(original)

    def __call__(self, subject: Subject) -> BesidesEntry:
        """What the subject's model, as it is now, does undosed."""
        behavior, openings = subject.behavior, subject.openings
        prompts = behavior.selection + behavior.confirmation
        kl = next(divergences(subject.model, self._texts, self._clean, [()]))[1]
        margin = None if openings is None else -float(clean_odds(subject.model, openings).mean())
        return BesidesEntry(
            shown=sum(shown_each(subject.model, behavior, prompts)),
            n=len(prompts),
            margin=margin,
            hold=self._hold(subject),
            kl=max(0.0, float(kl.mean())),
        )

    def keeps(self, now: BesidesEntry) -> bool | None:
        """Whether the behavior is shown as surely, and other requests are answered, as before.

        No share worse by more than a point, or one prompt where that is more; the margin not
        smaller by more than a tenth. None where that is so and there are no other requests.
        """
        if now.losses(self.before):
            return False
        return self._hold.holds(now.hold)
