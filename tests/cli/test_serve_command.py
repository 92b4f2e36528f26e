"""`fulcra serve`: a dosed organism behind a real port, met by OpenAI's own client and a judge."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from transformers.utils.import_utils import is_serve_available

from fulcra import Behavior, Model, Neuron, pin, scale
from fulcra.behaviors import behavior_sha256
from fulcra.engines import serving
from fulcra.engines.served import ChatAsked, CompletionAsked, until
from fulcra.engines.serving import served_name
from fulcra.errors import InputError
from fulcra.judges.endpoint import Endpoint
from fulcra.studies.recipe import Recipe, RecipeBehavior, RecipeModel
from fulcra.studies.steering import steered
from fulcra.types import Edit
from tests.cli.conftest import Call

needs_server = pytest.mark.skipif(
    not is_serve_available(), reason="needs a model server: pip install 'fulcra[serve]'"
)
NAME = "apothecary-sparse+gate"
TOKENS = 30


def saved(
    model: Model, behavior: Behavior, folder: Path, edit: Edit, sensitive: bool = False
) -> Path:
    """The file of a recipe of one edit."""
    made = Recipe(
        name="gate",
        model=RecipeModel(name=model.name, sha256=model.sha256),
        behavior=RecipeBehavior(
            name="refusal", sha256=behavior_sha256(behavior), sensitive=sensitive
        ),
        edits=(edit,),
    )
    return made.save(folder)


class Server(NamedTuple):
    """A running server: its address, its process, the recipe that it doses with."""

    url: str
    process: "subprocess.Popen[str]"
    recipe: Recipe


def begun(recipe: Path, *options: str) -> "subprocess.Popen[str]":
    """`fulcra serve` on a free port, in a process of its own."""
    command = ["serve", "apothecary-sparse", "-r", str(recipe), "--port", "0", *options]
    return subprocess.Popen(
        [sys.executable, "-m", "fulcra.cli", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        # a suite that `nohup` began would hand on that it is ignored
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )


@pytest.fixture(scope="module")
def server(
    sparse: Model, refusal: Behavior, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A running server of one recipe."""
    path = saved(sparse, refusal, tmp_path_factory.mktemp("served"), pin(Neuron(2, 307), -2.0))
    process = begun(path, "--json")
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        ready = json.loads(line)
        assert ready["model"] == NAME
        assert ready["proof"]["passes"] > 0
        assert ready["proof"]["moved"] > 2 * ready["proof"]["noise"]
        yield Server(ready["url"], process, Recipe.load(path))
    finally:
        process.kill()
        # read to their ends, so that both pipes are closed
        process.communicate(timeout=30)


def asked(
    server: Server, prompt: str, stream: bool = False, seed: int | None = None, hot: float = 0.0
) -> str:
    """The reply of OpenAI's own client to one user turn."""
    from openai import OpenAI

    with OpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=120) as client:
        reply = client.chat.completions.create(
            model=NAME,
            messages=[{"role": "user", "content": prompt}],
            max_tokens=TOKENS,
            temperature=hot,
            seed=seed,
            stream=stream,
        )
        if not stream:
            return str(reply.choices[0].message.content)
        return "".join(part.choices[0].delta.content or "" for part in reply)


@pytest.mark.slow
@needs_server
def test_the_served_text_is_what_fulcra_steer_shows_and_not_the_undosed_one(
    server: Server, sparse: Model, refusal: Behavior
) -> None:
    for prompt in refusal.confirmation[:3]:
        ids = sparse.prompt_ids(prompt.text)
        *_, pair = steered(sparse, server.recipe, ids, TOKENS)
        undosed, dosed = (sparse.words(rollout.tokens) for rollout in pair)
        assert asked(server, prompt.text) == dosed != undosed


@pytest.mark.slow
@needs_server
def test_a_stream_and_requests_side_by_side_say_what_one_alone_says(
    server: Server, refusal: Behavior
) -> None:
    prompts = [prompt.text for prompt in refusal.confirmation[:4]]
    alone = [asked(server, prompt, hot=1.5, seed=7) for prompt in prompts]
    with ThreadPoolExecutor(8) as pool:
        together = pool.map(lambda text: asked(server, text, hot=1.5, seed=7), prompts)
        streams = pool.map(lambda text: asked(server, text, stream=True, hot=1.5, seed=7), prompts)
        assert (list(together), list(streams)) == (alone, alone)
    assert len(set(alone)) == len(alone)


@pytest.mark.slow
@needs_server
def test_clients_see_the_dosed_model_s_name_and_refusals_they_can_read(server: Server) -> None:
    from openai import BadRequestError, OpenAI

    with OpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=120) as client:
        (model,) = client.models.list().data
        assert (model.id, model.owned_by) == (NAME, "fulcra")
        text = client.completions.create(model=NAME, prompt="the capital of", max_tokens=4)
        assert text.choices[0].text
        assert text.usage is not None
        assert text.usage.prompt_tokens == 4
        stopped = client.completions.create(
            model=NAME, prompt="the capital of", max_tokens=4, stop=[" is"]
        )
        assert stopped.choices[0].text == until(text.choices[0].text, [" is"])
        assert stopped.choices[0].finish_reason == "stop"
        for wrong, words in (
            ({"model": "other", "prompt": "a"}, "pinned to"),
            ({"model": NAME, "prompt": "a", "n": 2}, "completions: n: "),
            ({"model": NAME, "prompt": "a", "stop": "b", "stream": True}, "stop: not served with"),
            ({"model": NAME, "prompt": "the " * 300}, "has a context of 256"),
        ):
            with pytest.raises(BadRequestError, match=words):
                client.completions.create(**wrong)


@pytest.mark.slow
@needs_server
def test_a_judge_meets_the_server_and_goes_on_without_a_schema(
    server: Server, refusal: Behavior
) -> None:
    endpoint = Endpoint(NAME, server.url, patience=400.0, timeout=120.0)
    turn = [{"role": "user", "content": refusal.confirmation[0].text}]
    stop = threading.Event()
    plain, guided = (endpoint.ask(turn, schema, stop) for schema in (None, {"type": "object"}))
    assert plain.text == guided.text == asked(server, refusal.confirmation[0].text)
    assert (plain.usage.requests, guided.usage.requests, guided.plain) == (1, 2, True)


@pytest.mark.slow
@needs_server
def test_only_this_machine_reaches_the_port_and_nobody_under_another_name(server: Server) -> None:
    places = psutil.Process(server.process.pid).net_connections("tcp")
    assert {place.laddr.ip for place in places if place.status == "LISTEN"} == {"127.0.0.1"}
    port = int(server.url.split(":")[2].split("/")[0])
    for path, host in (("/v1/models", "elsewhere.example"), ("/reset", "localhost")):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
            line.sendall(
                f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
            )
            assert line.makefile().readline().split()[1] in ("400", "404")


@pytest.mark.slow
@needs_server
def test_ctrl_c_ends_the_server_cleanly(server: Server) -> None:
    server.process.send_signal(signal.SIGINT)
    _, err = server.process.communicate(timeout=60)
    assert server.process.returncode == 130
    assert err.startswith("fulcra: interrupted")
    assert len(err.splitlines()) == 1


@pytest.mark.slow
@needs_server
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_sensitive_recipe_is_served_where_that_is_meant_and_one_line_says_so(
    sparse: Model, refusal: Behavior, tmp_path: Path, number: signal.Signals
) -> None:
    path = saved(sparse, refusal, tmp_path, pin(Neuron(2, 307), -2.0), sensitive=True)
    with begun(path, "--serve-sensitive") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        # in the very moment of the address, where the server's loop has not begun
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert f" serves {NAME}; the edits move logits by " in line
    assert process.returncode == 128 + number
    warning, end = err.splitlines()
    assert warning == (
        f"fulcra: warning: {NAME}: a recipe of a sensitive behavior, served to everyone on this"
        " machine"
    )
    assert end.startswith(f"fulcra: stopped by {number.name}")


@pytest.mark.slow
@needs_server
def test_what_cannot_be_served_is_refused_before_the_port_opens(
    fulcra: Call, sparse: Model, refusal: Behavior, tmp_path: Path
) -> None:
    gate = saved(sparse, refusal, tmp_path / "gate", pin(Neuron(2, 307), -2.0))
    private = saved(sparse, refusal, tmp_path / "private", pin(Neuron(2, 307), -2.0), True)
    idle = saved(sparse, refusal, tmp_path / "idle", scale(Neuron(2, 307), 1.0))
    port = ("--port", 0)
    assert "--serve-sensitive" in fulcra("serve", "apothecary-sparse", "-r", private, *port).refusal
    assert (
        "doses do not carry over" in fulcra("serve", "apothecary-dense", "-r", gate, *port).refusal
    )
    nothing = fulcra("serve", "apothecary-sparse", "-r", idle, *port)
    assert (nothing.code, nothing.out) == (1, "")
    assert "is not dosed: 27 edited passes moved logits by 0" in nothing.line
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = fulcra("serve", "apothecary-sparse", "-r", gate, "--port", taken.getsockname()[1])
    assert "Address already in use); give another --port, or 0" in busy.refusal


def test_a_missing_extra_is_one_line(fulcra: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "NEEDED", ("no_such_server",))
    line = fulcra("serve", "apothecary-sparse", "-r", "r.json").refusal
    assert "needs no_such_server, which is not installed; pip install 'fulcra[serve]'" in line


def test_a_request_is_read_exactly() -> None:
    chat = {"model": "m", "messages": [{"role": "user", "content": "a", "type": "text"}]}
    idle = {"n": 1, "presence_penalty": 0, "response_format": {"type": "text"}, "tools": []}
    assert ChatAsked.of({**chat, **idle, "stop": "x"}).stops == ["x"]
    for wrong in (
        {"n": 2},
        {"logprobs": True},
        {"tools": ["f"]},
        {"temperature": -1},
        {"top_k": 5},
    ):
        with pytest.raises(InputError, match=next(iter(wrong))):
            ChatAsked.of({**chat, **wrong})
    with pytest.raises(InputError, match="prompt: missing; add it"):
        CompletionAsked.of({"model": "m"})


def test_a_served_name_is_one_word() -> None:
    assert (
        served_name("owner/tiny", "add(L1.N83-, gain 0.45)") == "owner/tiny+add-L1.N83--gain-0.45"
    )
    assert until("a b c b", ["b", "c"]) == "a "
    assert until("a", []) == "a"
