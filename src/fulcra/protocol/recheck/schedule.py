"""Whether the rollouts of a curtailed run are those that its records ask for, no more, no fewer."""

from collections.abc import Sequence

from fulcra.protocol.curtail import Key
from fulcra.protocol.recheck.run_files import RunCheck, RunFiles
from fulcra.protocol.records import CEILING, EARLIER, Record
from fulcra.protocol.schedule import Ladders, happened, schedule
from fulcra.types import Neuron

#: The stages of a curtailed run, each after those it depends on.
STAGES = (CEILING, "selection", "confirmation", "pins", EARLIER, "control")
Rolled = dict[Key, Record]


def schedule_checks(run: RunFiles) -> list[RunCheck]:
    """One check a stage: its rollouts decide it, in the drawn order, and none is too many."""
    before = [record for record in run.records if record.stage == "baseline"]
    checks = []
    for stage in STAGES:
        rolled = {_key(record): record for record in run.records if record.stage == stage}
        checks.append(_stage(run, stage, rolled, before))
        before += rolled.values()
    return checks


def _stage(run: RunFiles, stage: str, rolled: Rolled, before: Sequence[Record]) -> RunCheck:
    missing: list[Key] = []

    def answers(keys: Sequence[Key]) -> list[bool]:
        missing.extend(key for key in keys if key not in rolled)
        return [key in rolled and happened(stage, rolled[key]) for key in keys]

    keys = schedule(stage, _ladders(run, stage, rolled), run.content, before).keys(answers)
    uninvited = len(rolled.keys() - set(keys))
    detail = f"{len(rolled)} rollouts, {len(missing)} missing, {uninvited} that nothing asks for"
    return RunCheck(f"{stage} rollouts", not missing and not uninvited, detail)


def _ladders(run: RunFiles, stage: str, rolled: Rolled) -> Ladders:
    """Every dose of each branch, as committed; of pins those that were rolled out."""
    content = run.content
    gains = content.plan.gains
    if stage == "pins":
        values: dict[str, list[float]] = {}
        for branch, dose in dict.fromkeys((key.branch, key.dose) for key in rolled):
            values.setdefault(branch, []).append(dose)
        return values
    if stage == "control":
        return {name: gains[: content.control_rungs.get(name)] for name in content.controls}
    if stage == EARLIER:
        early = run.result.model.layers // 4
        names = [entry.branch for entry in content.branches]
        return {name: gains for name in names if Neuron.parse(name).layer > early}
    return {entry.branch: content.gains_of(entry) for entry in content.branches}


def _key(record: Record) -> Key:
    return Key(record.branch, record.dose, record.prompt)
