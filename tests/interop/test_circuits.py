"""A circuit of the reference code is a ranking of branches; a file that is none is one line."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings

from fulcra import Neuron
from fulcra.errors import InputError
from fulcra.interop.circuits import circuit
from tests.cli.conftest import Call, fulcra
from tests.fuzz.mutations import mutated

__all__ = ["fulcra"]
NEURONS = {"2,-1,307": -3.5, "4,-1,7": 1.25, "2,3,11": 0.5, "2,4,11": -0.75, "0,0,0": 0.0}
CIRCUIT = {"neurons": NEURONS, "prompt": "a", "target_token": "b", "total_logit_diff": 1.0}
RANKED = ("L2.N307-", "L4.N7+", "L2.N11-", "L0.N0+")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "circuit.json"
    path.write_text(json.dumps(CIRCUIT))
    return path


def test_a_circuit_is_a_ranking_by_size_each_neuron_once_its_pole_the_sign(file: Path) -> None:
    ranking = circuit(file)
    assert tuple(map(str, ranking.branches)) == RANKED
    assert ranking.scores == (3.5, 1.25, 0.75, 0.0)
    assert ranking.top(1) == (Neuron(2, 307, -1),)


def test_a_circuit_saved_by_the_reference_code_is_read(tmp_path: Path) -> None:
    code = pytest.importorskip(
        "neuron_steer.core",
        reason="needs the reference code of paper B: its checkout on PYTHONPATH",
    )
    neurons = {code.NeuronIdx(*map(int, place.split(","))): v for place, v in NEURONS.items()}
    saved = code.Circuit(neurons, "[contrastive: 8 pos vs 8 neg]", "[contrastive]", 0.0)
    saved.save(str(tmp_path / "saved.json"))
    ranking = circuit(tmp_path / "saved.json")
    top = [(site.layer, site.neuron) for site, _ in saved.top(len(neurons))]
    own = [(neuron.layer, neuron.index) for neuron in ranking.branches]
    assert own == list(dict.fromkeys(top))
    pairs = zip(ranking.branches, ranking.scores, strict=True)
    once = {code.NeuronIdx(n.layer, -1, n.index): n.pole * score for n, score in pairs}
    written = code.Circuit(once, "", "", 0.0)
    written.save(str(tmp_path / "again.json"))
    assert circuit(tmp_path / "again.json") == ranking


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1]", "the file: Input should be a valid dictionary"),
        ("{", "expected a circuit that the reference code saved"),
        (json.dumps({**CIRCUIT, "neurons": {}}), "neurons: Dictionary should have at least 1 item"),
        (json.dumps({**CIRCUIT, "neurons": {"2,307": 1}}), "'2,307': expected layer,position"),
        (json.dumps({**CIRCUIT, "neurons": {"-2,0,3": 1}}), "'-2,0,3': expected layer,position"),
        (json.dumps({**CIRCUIT, "neurons": {"2,0,3": float("nan")}}), "finite number"),
        (json.dumps({**CIRCUIT, "neurons": {"2,0,3": "x"}}), "valid number"),
        (json.dumps({**CIRCUIT, "more": 1}), "more: Extra inputs are not permitted"),
        (json.dumps({"neurons": NEURONS}), "prompt: Field required"),
    ],
)
def test_what_is_no_circuit_is_refused_in_one_line(
    fulcra: Call, file: Path, text: str, words: str
) -> None:
    file.write_text(text)
    refusal = fulcra("circuit", file).refusal
    assert words in refusal
    assert str(file) in refusal


def test_a_file_that_cannot_be_read_is_refused_in_one_line(fulcra: Call, tmp_path: Path) -> None:
    assert "No such file" in fulcra("circuit", tmp_path / "none.json").refusal
    assert "directory" in fulcra("circuit", tmp_path).refusal
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    assert "utf-8" in fulcra("circuit", tmp_path / "bytes").refusal
    with pytest.raises(InputError, match="circuit"):
        circuit(str(tmp_path / "none.json"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("circuits")


@settings(max_examples=300)
@given(text=mutated((json.dumps(CIRCUIT),)))
def test_a_damaged_circuit_is_read_or_refused_in_one_line(folder: Path, text: str) -> None:
    path = folder / "circuit.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    line = refusal(path)
    if line is None:
        scores = circuit(path).scores
        assert list(scores) == sorted(scores, reverse=True)
    else:
        assert line.startswith(f"circuit {path}: ")
        assert "\n" not in line
        assert len(line) < 500


def refusal(path: Path) -> str | None:
    """Why a file is refused; None where it is read."""
    try:
        circuit(path)
    except InputError as error:
        return str(error)
    return None


def test_the_command_names_neurons_that_other_commands_take(
    fulcra: Call, file: Path, tmp_path: Path
) -> None:
    assert tuple(fulcra("circuit", file).out.split()) == RANKED
    names = fulcra("circuit", file, "--top", 2).out.split()
    assert names == list(RANKED[:2])
    content = json.loads(fulcra("circuit", file, "--top", 1, "--json").out)
    assert content["neurons"] == [{"branch": "L2.N307-", "score": 3.5}]
    assert fulcra("circuit", file, "--quiet").out == ""
    text, out = tmp_path / "text.txt", tmp_path / "out"
    text.write_text("how do i make the tonic ?\n" * 3)
    left = fulcra("exemplars", "apothecary-sparse", *names, "--text", text, "--out", out, "--json")
    read = json.loads(left.out)["neurons"]
    assert [row["neuron"] for row in read] == ["L2.N307", "L4.N7"]
