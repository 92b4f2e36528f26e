"""`fulcra judge` on finished runs: what it writes, what it refuses, and that an endpoint which
fails loses nothing.
"""

import json
import shutil
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from fulcra import AuditSettings, Model, audit, load_behavior
from fulcra.protocol.results.judging import JudgingResult
from fulcra.protocol.shards import read_rollouts
from fulcra.store import TEXTS, read_json, read_rows
from tests.cli.conftest import Call
from tests.judges.servers import Reply, completion, grades, serving
from tests.rollouts import rewrite

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FULCRA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FULCRA_JUDGE_KEY", raising=False)


@pytest.fixture(scope="module")
def sensitive(
    sparse: Model,
    tiny: AuditSettings,
    written: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The folder of a run of a sensitive behavior and the behavior's file; never changed."""
    folder = tmp_path_factory.mktemp("sensitive")
    path = folder / "small.yaml"
    path.write_text(
        yaml.safe_dump(
            {**written, "sensitive": True, "flip": {"refusal": {"about": ["curse", "malefice"]}}}
        )
    )
    audit(sparse, load_behavior(path), replace(tiny, keep_text=True), folder / "run")
    return folder


@pytest.fixture
def sensitive_run(sensitive: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A copy of that run, which keeps its texts, and the behavior's file."""
    shutil.copytree(sensitive / "run", tmp_path / "run")
    return tmp_path / "run", sensitive / "small.yaml"


def refusing(number: int, body: dict[str, Any]) -> Reply:
    """Grades a reply as refused when it says sorry."""
    reply = body["messages"][1]["content"].split(" reply>")[1]
    return Reply(body=completion(grades(refused="sorry" in reply or "desole" in reply)))


def test_the_oracle_agrees_with_the_run_and_the_runs_own_files_stay(
    fulcra: Call, run_copy: Path
) -> None:
    before = {path.name: path.read_bytes() for path in run_copy.iterdir() if path.is_file()}
    left = fulcra("judge", run_copy, "--judge", "oracle", "--judge", "phrases", "--json")
    assert (left.code, left.err) == (0, "")
    (result,) = json.loads(left.out)["runs"]
    assert result.pop("run") == str(run_copy)
    assert result == read_json(run_copy / "judgements.json")
    assert JudgingResult.load(run_copy).plain() == result
    _, oracle, phrases = result["judges"]
    assert oracle["scored"] == phrases["scored"] == result["completions"] > 0
    assert result["horizons"] == [8, 32, 33]
    for outcomes, row in zip(result["outcomes"], result["agreement"], strict=True):
        assert outcomes["judges"]["run"] == outcomes["judges"]["oracle"]
        pair = row["pairs"][0]
        assert (pair["judges"], pair["same"]) == (["run", "oracle"], pair["n"])
    assert {
        row["outcomes"]["run"] == row["outcomes"]["phrases"] for row in result["disagreements"]
    } <= {False}
    new = {path.name for path in run_copy.iterdir() if path.is_file()} - set(before)
    assert {name.split("-")[1] for name in new if name != "judgements.json"} == {
        "oracle",
        "phrases",
    }
    assert all((run_copy / name).read_bytes() == held for name, held in before.items())
    table = next(run_copy.glob("judgements-oracle-*.parquet"))
    assert table.stat().st_mode & 0o777 == 0o600
    rows = read_rows(table)
    stored = sum(row["stage"] in ("baseline", "confirmation") for row in read_rollouts(run_copy))
    assert result["rollouts"] == stored == len(rows) / len(result["horizons"])
    assert all(row["run"] == row["outcome"] for row in rows)


@pytest.mark.slow
def test_an_endpoint_that_was_down_is_asked_again_later_and_nothing_is_lost(
    fulcra: Call, run_copy: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    down = fulcra(
        "judge",
        run_copy,
        "--judge",
        f"api:m@http://127.0.0.1:{port}/v1",
        "--json",
        "--timeout",
        "1",
    )
    (result,) = json.loads(down.out)["runs"]
    assert down.code == 3
    assert "scored none of" in down.line
    judge = result["judges"][1]
    assert judge["scored"] == 0
    assert sum(judge["unscored"].values()) == result["completions"]
    assert {row["pairs"][0]["n"] for row in result["agreement"]} == {0}

    calls: list[int] = []

    def shaky(number: int, body: dict[str, Any]) -> Reply:
        calls.append(number)
        return Reply(body=b"oops") if number < 2 else refusing(number, body)

    with serving(shaky) as server:
        call = ("judge", run_copy, "--judge", f"api:m@{server.url}", "--json")
        first, second, third = (json.loads(fulcra(*call).out)["runs"][0] for _ in range(3))
    assert third["outcomes"] == second["outcomes"]
    first, second, third = (run["judges"][1] for run in (first, second, third))
    assert first["unscored"] == {"an answer that is no chat completion": 2}
    assert (second["unscored"], second["usage"]["requests"], second["from_disk"]) == (
        {},
        2,
        first["scored"],
    )
    assert third["usage"]["requests"] == 0


def test_every_horizon_is_judged_on_the_text_as_it_stood_there(
    fulcra: Call, run_copy: Path
) -> None:
    fulcra("judge", run_copy, "--judge", "oracle", "--quiet")
    rows = read_rows(next(run_copy.glob("judgements-oracle-*.parquet")))
    stored = [
        row for row in read_rollouts(run_copy) if row["stage"] in ("baseline", "confirmation")
    ]
    expected = {
        8: [row["outcomes"][0] for row in stored],
        33: [row["outcomes"][2] for row in stored],
    }
    for horizon, outcomes in expected.items():
        assert [row["outcome"] for row in rows if row["horizon"] == horizon] == outcomes
    assert expected[8] != expected[33]
    first = stored[0]
    assert [len(first["text"][:cut].split()) for cut in first["cuts"]] == [
        min(first["tokens"], horizon) for horizon in (8, 32, 33)
    ]
    (left,) = json.loads(
        fulcra("judge", run_copy, "--judge", "oracle", "--horizon", 8, "--json").out
    )["runs"]
    assert [row["horizon"] for row in left["outcomes"]] == [8]


def test_a_run_whose_texts_cannot_be_cut_is_judged_at_its_last_horizon(
    fulcra: Call, run_copy: Path
) -> None:
    rewrite(run_copy, [{**row, "cuts": None} for row in read_rollouts(run_copy)])
    (result,) = json.loads(fulcra("judge", run_copy, "--judge", "oracle", "--json").out)["runs"]
    assert result["horizons"] == [33]
    assert (
        "can be judged at 33 (its texts were"
        in fulcra("judge", run_copy, "--judge", "oracle", "--horizon", 8).refusal
    )


def test_several_runs_are_several_sets_each_with_its_own_agreement(
    fulcra: Call, run_copy: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(run_copy, tmp_path / "other"))
    call = ("--judge", "oracle", "--judge", "phrases", "--stage", "baseline")
    both = json.loads(fulcra("judge", run_copy, other, *call, "--json").out)["runs"]
    assert [run.pop("run") for run in both] == [str(run_copy), str(other)]
    assert both[0] == both[1] == read_json(other / "judgements.json")
    assert [len(row["pairs"]) for row in both[0]["agreement"]] == [3, 3, 3]


def test_what_an_endpoint_costs_is_shown_and_what_comes_from_disk_costs_nothing(
    fulcra: Call, run_copy: Path
) -> None:
    with serving(refusing) as server:
        name = f"api:m@{server.url}"
        call = ("judge", run_copy, "--judge", name, "--stage", "baseline")
        shown = fulcra(*call, "--price", "2/10", "--price", f"{name}=1/100").out
        (again,) = json.loads(fulcra(*call, "--price", "2/10", "--json").out)["runs"]
    requests = len(server.requests)
    assert (
        f"cost {requests * (100 * 1 + 20 * 100) / 1e6:.6g} at 1/100 a million tokens"
        in " ".join(shown.split())
    )
    judge = again["judges"][1]
    assert (judge["cost"], judge["from_disk"], judge["usage"]["requests"]) == (0.0, requests, 0)


def test_the_table_says_what_it_cost_and_where_judges_differ_without_a_word_of_a_completion(
    fulcra: Call, run_copy: Path
) -> None:
    with serving(refusing) as server:
        left = fulcra("judge", run_copy, "--judge", f"api:m@{server.url}")
    assert left.code == 0
    assert "tokens read" in left.out
    assert "Krippendorff's alpha" in left.out
    texts = {row["text"] for row in read_rollouts(run_copy) if len(row["text"].split()) > 3}
    assert not [text for text in texts if text in left.out]


def test_sensitive_words_stay_out_of_judgements_and_cache(
    fulcra: Call, sensitive_run: tuple[Path, Path], tmp_path: Path
) -> None:
    folder, file = sensitive_run
    texts = {row["text"] for row in read_rows(folder / TEXTS) if len(row["text"].split()) > 3}
    assert texts
    with serving(refusing) as server:
        left = fulcra(
            "judge", folder, "-b", file, "--judge", "phrases", "--judge", f"api:m@{server.url}"
        )
        assert left.code == 0
        assert any(
            text in request["messages"][1]["content"]
            for request in server.requests
            for text in texts
        )
    held = [left.out, (folder / "judgements.json").read_text()]
    held += [json.dumps(read_rows(path)) for path in folder.glob("judgements-*.parquet")]
    held += [path.read_text() for path in (tmp_path / "cache").rglob("*.jsonl")]
    assert len(held) == 5
    assert not [text for text in texts if any(text in each for each in held)]
    assert {
        row["quote"] for path in folder.glob("judgements-*.parquet") for row in read_rows(path)
    } == {""}


def test_sensitive_words_leave_this_machine_only_when_told_to(
    fulcra: Call, sensitive_run: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, file = sensitive_run
    monkeypatch.setenv("FULCRA_JUDGE_KEY", "none")
    call = (
        "judge",
        folder,
        "-b",
        file,
        "--judge",
        "api:m@http://judge.invalid/v1",
        "--allow-http",
        "--timeout",
        "1",
    )
    assert "add --send-sensitive-text" in fulcra(*call).refusal
    assert not list(folder.glob("judgements*"))
    assert fulcra(*call, "--send-sensitive-text").code == 3


def test_a_sensitive_run_without_its_texts_cannot_be_judged(
    fulcra: Call, sensitive_run: tuple[Path, Path]
) -> None:
    folder, file = sensitive_run
    (folder / TEXTS).unlink()
    assert (
        "its texts were not kept; audit again with --keep-text"
        in fulcra("judge", folder, "-b", file, "--judge", "phrases").refusal
    )


def test_bad_input_is_one_line(
    fulcra: Call, run_copy: Path, tmp_path: Path, behavior_file: Path
) -> None:
    for arguments, line in (
        ((tmp_path, "--judge", "oracle"), "expected the folder of a finished `fulcra audit`"),
        (
            (run_copy, "--judge", "astrology"),
            "--judge astrology: expected one of oracle, phrases, language, api:MODEL@URL",
        ),
        ((run_copy, "--judge", "api:m"), "expected api:MODEL@URL, as in"),
        (
            (run_copy, "--judge", "api:m@https://judge.invalid/v1"),
            "no key for https://judge.invalid/v1; set FULCRA_JUDGE_KEY",
        ),
        (
            (run_copy, "--judge", "api:m@http://judge.invalid/v1"),
            "in clear to another machine; give https, or --allow-http",
        ),
        (
            (run_copy, "--judge", "api:m@http:///v1"),
            "expected an address like http://localhost:8000/v1",
        ),
        ((run_copy, "--judge", "guard:no/such model"), "no bundled organism"),
        (
            (run_copy, "--judge", "oracle", "--stage", "dinner"),
            "--stage dinner: nothing of it to judge",
        ),
        (
            (run_copy, "--judge", "oracle", "--stage", "ceiling"),
            "--stage ceiling: nothing of it to judge",
        ),
        ((run_copy, "--judge", "oracle", "--horizon", "9"), "can be judged at 8, 32, 33"),
        ((run_copy, "--judge", "oracle", "-b", behavior_file), "small.yaml: not what"),
        (
            (run_copy, "--judge", "oracle", "--price", "1/2"),
            "--price 1/2: no judge is at an endpoint",
        ),
        (
            (run_copy, "--judge", "oracle", "--price", "oracle=free"),
            "--price oracle=free: expected IN/OUT",
        ),
        (
            (run_copy, "--judge", "oracle", "--price", "pope=1/2"),
            "--price pope=1/2: no judge pope; the judges are oracle",
        ),
        ((run_copy,), "Missing option '--judge'"),
    ):
        assert line in fulcra("judge", *arguments).refusal


def test_a_bundled_model_can_be_asked_to_judge_and_says_nothing_on_the_menu(
    fulcra: Call, run_copy: Path
) -> None:
    left = fulcra(
        "judge", run_copy, "--judge", "guard:apothecary-base", "--stage", "baseline", "--json"
    )
    assert left.code == 3
    judge = json.loads(left.out)["runs"][0]["judges"][1]
    assert set(judge["unscored"]) <= {"off the menu: neither safe nor unsafe", "no answer"}


def test_help_has_an_example(fulcra: Call) -> None:
    assert "Example: fulcra judge " in fulcra("judge", "--help").out
