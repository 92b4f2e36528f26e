"""Public sets by name: dealt without overlap, or one line where package or network is missing."""

import json
import re
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from fulcra.behaviors import evaluation_prompts, load_behavior, public_behavior_names
from fulcra.behaviors.schema import PromptEntry, SetSlice
from fulcra.behaviors.sets import catalogue, deal_sets
from fulcra.errors import BehaviorError
from tests.promptly import promptly

WITH_DATASETS = pytest.mark.skipif(
    find_spec("datasets") is None, reason="needs the package datasets, an extra"
)
WRITTEN: dict[str, Any] = {
    "name": "sets",
    "version": 1,
    "horizon": 8,
    "flip": {"refusal": {}},
    "sensitive": True,
    "control_openings": ["Sorry"],
    "positive": {"set": "jbb-behaviors", "split": "harmful", "n": 20},
    "negative": {"set": "jbb-behaviors", "split": "benign", "n": 20},
    "selection": {"set": "jbb-behaviors", "split": "harmful", "n": 4},
    "confirmation": {"set": "jbb-behaviors", "split": "harmful", "n": 6},
}
#: Every column that a set has on the hub (docs/sets.md), with an invented row; {i} makes rows
#: differ.
ROWS: dict[tuple[str, str], dict[str, Any]] = {
    ("jbb-behaviors", "harmful"): {
        "Index": 0,
        "Goal": "Stir tea {i}",
        "Target": "Sure, stir {i}",
        "Behavior": "Stirring",
        "Category": "Tea",
        "Source": "Original",
    },
    ("harmbench", "standard"): {"prompt": "Stir tea {i}", "category": "tea"},
    ("harmbench", "contextual"): {
        "prompt": "Stir it {i}",
        "context": "There is a pot of tea {i}.",
        "category": "tea",
    },
    ("harmbench", "copyright"): {"prompt": "Sing the tea song {i}", "tags": ["tea"]},
    ("strongreject", "train"): {"prompt": "Stir tea {i}", "category": "tea", "source": "a kitchen"},
    ("advbench", "train"): {"prompt": "Stir tea {i}", "target": "Sure, stir {i}"},
    ("xstest", "safe"): {
        "prompt": "Kill the kettle {i}",
        "focus": "kettle",
        "type": "homonyms",
        "note": "",
        "label": "safe",
    },
    ("xstest", "unsafe"): {
        "prompt": "Steal the kettle {i}",
        "focus": "kettle",
        "type": "contrast",
        "note": None,
        "label": "unsafe",
    },
    ("alpaca", "train"): {
        "instruction": "Name teas {i}",
        "input": "",
        "output": "Green.",
        "text": "Name teas. Green.",
    },
    ("mmlu", "test"): {
        "question": "Which tea {i}?",
        "subject": "tea",
        "choices": ["a", "b", "c", "d"],
        "answer": 2,
    },
    ("gsm8k", "test"): {
        "question": "How many teas {i}?",
        "answer": "2 + {i} = <<2+{i}=4>>4 #### 4",
    },
}


def filled(row: dict[str, Any], i: int) -> dict[str, Any]:
    return {
        name: cell.replace("{i}", str(i)) if isinstance(cell, str) else cell
        for name, cell in row.items()
    }


def copied(folder: Path, splits: dict[tuple[str | None, str], list[dict[str, Any]]]) -> None:
    """A folder as the hub serves a dataset: rows, and a card that names configs and splits."""
    folder.mkdir(parents=True)
    configs: dict[str, list[dict[str, str]]] = {}
    for (config, split), rows in splits.items():
        name = f"{config or 'default'}-{split}.jsonl"
        (folder / name).write_text("\n".join(map(json.dumps, rows)))
        configs.setdefault(config or "default", []).append({"split": split, "path": name})
    card = yaml.safe_dump(
        {
            "configs": [
                {"config_name": config, "data_files": files} for config, files in configs.items()
            ]
        }
    )
    (folder / "README.md").write_text(f"---\n{card}---\n")


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of copies in place of the hub: invented rows of one set, each twice."""
    splits: dict[tuple[str | None, str], list[dict[str, Any]]] = {
        ("behaviors", split): [
            {"Goal": f"Stir the {split} tea number {i // 2}", "Target": f"Sure, stir {i // 2}"}
            for i in range(64)
        ]
        for split in ("harmful", "benign")
    }
    copied(tmp_path / "copies" / "JailbreakBench" / "JBB-Behaviors", splits)
    monkeypatch.setenv("FULCRA_SETS", str(tmp_path / "copies"))
    return tmp_path / "copies"


def write(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "sets.yaml"
    path.write_text(
        yaml.safe_dump(
            {key: value for key, value in {**WRITTEN, **changes}.items() if value is not None}
        )
    )
    return path


def test_the_eight_sets_are_known_by_id_and_column_and_nothing_else() -> None:
    assert set(catalogue()) == {
        "jbb-behaviors",
        "harmbench",
        "strongreject",
        "advbench",
        "xstest",
        "alpaca",
        "mmlu",
        "gsm8k",
    }
    for splits in catalogue().values():
        for split in splits.values():
            assert split.dataset.count("/") == 1
            assert re.fullmatch("[0-9a-f]{40}", split.revision)
            assert (
                {"prompt"}
                <= set(split.columns)
                <= {"prompt", "context", "target_opening", "answer"}
            )


@WITH_DATASETS
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("name", "split"), ROWS)
def test_every_set_is_read_by_the_columns_it_has(
    name: str, split: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, row = catalogue()[name][split], ROWS[name, split]
    others = [{**row, column: f"not {value}"} for column, value in part.where.items()]
    copied(
        tmp_path / part.dataset,
        {(part.config, part.split): [filled(each, i) for i in range(4) for each in (row, *others)]},
    )
    monkeypatch.setenv("FULCRA_SETS", str(tmp_path))
    sets = deal_sets(
        {
            "positive": SetSlice(set=name, split=split, n=3),
            "selection": SetSlice(set=name, split=split, n=1),
        }
    )
    entries = sorted(sets["positive"] + sets["selection"], key=lambda entry: entry.prompt)
    assert entries == [expected(name, filled(row, i)) for i in range(4)]


def expected(name: str, row: dict[str, Any]) -> PromptEntry:
    """What a row becomes, written by hand for each set."""
    if name == "jbb-behaviors":
        return PromptEntry(prompt=row["Goal"], target_openings=(row["Target"],))
    if name == "advbench":
        return PromptEntry(prompt=row["prompt"], target_openings=(row["target"],))
    if name == "harmbench" and "context" in row:
        return PromptEntry(prompt=f"{row['context']}\n\n---\n\n{row['prompt']}")
    if name == "gsm8k":
        return PromptEntry(prompt=row["question"], answer=row["answer"])
    return PromptEntry(prompt=row.get("prompt") or row.get("instruction") or row["question"])


@WITH_DATASETS
@pytest.mark.filterwarnings("default")
def test_slices_of_one_split_share_no_row_and_are_the_same_everywhere(
    copies: Path, tmp_path: Path
) -> None:
    behavior = load_behavior(write(tmp_path))
    harmful = [
        prompt.text
        for part in (behavior.positive, behavior.selection, behavior.confirmation)
        for prompt in part
    ]
    assert (len(harmful), len(set(harmful)), len(behavior.negative)) == (30, 30, 20)
    assert all("harmful" in text for text in harmful)
    assert harmful != sorted(harmful, key=lambda text: int(text.split()[-1]))
    assert behavior.confirmation[0].target_openings == (
        behavior.confirmation[0].text.replace("Stir the harmful tea number", "Sure, stir"),
    )
    assert load_behavior(write(tmp_path)) == behavior
    assert load_behavior(write(tmp_path, target_openings=["Here"])).confirmation[
        0
    ].target_openings == ("Here",)


@WITH_DATASETS
@pytest.mark.filterwarnings("default")
def test_prompts_to_evaluate_on_are_none_of_the_behavior_s_own(
    copies: Path, tmp_path: Path
) -> None:
    behavior = load_behavior(
        write(tmp_path, confirmation={"set": "jbb-behaviors", "split": "harmful", "n": 4})
    )
    evaluated = evaluation_prompts("jbb-behaviors:harmful:4", behavior)
    own = {
        prompt.text
        for part in (behavior.positive, behavior.selection, behavior.confirmation)
        for prompt in part
    }
    prompts = {prompt.text for prompt in evaluated.confirmation}
    assert (len(prompts), prompts & own, evaluated.name, evaluated.sensitive) == (
        4,
        set(),
        "jbb-behaviors:harmful:4",
        True,
    )
    with pytest.raises(
        BehaviorError,
        match=r"4 distinct prompts left in jbb-behaviors \(harmful\), 5 asked; take fewer",
    ):
        evaluation_prompts("jbb-behaviors:harmful:5", behavior)


@WITH_DATASETS
@pytest.mark.filterwarnings("default")
def test_copies_that_changed_are_read_anew(copies: Path, tmp_path: Path) -> None:
    before = load_behavior(write(tmp_path)).confirmation
    for path in copies.rglob("*.jsonl"):
        path.write_text(path.read_text().replace("tea", "jam"))
    after = load_behavior(write(tmp_path)).confirmation
    assert [prompt.text.replace("tea", "jam") for prompt in before] == [
        prompt.text for prompt in after
    ]


@WITH_DATASETS
@pytest.mark.filterwarnings("default")
def test_more_rows_than_there_are_is_one_line(copies: Path, tmp_path: Path) -> None:
    with pytest.raises(
        BehaviorError,
        match=(
            r"confirmation: 8 distinct prompts left in jbb-behaviors \(harmful\), 16 asked; take"
            r" fewer"
        ),
    ):
        load_behavior(
            write(tmp_path, confirmation={"set": "jbb-behaviors", "split": "harmful", "n": 16})
        )


@WITH_DATASETS
def test_without_network_it_ends_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "HF_HUB_OFFLINE",
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "all_proxy",
        "FULCRA_SETS",
    ):
        monkeypatch.delenv(name, raising=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
        unreached = r"127\.0\.0\.1 cannot be reached; connect, set HF_HUB_OFFLINE=1"
        with promptly(), pytest.raises(BehaviorError, match=unreached):
            load_behavior(write(tmp_path))


@pytest.mark.skipif(
    find_spec("datasets") is not None, reason="the package datasets is installed here"
)
def test_without_the_package_it_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(
        BehaviorError,
        match=r"source 'JailbreakBench/JBB-Behaviors': needs the package datasets, found none",
    ):
        load_behavior(write(tmp_path))


@pytest.mark.parametrize(
    ("slice_", "message"),
    [
        (
            {"set": "jbb", "split": "harmful"},
            r"set 'jbb': not known; known are jbb-behaviors, harmbench",
        ),
        ({"set": "xstest", "split": "test"}, r"set 'xstest': no split 'test'; it has safe, unsafe"),
        ({"set": "xstest", "split": "safe", "m": 3}, r"unknown key 'positive\.m'"),
        ({"set": "xstest", "split": "safe", "n": 0}, r"positive\.n"),
        ({"set": "xstest"}, r"the key 'positive\.split' is missing"),
    ],
)
def test_a_wrong_slice_is_one_line(tmp_path: Path, slice_: dict[str, Any], message: str) -> None:
    with pytest.raises(BehaviorError, match=message):
        load_behavior(write(tmp_path, positive=slice_))


@WITH_DATASETS
@pytest.mark.filterwarnings("default")
def test_a_source_of_one_s_own_gives_the_sets_that_are_absent(tmp_path: Path) -> None:
    rows = [{"asked": f"Stir tea {i // 2}", "other": f"Sit {i}"} for i in range(200)]
    copied(tmp_path / "teas", {(None, "train"): rows})
    columns = {"negative": "other", "selection": "asked", "confirmation": "asked"}
    source = {
        "dataset": str(tmp_path / "teas"),
        "revision": "main",
        "split": "train",
        "columns": columns,
    }
    absent = dict.fromkeys(columns)
    path = write(tmp_path, positive=["Brew"], source=source, target_openings=["Tea"], **absent)
    behavior = load_behavior(path)
    measured = (*behavior.selection, *behavior.confirmation)
    assert [prompt.text for prompt in measured] == [f"Stir tea {i}" for i in range(24)]
    assert len(behavior.negative) == 32
    assert behavior.source["dataset"] == source["dataset"]


@WITH_DATASETS
@pytest.mark.parametrize("name", public_behavior_names())
def test_a_bundled_behavior_on_public_prompts_takes_no_more_than_its_sets_have(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FULCRA_SETS", str(tmp_path))
    sizes = {"JailbreakBench/JBB-Behaviors": ("behaviors", 100), "walledai/XSTest": (None, 200)}
    for dataset, (config, rows) in sizes.items():
        parts = ("harmful", "benign") if config else ("safe", "unsafe")
        entries = {
            part: [
                {"Goal": f"{part} {i}", "prompt": f"{part} {i}", "Target": "Sure", "label": part}
                for i in range(rows)
            ]
            for part in parts
        }
        whole = {(None, "test"): [row for part in parts for row in entries[part]]}
        copied(tmp_path / dataset, {(config, p): entries[p] for p in parts} if config else whole)
    behavior = load_behavior(name)
    assert behavior.sensitive
    assert len(behavior.confirmation) >= 16
