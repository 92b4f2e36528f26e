"""Each format is read by its own schema or tool; none tells more than the run, or a sealed word."""

import json
import re
from pathlib import Path

import pytest

from fulcra.release.figures import figures
from fulcra.release.finished import FinishedRun, finished_run
from fulcra.release.formats.cyclonedx import cyclonedx
from fulcra.release.formats.every_eval_ever import every_eval_ever
from fulcra.release.formats.model_card import model_card
from fulcra.release.formats.registry import TEXTS
from fulcra.release.formats.sarif import sarif
from fulcra.store import AUDIT, plain
from tests.release.conftest import DENSE, SPARSE

SCHEMAS = Path(__file__).parent / "schemas"
NEURON = re.compile(r"L\d+\.N\d+")


@pytest.fixture(scope="module", params=[DENSE, SPARSE], ids=["dense", "sparse"])
def run(request: pytest.FixtureRequest) -> FinishedRun:
    return finished_run(request.param)


@pytest.fixture(scope="module")
def sparse_run() -> FinishedRun:
    return finished_run(SPARSE)


def require_valid(content: object, schema: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    rules = json.loads((SCHEMAS / schema).read_text(encoding="utf-8"))
    jsonschema.validators.validator_for(rules)(rules).validate(plain(content))


def test_sarif_meets_its_schema(run: FinishedRun) -> None:
    require_valid(sarif(run), "sarif-2.1.0.json")


def test_every_eval_ever_meets_its_schema(run: FinishedRun) -> None:
    require_valid(every_eval_ever(run), "every_eval_ever-0.3.0.json")


def test_cyclonedx_meets_the_schema_of_its_library(run: FinishedRun) -> None:
    validation = pytest.importorskip("cyclonedx.validation.json")
    schema = pytest.importorskip("cyclonedx.schema")
    validator = validation.JsonStrictValidator(schema.SchemaVersion.V1_6)
    assert validator.validate_str(TEXTS["cyclonedx"](run)) is None
    assert cyclonedx(run)["specVersion"] == "1.6"


def test_the_hub_reads_a_model_card_as_it_was_written(run: FinishedRun) -> None:
    from huggingface_hub import ModelCard

    results = ModelCard(model_card(run)).data.eval_results
    assert results is not None
    written = {figure.name: figure.value for figure in figures(run) if figure.value is not None}
    assert {each.metric_type: each.metric_value for each in results} == pytest.approx(written)


@pytest.mark.parametrize("form", ["every-eval-ever", "cyclonedx", "model-card"])
def test_what_is_published_with_a_model_names_no_neuron(sparse_run: FinishedRun, form: str) -> None:
    assert not NEURON.search(TEXTS[form](sparse_run))


def results_of(run: FinishedRun) -> list[dict[str, object]]:
    one = sarif(run)["runs"]
    assert isinstance(one, list)
    return list(one[0]["results"])


def test_a_finding_points_to_the_line_of_its_branch(sparse_run: FinishedRun) -> None:
    lines = (SPARSE / AUDIT).read_text(encoding="utf-8").splitlines()
    results = results_of(sparse_run)
    assert [result["ruleId"] for result in results].count("open-window") == 1
    assert len(results) >= 8
    for result in results:
        (location,) = result["locations"]  # type: ignore[misc]
        line = location["physicalLocation"]["region"]["startLine"]  # type: ignore[index]
        name = location["logicalLocations"][0]["name"]  # type: ignore[index]
        assert f'"neuron": "{name.rstrip("+-")}"' in lines[line - 1]


def test_a_fingerprint_outlives_other_weights_and_tells_neurons_apart(
    sparse_run: FinishedRun,
) -> None:
    before = [result["partialFingerprints"] for result in results_of(sparse_run)]
    result = sparse_run.result
    model = result.model.model_copy(update={"sha256": "0" * 64})
    files = sparse_run.files._replace(result=result.model_copy(update={"model": model}))
    other = FinishedRun(files, sparse_run.evidence)
    after = [result["partialFingerprints"] for result in results_of(other)]
    assert before == after
    assert len({json.dumps(each) for each in before}) == len(before)


def test_inspect_reads_its_logs_back(audited: Path, tmp_path: Path) -> None:
    log = pytest.importorskip("inspect_ai.log")
    from fulcra.release.formats.inspect_log import write_inspect_logs

    run, folder = finished_run(audited), tmp_path / "logs"
    write_inspect_logs(run, folder)
    logs = [log.read_eval_log(str(path)) for path in sorted(folder.iterdir())]
    assert {each.status for each in logs} == {"success"}
    samples = [sample for each in logs for sample in each.samples]
    read = [
        (s.metadata["stage"], s.metadata["text_hash"], s.scores["fulcra"].value["outcome"])
        for s in samples
    ]
    records = run.files.records
    assert sorted(read) == sorted(
        (record.stage, record.text_hash, record.at(run.evidence.verdict_horizon))
        for record in records
    )
    completions = {sample.output.completion for sample in samples}
    assert completions >= {record.text for record in records if record.text}


def test_no_word_of_a_sensitive_behavior_is_in_a_log(sparse_run: FinishedRun) -> None:
    pytest.importorskip("inspect_ai")
    from fulcra.release.formats.inspect_log import inspect_log

    result = sparse_run.result
    sealed = result.model_copy(
        update={"behavior": result.behavior.model_copy(update={"sensitive": True})}
    )
    records = [record._replace(text="") for record in sparse_run.files.records[:40]]
    run = FinishedRun(
        sparse_run.files._replace(result=sealed, records=records), sparse_run.evidence
    )
    samples = inspect_log(run, records[0].stage).samples
    assert samples is not None
    assert all(str(sample.input).startswith("[prompt ") for sample in samples)
    assert all(sample.output.completion.startswith("[sealed: ") for sample in samples)
