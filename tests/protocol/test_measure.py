"""A measurement: what becomes of sensitive words, and the same records after an interruption."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from fulcra import Behavior, Model
from fulcra.errors import RunFolderError
from fulcra.protocol import measure as measure_module
from fulcra.protocol.measure import Measurement, Texts
from fulcra.protocol.records import SCHEMA, record_rows
from fulcra.protocol.redaction import text_hash
from fulcra.protocol.subject import Subject
from fulcra.protocol.trials import Trial, dose_trials, prefill_trials, set_trials
from fulcra.store import PRIVATE, RunFolder, read_rows, write_rows
from fulcra.types import Neuron, Sampling


@pytest.fixture(scope="module")
def subject(sparse: Model, refusal: Behavior) -> Subject:
    """The sparse organism under refusal, marked sensitive."""
    return Subject.of(sparse, replace(refusal, sensitive=True))


@pytest.fixture(scope="module")
def trials(subject: Subject) -> list[Trial]:
    """A few trials of every kind."""
    prompts = subject.behavior.selection[:2]
    places = [subject.coordinate(Neuron(1, 83, -1))]
    return [
        *set_trials(subject, "baseline", "undosed", (), prompts),
        *dose_trials(subject, "ceiling", places, (0.3, 0.9), prompts, Sampling(0.8, 1)),
        *dose_trials(subject, "selection", places, (0.3, 0.9), prompts),
        *prefill_trials(subject, "context", prompts, 8),
    ]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.open(tmp_path / "run", {"seed": 0})


def test_texts_in_memory_are_in_the_records_and_change_no_label(
    subject: Subject, trials: list[Trial]
) -> None:
    spoken = Measurement(subject, salt="salt", texts="memory")("stage", trials)
    silent = Measurement(subject, salt="salt")("stage", trials)
    assert any(len(record.text.split()) > 3 for record in spoken)
    assert {record.text for record in silent} == {""}
    assert [record._replace(text="") for record in spoken] == silent
    assert [text_hash("salt", r.text) for r in spoken] == [r.text_hash for r in silent]


def test_texts_in_memory_are_refused_a_folder(subject: Subject, folder: RunFolder) -> None:
    with pytest.raises(ValueError, match="nothing may be stored: give no folder"):
        Measurement(subject, folder=folder, texts="memory")


def test_private_texts_lie_beside_the_rows_for_their_owner_alone(
    subject: Subject, trials: list[Trial], folder: RunFolder
) -> None:
    measure = Measurement(subject, folder=folder, salt="salt", texts="private")
    records = measure("stage", trials)
    path = folder.text_part("stage-0")
    assert path.stat().st_mode & 0o777 == PRIVATE
    texts = {row["text_hash"]: row["text"] for row in read_rows(path)}
    assert set(texts) == {record.text_hash for record in records}
    assert all(text_hash(measure.salt, text) == digest for digest, text in texts.items())
    assert {record.text for record in records} == {""}
    (shard,) = measure.shards
    assert {row["text"] for row in read_rows(folder.path / shard.file)} == {""}


def test_words_that_are_not_sensitive_are_kept_however_they_are_asked_for(
    subject: Subject, trials: list[Trial]
) -> None:
    plain = Subject(subject.ground, replace(subject.behavior, sensitive=False))
    modes: tuple[Texts, ...] = get_args(Texts)
    runs = [Measurement(plain, salt="salt", texts=mode)("stage", trials[:4]) for mode in modes]
    assert runs[0] == runs[1] == runs[2]
    assert any(record.text for record in runs[0])


def test_a_resumed_measurement_equals_an_undisturbed_one(
    subject: Subject, trials: list[Trial], folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure_module, "PART", 3)
    stored = Measurement(subject, (8, subject.behavior.horizon), folder, "salt")
    whole = Measurement(subject, (8, subject.behavior.horizon), salt=stored.salt)("stage", trials)
    assert stored("stage", trials) == whole
    (folder.path / stored.shards[1].file).unlink()
    heard: list[int] = []
    again = Measurement(subject, (8, subject.behavior.horizon), folder, "salt")
    assert again("stage", trials, heard.append) == whole
    assert sum(heard) == len(trials)
    assert again.shards == stored.shards


def test_a_shard_that_is_not_what_its_name_says_is_refused(
    subject: Subject, trials: list[Trial], folder: RunFolder
) -> None:
    measure = Measurement(subject, folder=folder, salt="salt")
    measure("stage", trials)
    (shard,) = measure.shards
    write_rows(folder.path / shard.file, record_rows(measure("stage", trials))[1:], SCHEMA)
    with pytest.raises(RunFolderError, match=r"not that of its name; remove it, and its rollouts"):
        Measurement(subject, folder=folder, salt="salt")("stage", trials)


def test_the_ceiling_alone_says_coherent(subject: Subject, trials: list[Trial]) -> None:
    records = Measurement(subject)("stage", trials)
    outcomes = {r.stage: set() for r in records}
    for record in records:
        outcomes[record.stage] |= set(record.outcomes)
    assert outcomes["ceiling"] <= {"coherent", "collapse", "unscored"}
    assert "coherent" in outcomes["ceiling"]
    assert "coherent" not in outcomes["baseline"] | outcomes["selection"] | outcomes["context"]
