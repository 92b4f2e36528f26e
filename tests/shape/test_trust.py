"""No line loads weights by running code: from_pretrained and torch.load say so themselves."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Classes that read a config or a tokenizer's own tables, and take no code from a folder.
PLAIN = ("GenerationConfig", "PreTrainedTokenizerFast")


def calls(*folders: str) -> Iterator[tuple[str, ast.Call]]:
    """Every call of the Python files below some folders, with where it stands."""
    for path in sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def keywords(call: ast.Call) -> dict[str | None, str]:
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}


def test_every_load_of_a_model_says_whether_code_may_run_and_takes_safetensors() -> None:
    loads = {
        place: (ast.unparse(call.func), keywords(call))
        for place, call in calls("src", "organisms")
        if isinstance(call.func, ast.Attribute) and call.func.attr == "from_pretrained"
    }
    assert len(loads) > 5
    for place, (function, options) in loads.items():
        if function.startswith(PLAIN):
            continue
        trusted = options.get("trust_remote_code", options.get(None))
        assert trusted in ("False", "trusted", "placed", "placed['trust_remote_code']"), place
        if "AutoModel" in function and "gguf_file" not in options:
            assert options.get("use_safetensors") == "True", place


def test_nothing_is_unpickled() -> None:
    for place, call in calls("src", "organisms", "tools", "benchmarks", "examples"):
        function = ast.unparse(call.func)
        if function in ("torch.load", "torch.serialization.load"):
            assert keywords(call).get("weights_only") == "True", place
        assert function not in ("pickle.load", "pickle.loads", "joblib.load"), place
        if function.endswith(("np.load", "numpy.load")):
            assert keywords(call).get("allow_pickle", "False") == "False", place
