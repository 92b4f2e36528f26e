"""More prompts for an undetermined branch: committed, sealed beside the run, checked with it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fulcra import Behavior, Model, Neuron, verify, window
from fulcra.behaviors.splits import behavior_sha256
from fulcra.errors import Inconclusive, InputError, RunFolderError
from fulcra.formulas.intervals import wilson
from fulcra.protocol.extended import LEVEL, extension_folder, looked, write_extension_seal
from fulcra.protocol.recheck.run_files import read_run
from fulcra.protocol.records import Record
from fulcra.protocol.results.commitment import Commitment
from fulcra.protocol.results.extension import ExtensionPlan, ExtensionResult
from fulcra.protocol.seal import read_seal
from fulcra.protocol.shards import read_rollouts
from fulcra.protocol.source import Sources, extensible_behavior
from fulcra.release.beside import beside_of
from fulcra.release.extension import extend, extensible
from fulcra.release.finished import finished_run
from fulcra.store import AUDIT, COMMITMENT, EXTENSION, SEAL, digest, read_json, write_json
from fulcra.studies.window import WindowSettings
from tests.release.conftest import DENSE
from tests.rollouts import put_shard

pytestmark = pytest.mark.slow

#: At this gain the planted neuron flips 10 of the 16 confirmation prompts.
HALFWAY = 0.6


@pytest.fixture(scope="module")
def undecided(sparse: Model, refusal: Behavior, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run whose one branch is undetermined; never changed."""
    folder = tmp_path_factory.mktemp("undecided") / "run"
    settings = WindowSettings(gains=(HALFWAY,))
    result = window(sparse, refusal, Neuron.parse("L2.N307-"), settings, folder)
    assert result.measured is not None
    assert result.measured.verdict == "undetermined"
    return folder


@pytest.fixture(scope="module")
def extended(undecided: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of that run with its extension; never changed."""
    folder = tmp_path_factory.mktemp("extended") / "run"
    shutil.copytree(undecided, folder)
    extend(folder)
    return folder


@pytest.fixture
def copy(extended: Path, tmp_path: Path) -> Path:
    """A copy of the extended run that a test may spoil."""
    return Path(shutil.copytree(extended, tmp_path / "run"))


def failed(folder: Path) -> set[str]:
    return {check.name for check in verify(folder) if not check.passed}


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_an_extension_leaves_every_file_of_the_run_as_it_was(
    undecided: Path, extended: Path
) -> None:
    before, after = contents(undecided), contents(extended)
    assert {name: after[name] for name in before} == before
    added = set(after) - set(before)
    assert all(name.startswith("extensions/1/") for name in added)
    assert {"extensions/1/commitment.json", "extensions/1/seal.json"} <= added
    assert failed(extended) == set()


def test_the_verdict_is_over_both_looks_at_the_wider_level(
    refusal: Behavior, extended: Path
) -> None:
    result = ExtensionResult.load(extension_folder(extended))
    (branch,) = result.branches
    assert result.prompts.n == len(refusal.reserve) == 112
    assert (branch.run.n, branch.more.n) == (16, 112 - result.prompts.leaking)
    both = wilson(branch.run.flipped + branch.more.flipped, branch.run.n + branch.more.n, LEVEL)
    assert (branch.rate, branch.low, branch.high) == pytest.approx(both[:3], abs=1e-5)
    wanted = "open" if both.low >= 0.5 else "closed" if both.high <= 0.5 else "undetermined"
    assert (branch.verdict_before, branch.verdict) == ("undetermined", wanted)
    seal = read_seal(extended)
    assert seal is not None
    assert result.extends == seal.root


def test_the_commitment_names_branches_gains_prompts_and_rule(
    refusal: Behavior, extended: Path
) -> None:
    stored = read_json(extension_folder(extended) / COMMITMENT)
    plan = ExtensionPlan.model_validate(stored["content"])
    assert digest(stored["content"]) == stored["sha256"]
    assert [(ladder.branch, ladder.gains) for ladder in plan.branches] == [("L2.N307-", (HALFWAY,))]
    assert plan.prompts == tuple(prompt.id for prompt in refusal.reserve)
    run = {row["prompt"] for row in read_rollouts(extended)}
    assert not run & set(plan.prompts)
    assert plan.behavior_sha256 == behavior_sha256(replace(refusal, confirmation=refusal.reserve))


def test_an_extension_stands_in_the_page_of_its_run_alone(extended: Path, undecided: Path) -> None:
    place = extension_folder(extended)
    run = finished_run(undecided)
    beside = beside_of(run, [place])
    assert beside.extension == ExtensionResult.load(place)
    assert "<h2>More prompts</h2>" in run.result.page(beside)
    with pytest.raises(InputError, match="is sealed by nothing; give the extension of this run"):
        beside_of(finished_run(DENSE), [place])


def test_a_finished_extension_is_shown_again_and_never_made_twice(extended: Path) -> None:
    before = contents(extended)
    result = extend(extended)
    assert result == ExtensionResult.load(extension_folder(extended))
    with pytest.raises(InputError, match="a third look has no level left"):
        extend(extended, Sources(behaviors=("refusal",)))
    assert contents(extended) == before


def test_an_interrupted_extension_goes_on_to_the_same_result(copy: Path) -> None:
    out = extension_folder(copy)
    before = ExtensionResult.load(out)
    for name in (EXTENSION, SEAL, "rollouts.json"):
        (out / name).unlink()
    shard = next((out / "rollouts").glob("confirmation-*"))
    shard.unlink()
    assert failed(copy) == set()
    again = extend(copy)
    assert again.looked == before.looked
    assert shard.is_file()


def _sealed_anew(out: Path, change: Callable[[dict[str, object]], None]) -> None:
    content = read_json(out / EXTENSION)
    change(content)
    write_json(out / EXTENSION, content)
    (out / SEAL).unlink()
    write_extension_seal(out, ExtensionResult.load(out))


@pytest.mark.parametrize("anew", [False, True])
def test_an_edited_verdict_is_noticed_even_under_a_new_seal(copy: Path, anew: bool) -> None:
    out = extension_folder(copy)

    def forge(content: dict[str, object]) -> None:
        branches = content["branches"]
        assert isinstance(branches, list)
        branches[0]["more"]["flipped"] = 1

    if anew:
        _sealed_anew(out, forge)
        assert failed(copy) == {"extension figures"}
    else:
        content = read_json(out / EXTENSION)
        forge(content)
        write_json(out / EXTENSION, content)
        assert failed(copy) == {"extension seal", "extension figures"}


def test_a_softer_rule_is_noticed_though_all_was_hashed_again(copy: Path) -> None:
    out = extension_folder(copy)
    stored = read_json(out / COMMITMENT)
    stored["content"]["level"] = 0.5
    stored["sha256"] = digest(stored["content"])
    write_json(out / COMMITMENT, stored)
    _sealed_anew(out, lambda content: content.update(commitment_sha256=stored["sha256"]))
    assert {"extension plan", "extension figures"} <= failed(copy)


def test_rollouts_left_out_or_of_seen_prompts_are_noticed(copy: Path) -> None:
    from fulcra.protocol.shards import list_shards, opened_rollouts

    out = extension_folder(copy)
    first, last = opened_rollouts(out).shards
    (out / last.shard.file).unlink()
    rows = [
        {**row, "prompt": "confirmation-00"} if i == 0 else row for i, row in enumerate(last.rows)
    ]
    list_shards(out, [first.shard, put_shard(out, last.shard, rows)])
    (out / SEAL).unlink()
    write_extension_seal(out, ExtensionResult.load(out))
    assert "extension rollouts" in failed(copy)


def test_an_extension_of_another_run_is_noticed(copy: Path, audited: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(audited, tmp_path / "other"))
    shutil.copytree(copy / "extensions", other / "extensions")
    assert "extension of this run" in failed(other)


def test_a_run_that_fails_verify_is_not_extended(undecided: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(undecided, tmp_path / "run"))
    audit = read_json(run / AUDIT)
    audit["summary"]["undetermined"] = 0
    write_json(run / AUDIT, audit)
    with pytest.raises(RunFolderError, match="fails `fulcra verify`"):
        extend(run)
    assert not extension_folder(run).exists()


def test_what_cannot_be_extended_says_why(audited: Path) -> None:
    with pytest.raises((InputError, Inconclusive), match=r"no branch is undetermined|no verdict"):
        extend(audited)
    run = read_run(audited)
    tampered = run._replace(manifest={**run.manifest, "command": "census"})
    with pytest.raises(InputError, match="expected an audit or a window"):
        extensible(tampered)


def test_prompts_beyond_the_limit_of_the_run_come_before_the_reserve(
    refusal: Behavior, undecided: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fulcra.behaviors.splits import shortened
    from fulcra.protocol import source
    from fulcra.protocol.quotes import behavior_entry
    from fulcra.protocol.results.audit import AuditResult

    small = shortened(refusal, 6, None)
    result = AuditResult.load(undecided)
    settings = result.settings.model_copy(update={"prompts": 6})
    entry = behavior_entry(small, (small.horizon,))
    limited = result.model_copy(update={"settings": settings, "behavior": entry})
    monkeypatch.setattr(source, "_audit", lambda folder: limited)
    behavior, more = extensible_behavior(undecided)
    assert behavior.confirmation == refusal.confirmation[:6]
    assert more == (*refusal.confirmation[6:], *refusal.reserve)


def record(stage: str, prompt: str, gain: float, flipped: bool) -> Record:
    outcome = "flipped" if flipped else "unchanged"
    op, branch = ("set", "undosed") if stage == "baseline" else ("add", "L2.N307-")
    return Record(
        stage, branch, op, gain, prompt, (8,), (outcome,), 8, False, 1.0, 0.0, True, "", ""
    )


def test_a_rung_that_was_stopped_early_counts_the_new_prompts_alone(extended: Path) -> None:
    content = read_json(extended / COMMITMENT)["content"]
    content["plan"] |= {"gains": [0.3, 0.6], "horizons": [8]}
    content["plan"]["orders"] = {"confirmation": ["a", "b", "c"]}
    content["branches"][0]["rungs"] = 2
    plan = ExtensionPlan.model_validate(
        read_json(extension_folder(extended) / COMMITMENT)["content"]
        | {"prompts": ["x", "y"], "horizons": [8]}
        | {"branches": [{"branch": "L2.N307-", "gains": [0.3, 0.6]}]}
    )
    run = [record("baseline", name, 0.0, name == "c") for name in "abc"]
    run += [record("confirmation", "a", 0.3, flipped=False)]
    run += [record("confirmation", name, 0.6, flipped=False) for name in "abc"]
    more = [record("baseline", name, 0.0, flipped=False) for name in "xy"]
    more += [record("confirmation", name, 0.3, flipped=True) for name in "xy"]
    more += [record("confirmation", name, 0.6, flipped=True) for name in "xy"]
    (branch,) = looked(Commitment.model_validate(content), run, plan, more).branches
    assert (branch.gain, branch.run.n, branch.more.n) == (0.3, 0, 2)
    (whole,) = looked(
        Commitment.model_validate(content),
        [*run, record("confirmation", "b", 0.3, flipped=False)],
        plan,
        more,
    ).branches
    assert (whole.run.n, whole.run.flipped, whole.more.flipped) == (2, 0, 2)
    assert json.loads(branch.model_dump_json())["level"] == LEVEL
