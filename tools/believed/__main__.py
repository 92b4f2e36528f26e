"""Writes docs/validation.md from docs/evidence: `python -m tools.believed`."""

import sys
from collections.abc import Iterable
from pathlib import Path

from fulcra.store import write_text
from tools.believed.claim import Claim
from tools.believed.claims_control import control_claims
from tools.believed.claims_law import law_claims
from tools.believed.claims_own import own_claims
from tools.believed.claims_sets import other_claims
from tools.believed.evidence import ROOT, evidence
from tools.believed.sentences import sentences

PAGE, PROSE = ROOT / "docs" / "validation.md", Path(__file__).with_name("page.txt")
HEAD = "| claim | verdict | here | figures |", "|---|---|---|---|"


def page() -> str:
    """The whole page, from what stands in the evidence."""
    e = evidence()
    lines = [sentence.line(place) for place, sentence in enumerate(sentences(e), 1)]
    return PROSE.read_text(encoding="utf-8").format(
        sentences="\n".join(lines),
        law=_table([*law_claims(e), *control_claims(e)]),
        others=_table(other_claims(e)),
        own=_table(own_claims(e)),
    )


def _table(claims: Iterable[Claim]) -> str:
    return "\n".join([*HEAD, *(claim.row() for claim in claims)])


def main() -> int:
    """Write the page."""
    write_text(PAGE, page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
