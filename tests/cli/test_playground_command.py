"""`fulcra playground` refuses in one line before it loads anything."""

import socket
from importlib.util import find_spec
from pathlib import Path

import pytest

from fulcra.playground.access import VARIABLE
from tests.cli.conftest import Call

needs_gradio = pytest.mark.skipif(
    find_spec("gradio") is None, reason="needs gradio: pip install 'fulcra[ui]'"
)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], "give --allow-remote and a token"),
        (["--host", "0.0.0.0", "--allow-remote"], "lets other machines in without a token"),
        (["no-such-model"], "no bundled organism"),
        (["--behavior", "refusals"], "did you mean 'refusal'?"),
        (["--token-file", "no-such-file"], "No such file or directory"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    fulcra: Call, options: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert words in fulcra("playground", *options).refusal


def test_a_short_token_is_refused(fulcra: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "short")
    assert "a token is one line of at least 16" in fulcra("playground").refusal


@pytest.mark.skipif(find_spec("gradio") is not None, reason="gradio is installed here")
def test_without_gradio_the_extra_is_named(fulcra: Call) -> None:
    assert "pip install 'fulcra[ui]'" in fulcra("playground").refusal


@needs_gradio
def test_a_port_that_is_taken_is_refused(fulcra: Call) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"playground: port {port} of 127.0.0.1 cannot be taken" in (
            fulcra("playground", "--port", port).refusal
        )


@needs_gradio
def test_a_run_that_is_none_is_refused(fulcra: Call, tmp_path: Path) -> None:
    refusal = fulcra("playground", "--port", 0, "--run", tmp_path).refusal
    assert "expected the folder of a finished" in refusal
