"""Every figure that the README tells is the one that the evidence holds."""

import re
from pathlib import Path

from fulcra.protocol.results.audit import AuditResult

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
REAL = ROOT / "docs" / "evidence" / "real"


def short(gain: float | None) -> str:
    assert gain is not None
    return f"{gain:.2f}".removeprefix("0")


def test_the_second_example_is_what_its_audit_found() -> None:
    result = AuditResult.load(REAL / "audit-reply-english.json")
    branch = result.best
    assert branch is not None
    ceiling, trigger = branch.ceiling_predicted, branch.trigger_predicted
    assert trigger is not None
    (paragraph,) = re.findall(r"^There neuron .*?a test compares\.$", README, re.M | re.S)
    assert f"neuron {branch.neuron} alone, of {result.model.layers * result.model.d_mlp:,}," in (
        paragraph
    )
    measured = branch.triggers[-1]
    assert measured is not None
    assert f"stay coherent from gain\n{short(branch.smallest_open_gain)}." in paragraph
    edges = (short(measured.gain), short(branch.ceiling_measured.gain))
    assert "Its trigger is {} and its ceiling {};".format(*edges) in paragraph
    assert f"{short(trigger.gain)} and {short(ceiling.gain)} were forecast" in paragraph
    assert len(list(REAL.glob("audit-*.json"))) == 12
    assert "one of\n[twelve](docs/real-model.md)" in paragraph
    sizes = result.settings
    assert f"{sizes.neurons} screened and {sizes.random} random neurons" in paragraph
    assert f"the screen sweeping {sizes.candidates}, on eight prompts a split" in paragraph
    assert sizes.prompts == 8
    minutes, seconds = divmod(round(result.timing.wall_seconds), 60)
    assert f"in {minutes} min {seconds} s." in paragraph


def test_the_decoders_are_counted_as_their_page_counts_them() -> None:
    page = (ROOT / "docs" / "decoders.md").read_text(encoding="utf-8")
    (types, exact, inferred) = map(
        int,
        re.findall(r"loads (\d+) model types .*?: (\d+) exact row, (\d+) inferred", page, re.S)[0],
    )
    assert f"[{exact + inferred} of {types} usable]" in COMMANDS


def test_every_command_has_its_line_among_what_commands_are_for() -> None:
    reference = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    research = set(re.findall(r"^### `fulcra research (\w+)`$", reference, re.M))
    others = set(re.findall(r"^#{2,3} `fulcra (\w+)`$", reference, re.M)) - research - {"research"}
    assert len(others) > 20 < len(COMMANDS.splitlines())
    first = " ".join(line.split(" | ")[0] for line in COMMANDS.splitlines() if line[:3] == "| `")
    words = set(re.findall(r"[\w-]+", first))
    assert sorted((others | research) - words) == []
