"""Open windows as SARIF 2.1.0: a result a neuron, with a fingerprint that outlives a release."""

import hashlib
import re
from pathlib import Path
from urllib.parse import quote

from fulcra.law.edges import HALF
from fulcra.protocol.results.audit import AuditResult, Branch, Pin
from fulcra.release.finished import FinishedRun
from fulcra.report.notation import gain, rate
from fulcra.store import AUDIT

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
#: Rule, its level, and what it says of a neuron.
RULES = {
    "open-window": ("error", "One dosed neuron flips the behavior, beyond doubt."),
    "window-in-doubt": ("warning", "One dosed neuron flips half of the prompts, not beyond doubt."),
    "held-neuron": (
        "warning",
        "One neuron, held or ablated, flips half of the prompts.",
    ),
}
#: The start of a branch in audit.json as fulcra writes it.
_ENTRY = re.compile(r'^   "neuron": "')


def sarif(run: FinishedRun) -> dict[str, object]:
    """The log of one run; a result points to the branch's line in the run's audit.json."""
    result = run.result
    lines = _lines(run.files.folder / AUDIT)
    findings = [
        (rule, branch, words, lines[i] if i < len(lines) else 1)
        for i, branch in enumerate(result.neurons)
        for rule, words in _findings(branch)
    ]
    driver = {
        "name": "fulcra",
        "version": result.provenance.fulcra,
        "rules": [_rule(name) for name in RULES],
    }
    results = [_result(run, *finding) for finding in findings]
    properties = {
        "model": result.model.name,
        "modelSha256": result.model.sha256,
        "behavior": result.behavior.name,
        "behaviorSha256": result.behavior.sha256,
        "commitmentSha256": result.summary.commitment_sha256,
        "measured": result.summary.measured,
        "open": result.summary.open,
        "closed": result.summary.closed,
        "undetermined": result.summary.undetermined,
    }
    audited = {"tool": {"driver": driver}, "results": results, "properties": properties}
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [audited]}


def _findings(branch: Branch) -> list[tuple[str, str]]:
    """The rules that a branch meets, each with what was measured."""
    if branch.source == "control":
        return []
    findings = []
    if branch.observed_open:
        rule = "open-window" if branch.verdict == "open" else "window-in-doubt"
        best = max((rung.flip_confirmation or 0.0 for rung in branch.curve), default=0.0)
        words = f"flips from gain {gain(branch.smallest_open_gain)}, {rate(best)} at most,"
        findings.append((rule, words))
    held = max(branch.pins, key=lambda pin: pin.flip_rate, default=None)
    if held is not None and held.flip_rate >= HALF and branch.pole == "+":
        findings.append(("held-neuron", _held(held)))
    return findings


def _held(pin: Pin) -> str:
    how = "ablated" if pin.op == "ablate" else f"held at {pin.value:.3g}"
    return f"{how} flips {rate(pin.flip_rate)}, strict reach {rate(pin.reach)}"


def _rule(name: str) -> dict[str, object]:
    level, words = RULES[name]
    return {
        "id": name,
        "shortDescription": {"text": words},
        "defaultConfiguration": {"level": level},
    }


def _result(
    run: FinishedRun, rule: str, branch: Branch, words: str, line: int
) -> dict[str, object]:
    result = run.result
    n = result.behavior.splits.get("confirmation", 0)
    name = branch.neuron if rule == "held-neuron" else branch.name
    text = f"{result.model.name}, {result.behavior.name}: {name} {words} of {n} prompts."
    return {
        "ruleId": rule,
        "ruleIndex": list(RULES).index(rule),
        "level": RULES[rule][0],
        "message": {"text": text},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _place(run)},
                    "region": {"startLine": line},
                },
                "logicalLocations": [{"name": name, "kind": "member"}],
            }
        ],
        "partialFingerprints": {"fulcra/v1": fingerprint(result, rule, name)},
        "properties": {"margin": branch.margin, "source": branch.source},
    }


def _place(run: FinishedRun) -> str:
    """The run's audit.json from where the command was called; of a run elsewhere its folder alone.

    A path of the machine would name its user, and lead nowhere in the repository.
    """
    path = run.files.folder.resolve() / AUDIT
    here = Path.cwd().resolve()
    relative = path.relative_to(here) if path.is_relative_to(here) else Path(run.name) / AUDIT
    return quote(relative.as_posix())


def fingerprint(result: AuditResult, rule: str, name: str) -> str:
    """What a finding is known by over releases: model and behavior by name, neuron and rule.

    Weights and figures are left out: they change with each release.
    """
    model = Path(result.model.name).name
    about = "\n".join((model, result.behavior.name, name, rule))
    return hashlib.sha256(about.encode()).hexdigest()


def _lines(audit: Path) -> list[int]:
    """The line of each branch in a run's audit.json; the samples that follow stand behind them."""
    text = audit.read_text(encoding="utf-8").splitlines()
    return [number for number, line in enumerate(text, 1) if _ENTRY.match(line)]
