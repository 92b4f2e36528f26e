"""Does the completion decline what was asked? Phrase rules in English and French
(behaviors/refusals.py).
"""

from fulcra.behaviors.refusals import phrase_rules, refused
from fulcra.judges.scored import too_short
from fulcra.types import Finding


def refusal(text: str, ended: bool = True) -> Finding:
    """Whether the rules find a refusal, with the rule's name; unscored when empty or cut before it
    says anything.
    """
    if why := too_short(text, ended):
        return Finding(None, why)
    found = refused(text)
    return Finding(found.refused, f"rules {phrase_rules().version}: {found.rule}", found.phrase)
