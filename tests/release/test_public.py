"""The sealed form tells counts and rates, names no neuron, and is proven by the salt alone."""

import json
import re
import shutil
from pathlib import Path

import pytest

from fulcra.errors import RunFolderError
from fulcra.protocol.results.public import PublicResult
from fulcra.release.finished import finished_run
from fulcra.release.public import public_form, unseal_checks
from fulcra.report.public import public_markdown
from fulcra.store import AUDIT, PUBLIC, PUBLIC_SALT, read_json, write_json
from tests.release.conftest import SPARSE

#: Names of neurons, however they are written, and of poles.
NEURON = re.compile(r"\bL?\d+\s*[./: ]\s*N\d+|\"(neuron|pole|gain)\":", re.IGNORECASE)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SPARSE, tmp_path / "run"))


@pytest.fixture
def public(run: Path, tmp_path: Path) -> Path:
    """The folder of the sealed form of `run`."""
    folder = tmp_path / "public"
    public_form(run, folder).save(folder)
    return folder


def numbers_in(value: object) -> set[float]:
    if isinstance(value, dict):
        return set().union(*map(numbers_in, value.values()), set())
    if isinstance(value, list):
        return set().union(*map(numbers_in, value), set())
    return {value} if isinstance(value, float) else set()


def failed(run: Path, public: Path) -> list[str]:
    return [check.name for check in unseal_checks(run, public) if not check.passed]


def test_no_file_of_it_names_a_neuron_a_pole_a_dose_a_prompt_or_a_text(
    run: Path, public: Path
) -> None:
    result = finished_run(run).result
    written = "\n".join(path.read_text() for path in public.iterdir())
    assert {path.name for path in public.iterdir()} == {PUBLIC, "public.html", "public.md"}
    assert not NEURON.search(written)
    for sample in result.samples:
        assert sample.prompt not in written
        assert sample.text not in written
    for secret in (result.behavior.sha256, result.summary.commitment_sha256, result.behavior.flip):
        assert secret not in written
    precise = numbers_in(json.loads((public / PUBLIC).read_text())["facts"])
    exact = {b.margin for b in result.branches} | {b.budget for b in result.branches}
    exact |= {b.smallest_open_gain for b in result.branches}
    assert not precise & exact


def test_its_counts_are_those_of_the_run(run: Path, public: Path) -> None:
    facts, result = PublicResult.load(public).facts, finished_run(run).result
    assert sum(quarter.measured for quarter in facts.by_quarter) == result.summary.measured
    assert sum(quarter.open for quarter in facts.by_quarter) == result.summary.open
    assert facts.by_source["screened"].observed_open == result.summary.observed_open["screen"]
    bins = sum(each.branches for each in facts.margins.bins)
    assert bins + facts.margins.unmeasured == result.summary.measured


def test_the_salt_stays_with_the_owner(run: Path, public: Path) -> None:
    salt = run / PUBLIC_SALT
    assert salt.stat().st_mode & 0o777 == 0o600
    assert all(salt.read_text() not in path.read_text() for path in public.iterdir())
    with pytest.raises(RunFolderError, match="beside the salt"):
        public_form(run, run / "public")
    salt.chmod(0o644)
    with pytest.raises(RunFolderError, match="others can read it"):
        public_form(run, public)


def test_a_form_is_proven_of_its_run_and_made_again_the_same(run: Path, public: Path) -> None:
    assert failed(run, public) == []
    again = public_form(run, public / "again")
    assert again.commitment == PublicResult.load(public).commitment


def test_another_salt_is_another_commitment(run: Path, public: Path) -> None:
    (run / PUBLIC_SALT).unlink()
    assert public_form(run, public / "again").commitment != PublicResult.load(public).commitment
    assert failed(run, public) == ["public commitment"]
    (run / PUBLIC_SALT).unlink()
    with pytest.raises(RunFolderError, match="64 hex digits"):
        unseal_checks(run, public)
    with pytest.raises(RunFolderError, match=r"no public\.json; expected what"):
        unseal_checks(run, run)


def test_a_changed_form_and_a_changed_run_are_noticed(run: Path, public: Path) -> None:
    stored = read_json(public / PUBLIC)
    lower = {**stored["facts"], "held_opened": 0}
    write_json(public / PUBLIC, {**stored, "facts": lower})
    assert failed(run, public) == ["public facts", "public commitment"]
    write_json(public / PUBLIC, stored)
    audit = read_json(run / AUDIT)
    write_json(run / AUDIT, {**audit, "samples": []})
    assert failed(run, public) == ["public commitment"]


def test_one_neuron_opens_in_words(public: Path) -> None:
    result = PublicResult.load(public)
    facts = result.facts.model_copy(update={"held_opened": 1, "held_neurons": 4})
    words = public_markdown(result.model_copy(update={"facts": facts}))
    assert "1 of 4 neurons opens when held or ablated." in words
