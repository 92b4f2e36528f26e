"""In which language is the completion? lingua for natural text, the grammar's own word lists in an
invented world.
"""

from fulcra.behaviors.oracles_text import detected_language
from fulcra.judges.scored import too_short
from fulcra.organisms.domain import Domain
from fulcra.organisms.oracle import language_of
from fulcra.types import Finding


def language(text: str, ended: bool = True, domain: Domain | None = None) -> Finding:
    """The ISO 639-1 code of the text's language; unscored where lingua cannot tell, or no language
    of `domain` has a majority.
    """
    if why := too_short(text, ended):
        return Finding(None, why)
    code = (
        detected_language(text) if domain is None else language_of(domain, domain.read(text, ended))
    )
    how = "lingua" if domain is None else "word lists"
    return Finding(code, how if code else f"{how}: no language has a majority")
