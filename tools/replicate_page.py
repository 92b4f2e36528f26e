"""Writes docs/replicate.md, and what was measured here of each row for `fulcra replicate`.

`make replicate`; both from docs/evidence, with the verdicts of what is believed.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from fulcra.errors import RunFolderError
from fulcra.protocol.results.base import Result
from fulcra.protocol.results.comparison import ComparisonResult
from fulcra.release.replication.beside import beside
from fulcra.release.replication.papers import (
    LETTERS,
    MEASURED,
    SMALL,
    Measured,
    Row,
    commands,
    measured,
    paper,
    rows_by_model,
)
from fulcra.release.replication.readers import kinds, readings
from fulcra.release.replication.reading import Reading
from fulcra.report.replication import replication_markdown
from fulcra.store import plain, read_json, write_json, write_text
from tools.believed.claim import Claim
from tools.believed.claims_control import control_claims
from tools.believed.claims_law import law_claims
from tools.believed.claims_sets import other_claims
from tools.believed.evidence import FOLDER, ROOT, evidence

PAGE = ROOT / "docs" / "replicate.md"
DATA = ROOT / "src" / "fulcra" / "release" / "replication" / MEASURED
#: Where the page of what is believed points to a sentence of its own.
SENTENCE = re.compile(r" \(sentence \d+\)")
HEAD = Path(__file__).with_name("replicate_page.txt")


def measured_here() -> dict[str, object]:
    """What the evidence says of every row of every paper, as the file of the command holds it."""
    e = evidence()
    claims = {each.claim: each for each in (*law_claims(e), *control_claims(e), *other_claims(e))}
    return {
        source.key(row): plain(_measured(row, claims).model_dump())
        for source in map(paper, LETTERS)
        for row in source.rows
    }


def _measured(row: Row, claims: dict[str, Claim]) -> Measured:
    claim = claims[row.claim] if row.claim else None
    return Measured(
        readings=tuple(_readings(row)),
        verdict=claim.verdict if claim else "",
        why=SENTENCE.sub("", claim.here) if claim else "",
    )


def _readings(row: Row) -> Iterator[Reading]:
    """What each file of evidence says of a row; of one model alone where the entry names it."""
    results: list[Result] = []
    for entry in row.evidence:
        file, _, model = entry.partition(":")
        loaded = [_loaded(path, row) for path in sorted(FOLDER.glob(file))]
        if model:
            yield from (each for each in readings(row, loaded) if each.model == model)
        else:
            results += loaded
    yield from readings(row, results)


def _loaded(path: Path, row: Row) -> Result:
    """The result of a file, of the first kind that it is; of the page of anatomies a comparison."""
    if path.name == "anatomy.json":
        return ComparisonResult.of(read_json(path)["comparison"])
    for kind in kinds(row):
        with suppress(RunFolderError):
            return kind.load(path)
    raise RunFolderError(f"{path}: of no kind that row {row.row} is read from")


def page() -> str:
    """The whole page, from what was measured here."""
    sections = []
    for source in map(paper, LETTERS):
        block, models = commands(source, SMALL), rows_by_model(source)
        sections.append(replication_markdown(source, beside(source), block, models))
    return "\n".join([HEAD.read_text(encoding="utf-8"), *sections])


def main() -> int:
    """Write the data of the command, then the page."""
    write_json(DATA, measured_here())
    measured.cache_clear()
    write_text(PAGE, page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
