"""The examples of docs/interoperation.md run as they stand, each with the library it is of."""

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "interoperation.md"
BLOCK = re.compile(r"^## (.+?)$|^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks() -> dict[str, str]:
    """The Python of the page by the heading it stands under; the first has none."""
    heading, texts = "", {}
    for match in BLOCK.finditer(PAGE.read_text(encoding="utf-8")):
        heading = match[1] or heading
        if match[2]:
            texts[heading] = match[2]
    return texts


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("heading", "library"),
    [
        ("TransformerLens", "transformer_lens.model_bridge"),
        ("nnsight", "nnsight"),
        ("SAELens and Neuronpedia", "fulcra"),
    ],
)
def test_an_example_runs(
    heading: str, library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(library, reason=f"needs {library}", exc_type=ImportError)
    monkeypatch.chdir(tmp_path)
    texts = blocks()
    names: dict[str, Any] = {}
    path = tmp_path / "example.py"
    path.write_text(texts[""] + texts[heading])
    exec(compile(path.read_text(), str(path), "exec"), names)
    if heading.startswith("SAELens"):
        assert (tmp_path / "batch-0.json").is_file()
        assert names["vectors"][0].default_steer_strength == -4.0
    else:
        assert names["column"] == 307
        assert names["logits"].shape[-1] == names["model"].vocab
