"""Blocks of audit.json, order of rollouts and report, made again from plan, behavior and rows."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from fulcra.errors import FulcraError
from fulcra.protocol.provenance import code_version
from fulcra.protocol.quotes import audited_behavior, behavior_entry, samples
from fulcra.protocol.recheck.run_files import RunCheck, RunFiles
from fulcra.protocol.records import ASKED, CEILING, EARLIER, Record
from fulcra.protocol.results.audit import AuditResult
from fulcra.protocol.results.base import Value
from fulcra.protocol.schedule import QUESTIONS, asking
from fulcra.protocol.seal import plotly_version
from fulcra.store import AUDIT, COPY, REPORT, json_bytes
from fulcra.types import Behavior

#: One rung, held value or other attack: stage, branch, op and dose.
Group = tuple[str, str, str, float]


#: The stages of an audit in the order they are run in.
STAGES = (
    *("baseline", "selection", CEILING, "confirmation", "pins", EARLIER),
    *(ASKED, "context", "direction_selection", "direction_ablation", "control"),
)


def block_checks(run: RunFiles, behavior: Behavior | None) -> list[RunCheck]:
    """Whether audit.json says what plan, behavior and rollouts say, and the report what it says."""
    checks = [_form(run), *_planned(run), _order(run, behavior)]
    if run.seal is not None:
        checks.append(_incidents(run))
    if run.seal is not None and (run.folder / COPY).is_file():
        verb = "has not" if behavior is None else "has"
        checks.append(RunCheck(COPY, behavior is not None, f"{verb} the hash that the run names"))
    if behavior is not None:
        checks += [_behavior(run, behavior), _samples(run, behavior)]
    if (run.folder / REPORT).is_file() and redrawn(run):
        checks.append(_report(run))
    return checks


def same_code(run: RunFiles) -> bool:
    """Whether the run was made by the code that looks at it now."""
    return run.result.provenance.code == code_version()


def redrawn(run: RunFiles) -> bool:
    """Whether the report can be drawn again: by the same code and release of plotly."""
    return same_code(run) and run.seal is not None and run.seal.plotly == plotly_version()


def known_behavior(run: RunFiles) -> Behavior | None:
    """The audited behavior, built in or copied beside the run, as this code reads it.

    None where neither has the hash that the run names, or where other code made the run.
    """
    if not same_code(run):
        return None
    for whole in _candidates(run, run.result.behavior.name):
        if (behavior := audited_behavior(run.result, whole)) is not None:
            return replace(behavior, horizon=run.content.plan.horizons[-1])
    return None


def _candidates(run: RunFiles, name: str) -> Iterator[Behavior]:
    """The copy beside the run, else what is built in under that name."""
    from fulcra.behaviors import built_in, load_behavior

    copied = (run.folder / COPY).is_file()
    source = str(run.folder / COPY) if copied else name
    if not copied and not built_in(name):
        return
    try:
        yield load_behavior(source, name.partition("@")[2] or None)
    except FulcraError:
        return


def _form(run: RunFiles) -> RunCheck:
    """Whether audit.json holds every block and is, byte by byte, what fulcra writes of its values.

    A doubled key, a value of another type, other digits and other spaces are none of that.
    """
    always = set(AuditResult.model_fields) - {"incidents"}
    lacking = always - set(run.audit) if run.seal is not None else set()
    if lacking:
        return RunCheck(f"{AUDIT} form", False, f"no {', '.join(sorted(lacking))}")
    equal = (run.folder / AUDIT).read_bytes() == json_bytes(run.result.plain())
    detail = "as fulcra writes it" if equal else "not as fulcra writes it: keys, types or digits"
    return RunCheck(f"{AUDIT} form", equal, detail)


def _incidents(run: RunFiles) -> RunCheck:
    """Whether audit.json tells of every rollout that met numbers that are not finite."""
    met, broken = run.result.incidents, sum(record.broken for record in run.records)
    if broken > (0 if met is None else met.broken):
        fault = f"{broken} rollouts met numbers that are not finite, and {AUDIT} tells of fewer"
        return RunCheck("incidents", False, fault)
    return RunCheck("incidents", True, "; ".join(run.result.met) or "none")


def _planned(run: RunFiles) -> list[RunCheck]:
    """What the blocks repeat of the plan; the plan's keys that a manifest must have."""
    plan, result = run.content.plan, run.result
    model, behavior, made = result.model, result.behavior, result.provenance
    model_pairs = {"name": (model.name, plan.model), "dtype": (model.dtype, plan.dtype)}
    horizons = (behavior.horizons, plan.horizons)
    behavior_pairs: dict[str, tuple[object, object]] = {
        "name": (behavior.name, plan.behavior),
        "horizons": horizons,
        "horizon": (behavior.horizon, plan.horizons[-1]),
    }
    if run.seal is not None:
        silent = not any(record.text for record in run.records)
        behavior_pairs["sensitive"] = (behavior.sensitive, silent)
    provenance_pairs = {
        name: (getattr(made, name), getattr(plan, name))
        for name in ("code", "generic_sha256", "reference", "coherence")
    }
    manifest_pairs = {key: (key in run.manifest, True) for key in _whose(run)}
    return [
        _agree("manifest keys", manifest_pairs),
        _agree("model block", model_pairs),
        _agree("behavior block", behavior_pairs),
        _agree("provenance block", provenance_pairs),
    ]


def _whose(run: RunFiles) -> list[str]:
    """The keys of the plan that say whose run it is, and stand in its manifest."""
    plan = list(run.stored["content"]["plan"])
    return plan[: plan.index("code") + 1]


def _agree(name: str, pairs: Mapping[str, tuple[object, object]]) -> RunCheck:
    """Whether a block says what the plan says, key by key."""
    differences = [key for key, (stated, planned) in pairs.items() if stated != planned]
    detail = f"different: {', '.join(differences)}" if differences else ", ".join(pairs)
    return RunCheck(name, not differences, detail)


def _behavior(run: RunFiles, behavior: Behavior) -> RunCheck:
    """Whether the block is that of the behavior: version, flip, labels, splits."""
    made = behavior_entry(behavior, run.content.plan.horizons)
    return _same("behavior figures", run.result.behavior, made)


def _same(name: str, stored: Value, made: Value) -> RunCheck:
    pairs = {key: (getattr(stored, key), getattr(made, key)) for key in type(made).model_fields}
    return _agree(name, pairs)


def _samples(run: RunFiles, behavior: Behavior) -> RunCheck:
    """Whether the completions that are quoted are those of the best branch, word by word."""
    try:
        made = samples(behavior, run.result.neurons, run.records)
    except (LookupError, ValueError) as error:
        return RunCheck("samples figures", False, f"cannot be made again: {error!r}")
    equal = [entry.plain() for entry in made] == [entry.plain() for entry in run.result.samples]
    return RunCheck("samples figures", equal, f"{len(run.result.samples)}, made again {len(made)}")


def _report(run: RunFiles) -> RunCheck:
    """Whether the page is the one that audit.json gives, byte by byte."""
    from fulcra.report.page import render_report

    try:
        page = render_report(run.result)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        return RunCheck("report page", False, f"cannot be drawn from {AUDIT}: {error!r}")
    equal = (run.folder / REPORT).read_bytes() == page.encode()
    return RunCheck("report page", equal, f"{'is' if equal else 'is not'} what {AUDIT} gives")


def _order(run: RunFiles, behavior: Behavior | None) -> RunCheck:
    """Whether the rollouts stand in the order they are run in, each once, on the right prompts."""
    groups = [(place, [r.prompt for r in rows]) for place, rows in groupby(run.records, _place)]
    faults = [*_apart(groups), *_out_of_turn(run, groups), *_other_prompts(run, groups, behavior)]
    return RunCheck("rollout order", not faults, faults[0] if faults else "as they are run")


def _place(record: Record) -> Group:
    return record.stage, record.branch, record.op, record.dose


def _apart(groups: Sequence[tuple[Group, list[str]]]) -> Iterator[str]:
    """Stages out of turn, groups of rollouts that stand apart, prompts that come twice."""
    stages = Counter(stage for stage, _ in groupby(place[0] for place, _ in groups))
    if list(stages) != [stage for stage in STAGES if stage in stages]:
        yield "stages are not in the order they are run in"
    places = Counter(place for place, _ in groups)
    for place, prompts in groups:
        if stages[place[0]] > 1 or places[place] > 1:
            yield f"{_name(place)}: its rollouts do not stand together"
        if len(set(prompts)) < len(prompts):
            yield f"{_name(place)}: a prompt comes twice"


def _out_of_turn(run: RunFiles, groups: Iterable[tuple[Group, list[str]]]) -> Iterator[str]:
    """Stages whose branches and gains are not in the order of the commitment."""
    content = run.content
    rungs = [(entry.branch, gain) for entry in content.branches for gain in content.gains_of(entry)]
    turns = [(place[0], (place[1], place[3])) for place, _ in groups if place[2] == "add"]
    for stage in ("selection", CEILING, "confirmation"):
        taken = [turn for name, turn in turns if name == stage]
        if taken != (rungs if run.full else [rung for rung in rungs if rung in set(taken)]):
            yield f"{stage}: branches and gains are not in the order of the commitment"
    controls = dict.fromkeys(turn[0] for name, turn in turns if name == "control")
    if tuple(controls) != content.controls:
        yield "control: controls are not in the order of the commitment"


def _other_prompts(
    run: RunFiles, groups: Iterable[tuple[Group, list[str]]], behavior: Behavior | None
) -> Iterator[str]:
    """Groups on other prompts than their stage has: by the behavior, else by its first group.

    A curtailed rung may have fewer of them, in their order.
    """
    expected = {} if behavior is None else _prompts(behavior)
    for place, prompts in groups:
        stage, rolled = place[0], set(prompts)
        if run.full or stage not in QUESTIONS:
            whole = expected.setdefault(stage, prompts)
        else:
            whole = [prompt for prompt in expected.get(stage, prompts) if prompt in rolled]
        if whole != prompts:
            yield f"{_name(place)}: not on the prompts of its stage, in their order"


def _prompts(behavior: Behavior) -> dict[str, list[str]]:
    """The prompts of each stage, by id."""
    selection = [prompt.id for prompt in behavior.selection]
    confirmation = [prompt.id for prompt in behavior.confirmation]
    on_confirmation = ("confirmation", "pins", "control", "context", "direction_ablation")
    return {
        "baseline": selection + confirmation,
        "selection": selection,
        CEILING: [f"{CEILING}-{i}" for i in range(len(behavior.ceiling_generic))],
        EARLIER: selection,
        ASKED: [prompt.id for prompt in asking(behavior)],
        "direction_selection": selection,
        **dict.fromkeys(on_confirmation, confirmation),
    }


def _name(place: Group) -> str:
    stage, branch, op, dose = place
    return f"{stage} {branch} {op} {dose:g}"
