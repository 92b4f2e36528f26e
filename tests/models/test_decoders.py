"""Every decoder type of the installed library: the page says what a tiny model of it shows."""

import json
import re
from pathlib import Path

import pytest
from transformers import __version__
from typer.testing import CliRunner

from fulcra.cli import app
from fulcra.models import decoders
from fulcra.models.decoders import decoder, decoder_types, decoders_markdown

PAGE = Path(__file__).resolve().parents[2] / "docs" / "decoders.md"
ROW = re.compile(r"^\| ([\w.-]+) \| (exact row|inferred|refused) \|", re.MULTILINE)
FAST = ("bert", "falcon", "gpt-sw3", "llama", "mamba", "mpt", "olmoe", "qwen2_moe", "seed_oss")
#: Types that the page must hold as usable, of the kinds that users bring.
WANTED = (
    *("stablelm", "falcon", "bloom", "phi", "nemotron", "mpt", "exaone4", "ernie4_5", "seed_oss"),
    *("gptj", "qwen3_5_text", "minimax_m2", "hunyuan_v1_dense", "olmoe", "granitemoe"),
)


def page_states() -> dict[str, str]:
    """The state of every type by the page."""
    return dict(ROW.findall(PAGE.read_text(encoding="utf-8")))


def test_the_page_names_every_type_of_the_installed_library() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert f"transformers {__version__} loads {len(decoder_types())} model types" in text, (
        "run `fulcra families --all --markdown > docs/decoders.md`"
    )
    assert tuple(page_states()) == decoder_types()


def test_at_least_sixty_types_are_usable() -> None:
    states = page_states()
    assert sum(state != "refused" for state in states.values()) >= 60
    assert [name for name in WANTED if states[name] == "refused"] == []


@pytest.mark.parametrize("model_type", FAST)
def test_a_type_is_what_the_page_says(model_type: str) -> None:
    assert decoder(model_type).state == page_states()[model_type]


@pytest.mark.slow
def test_every_type_is_what_the_page_says() -> None:
    states = page_states()
    today = {name: decoder(name).state for name in states}
    assert today == states


def test_the_table_is_printed_as_a_page_as_lines_and_as_json(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decoders, "decoder_types", lambda: ("llama", "mamba", "bloom"))
    outputs = [
        CliRunner().invoke(app, ["families", "--all", *option]).output
        for option in ([], ["--json"], ["--markdown"])
    ]
    assert outputs[0].splitlines()[0].split() == ["llama", "exact", "row"]
    entries = json.loads(outputs[1])["decoders"]
    assert [entry["state"] for entry in entries] == ["exact row", "refused", "inferred"]
    assert "1 exact row, 1 inferred, 1 refused" in outputs[2]
    assert outputs[2] == decoders_markdown([decoder(name) for name in ("llama", "mamba", "bloom")])
