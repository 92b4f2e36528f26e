"""The depth of the law in every group of a registered study, from the files of its cases."""

from collections.abc import Sequence
from pathlib import Path

from fulcra.backtest.depth_coordinate import coordinates
from fulcra.backtest.depth_pairs import behaviors, poles
from fulcra.backtest.depth_reasons import reasons
from fulcra.backtest.depth_rows import CaseRows, cases_of
from fulcra.backtest.registered_scores import HELD_OUT, UNFINISHED, group_members
from fulcra.protocol.results.depth import Depth
from fulcra.protocol.results.design import Design
from fulcra.protocol.results.validation import CeilingRow, ProtocolRow


def grouped_depth(
    folder: Path,
    design: Design,
    ceilings: Sequence[CeilingRow],
    protocol: Sequence[ProtocolRow],
    unfinished: Sequence[str],
) -> dict[str, Depth]:
    """The depth of every group that has figures; `folder` holds the study's sound cases.

    RunFolderError where files of a case are not there.
    """
    cases, groups = cases_of(folder, protocol), {}
    for name, lineages in group_members(design).items():
        names = {lineage.name for lineage in lineages}
        groups[name] = (
            [case for case in cases if case.lineage in names],
            [row for row in ceilings if row.lineage in names],
        )
    if unfinished:
        whole, rows = groups[HELD_OUT]
        groups[UNFINISHED] = (
            [case for case in whole if case.model not in unfinished],
            [row for row in rows if row.model not in unfinished],
        )
    return {name: depth_of(*part, design.size.seed) for name, part in groups.items()}


def depth_of(cases: Sequence[CaseRows], ceilings: Sequence[CeilingRow], seed: int) -> Depth:
    """What stands beneath the law in some cases and models."""
    return Depth(
        reasons=reasons([row for case in cases for row in case.drawn], seed),
        poles=poles(cases, ceilings, seed),
        coordinates=coordinates(cases, ceilings, seed),
        behaviors=behaviors(cases, seed),
    )
