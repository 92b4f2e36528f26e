"""Writes docs/validation.md, docs/second-study.md and README's table from docs/evidence.

`python -m tools.believed`; with the folder of a finished second study its study.json is taken into
docs/evidence first.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from fulcra.protocol.results.study import PAGE as STUDY_PAGE
from fulcra.protocol.results.study import StudyResult
from fulcra.store import write_text
from tools.believed.claim import Claim
from tools.believed.claims_control import control_claims
from tools.believed.claims_law import law_claims
from tools.believed.claims_own import own_claims
from tools.believed.claims_sets import other_claims
from tools.believed.evidence import FOLDER, ROOT, evidence
from tools.believed.sentences import sentences

PAGE, PROSE = ROOT / "docs" / "validation.md", Path(__file__).with_name("page.txt")
SECOND = PAGE.with_name("second-study.md")
README = ROOT / "README.md"
#: Between these two lines stands the table of README.md.
OPENS, CLOSES = "<!-- believed: written by python -m tools.believed -->", "<!-- end -->"
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


def readme() -> str:
    """README.md with its table of the law, verdicts alone."""
    before, rest = README.read_text(encoding="utf-8").split(OPENS)
    rows = [f"| {claim.claim} | {claim.verdict} |" for claim in law_claims(evidence())]
    table = "\n".join(["| paper A claims | here |", "|---|---|", *rows])
    return f"{before}{OPENS}\n{table}\n{CLOSES}{rest.split(CLOSES)[1]}"


def study_pages() -> dict[Path, str]:
    """The page of the second study and its drawings, by where they stand."""
    drawn = evidence().second.study.pages()
    return {SECOND if name == STUDY_PAGE else PAGE.parent / name: drawn[name] for name in drawn}


def take(folder: Path) -> None:
    """Put the figures of a finished second study where the pages read them."""
    StudyResult.load(folder).write(FOLDER / "second")


def main(folders: list[str]) -> int:
    """Write the pages, after a study of this folder was taken in."""
    for folder in folders:
        take(Path(folder))
    for path, text in {PAGE: page(), README: readme(), **study_pages()}.items():
        write_text(path, text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
