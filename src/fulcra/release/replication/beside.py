"""The rows of one paper with what was measured here, and in runs of a user's."""

from collections.abc import Mapping

from fulcra.release.replication.papers import Paper, measured
from fulcra.release.replication.reading import Reading
from fulcra.report.replication import Beside


def beside(source: Paper, runs: Mapping[str, tuple[Reading, ...]] | None = None) -> list[Beside]:
    """Every row of a paper, in order; `runs` holds the readings of a user's runs, by row."""
    ours = measured()
    return [
        Beside(
            number,
            f"{row.what} ({row.where})" if row.where else row.what,
            tuple(each.words for each in row.paper),
            ours[key].readings,
            ours[key].verdict,
            ours[key].why,
            row.needs,
            (runs or {}).get(key, ()),
        )
        for number, row in enumerate(source.rows, 1)
        for key in (source.key(row),)
    ]
