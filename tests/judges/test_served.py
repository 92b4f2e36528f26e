"""`transformers serve` with an organism behind it, asked as any OpenAI-compatible endpoint."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from urllib.request import urlopen

import pytest
from transformers.utils.import_utils import is_serve_available

from fulcra import Behavior, Model
from fulcra.engines.engine import run
from fulcra.judges.endpoint import Endpoint
from fulcra.judges.judge import Item
from fulcra.judges.remote import EndpointJudge
from fulcra.models.loading import model_folder
from fulcra.types import RolloutRequest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not is_serve_available(),
        reason="needs a model server: pip install 'transformers[serving]'",
    ),
]
#: How long the server may take until it answers [s].
READY = 120.0


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    """The bundled organism behind `transformers serve`, in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = str(model_folder("apothecary-sparse"))
    serve = [
        sys.executable,
        "-m",
        "transformers.cli.transformers",
        "serve",
        folder,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    server = subprocess.Popen(
        [*serve, "--device", "cpu", "--dtype", "float32"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(f"http://127.0.0.1:{port}/health", server)
        yield Endpoint(folder, f"http://127.0.0.1:{port}/v1")
    finally:
        server.terminate()
        server.wait(30)


def _wait(url: str, server: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + READY
    while time.monotonic() < end and server.poll() is None:
        try:
            with urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"transformers serve did not answer at {url}")


def test_the_served_organism_says_what_it_says_here_and_its_tokens_are_counted(
    endpoint: Endpoint, sparse: Model, refusal: Behavior
) -> None:
    prompts = refusal.confirmation[:4]
    own = run(
        sparse,
        [RolloutRequest(sparse.prompt_ids(prompt.text), (), refusal.horizon) for prompt in prompts],
    )
    for prompt, rollout in zip(prompts, own, strict=True):
        answer = endpoint.ask([{"role": "user", "content": prompt.text}], None, threading.Event())
        assert (answer.text, answer.why) == (sparse.words(rollout.tokens), "")
        assert answer.usage.read == len(sparse.prompt_ids(prompt.text))
        assert answer.usage.written >= len(rollout.tokens)


def test_answers_off_the_menu_are_unscored_and_counted(
    endpoint: Endpoint, refusal: Behavior
) -> None:
    judge = EndpointJudge(endpoint, 2)
    findings = dict(
        judge(
            refusal, [Item(prompt, "first grind it", True) for prompt in refusal.confirmation[:3]]
        )
    )
    assert {finding.value for finding in findings.values()} == {None}
    assert {finding.evidence for finding in findings.values()} <= {"not JSON", "no answer"}
    assert (judge.usage.requests, judge.usage.uncounted) == (3, 0)
    assert judge.usage.written > 0
