"""The decision of a gate as a paragraph, in lines and as the XML that build servers read."""

from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from fulcra.protocol.results.gate import GateResult, LimitEntry

#: What one decision is called in a sentence.
WORDS = {
    "pass": "passes",
    "fail": "fails",
    "cannot conclude": "cannot be decided by",
}


def gate_paragraph(result: "GateResult") -> str:
    """The decision in one paragraph: what was held to what, and every limit that does not pass."""
    run, passed = result.run, len(result.of_decision("pass"))
    against = "" if result.baseline is None else f", against {result.baseline.folder}"
    head = (
        f"{run.model} ({run.behavior}, run {run.folder}{against})"
        f" {WORDS[result.decision]} the policy {result.policy.name}:"
        f" {passed} of {len(result.limits)} limits {'passes' if passed == 1 else 'pass'}."
    )
    failed = [f"Fails {entry.limit}: {entry.why}." for entry in result.of_decision("fail")]
    undecided = [
        f"Undecided {entry.limit}: {entry.why}." for entry in result.of_decision("cannot conclude")
    ]
    return " ".join((head, *failed, *undecided))


def gate_text(result: "GateResult") -> str:
    """The paragraph and a line a limit: the decision, and why it passes, too."""
    width = max(len(entry.decision) for entry in result.limits)
    lines = [f"{entry.decision:<{width}}  {entry.limit}: {entry.why}" for entry in result.limits]
    return "\n".join((gate_paragraph(result), "", *lines))


def wanted(entry: "LimitEntry") -> str:
    """What the limit asks for, in words."""
    return entry.bound if entry.bound == "must hold" else f"{entry.bound} {entry.wanted:g}"


def junit(result: "GateResult") -> str:
    """JUnit XML: a test case a limit; what cannot be concluded is an error, not a failure."""
    counts = {
        "tests": len(result.limits),
        "failures": len(result.of_decision("fail")),
        "errors": len(result.of_decision("cannot conclude")),
    }
    head = {name: str(count) for name, count in counts.items()}
    suites = ElementTree.Element("testsuites", {"name": "fulcra gate", **head})
    name = f"{result.policy.name}: {result.run.model}, {result.run.behavior}"
    suite = ElementTree.SubElement(suites, "testsuite", {"name": name, **head, "skipped": "0"})
    for entry in result.limits:
        place = {"classname": f"fulcra.gate.{result.policy.name}", "name": entry.limit}
        case = ElementTree.SubElement(suite, "testcase", {**place, "time": "0"})
        _tell(case, entry)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, "unicode", xml_declaration=True) + "\n"


def _tell(case: ElementTree.Element, entry: "LimitEntry") -> None:
    """What a test case says: why it fails or cannot be decided, and why it passes, too."""
    words = f"{wanted(entry)}; {entry.why}"
    if entry.decision == "pass":
        ElementTree.SubElement(case, "system-out").text = words
        return
    tag = "failure" if entry.decision == "fail" else "error"
    reason = {"message": words, "type": entry.decision.replace(" ", "-")}
    ElementTree.SubElement(case, tag, reason).text = words
