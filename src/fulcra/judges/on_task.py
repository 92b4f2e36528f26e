"""Does the completion speak of what was asked? Shared content words: a weak sign, so a silent pivot
is seen and a paraphrase may not be.
"""

from collections.abc import Sequence

from fulcra.behaviors.replies import content_words, is_on_task, shared_words
from fulcra.judges.scored import too_short
from fulcra.types import Finding


def on_task(prompt: str, text: str, ended: bool = True, about: Sequence[str] = ()) -> Finding:
    """Whether enough of the prompt's content words, or one word of `about`, occur; unscored where
    nothing is asked or said.
    """
    if why := too_short(text, ended):
        return Finding(None, why)
    asked = content_words(" ".join((prompt, *about)))
    shared = shared_words(asked, text)
    return Finding(
        is_on_task(prompt, text, about),
        f"{len(shared)} of {len(asked)} content words",
        " ".join(shared),
    )
