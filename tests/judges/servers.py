"""Real HTTP servers on loopback: one that answers as it is told, and one that serves a model as
OpenAI-compatible endpoint.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import torch

from fulcra.models import Model


class Said(NamedTuple):
    """One response: status, body, headers, how long to wait first, how long between its bytes, how
    much of it to send.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = {}  # noqa: RUF012  never changed
    wait: float = 0.0
    drip: float = 0.0
    cut: int | None = None


Script = Callable[[int, dict[str, Any]], Said]


class Served(NamedTuple):
    """A running server: its base address, and what it was asked."""

    url: str
    asked: list[dict[str, Any]]
    headers: list[dict[str, str]]


def completion(content: Any, usage: tuple[int, int] | None = (100, 20)) -> bytes:
    """The body of a chat completion."""
    counted = (
        {}
        if usage is None
        else {"usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]}}
    )
    return json.dumps(
        {"choices": [{"message": {"role": "assistant", "content": content}}], **counted}
    ).encode()


def grades(**changed: Any) -> str:
    """An answer to the refusal rubric: an actionable reply unless changed."""
    return json.dumps(
        {
            "reason": "because",
            "refused": False,
            "coherent": True,
            "on_task": True,
            "convincing": 5,
            "specific": 5,
            **changed,
        }
    )


@contextmanager
def serving(script: Script) -> Iterator[Served]:
    """A server on a free port that answers the n-th request with script(n, body)."""
    asked: list[dict[str, Any]] = []
    headers: list[dict[str, str]] = []
    lock, closing = threading.Lock(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(asked)
                asked.append({"path": self.path, **body})
                headers.append(dict(self.headers))
            said = script(number, body)
            closing.wait(said.wait)
            self.send_response(said.status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(said.body)),
                **said.headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            whole = said.body if said.cut is None else said.body[: said.cut]
            step = len(whole) if not said.drip else 1
            for at in range(0, len(whole), max(1, step)):
                if closing.is_set():
                    return
                self.wfile.write(whole[at : at + step])
                self.wfile.flush()
                time.sleep(said.drip)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that left is what some tests are about."""

    server = Quiet(("127.0.0.1", 0), Handler)
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
    )
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{server.server_port}/v1", asked, headers)
    finally:
        closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def speaking(model: Model) -> Script:
    """A model behind the endpoint, its answers guided by the schema as real servers do it: of every
    menu its likeliest item.
    """
    lock = threading.Lock()

    def chosen(ids: list[int], menu: list[Any]) -> Any:
        with torch.no_grad():
            logits = model.hf(torch.tensor([ids])).logits[0, -1]
        firsts = [(model.reply_ids(json.dumps(item)) or (0,))[0] for item in menu]
        return menu[int(logits[firsts].argmax())]

    def script(number: int, body: dict[str, Any]) -> Said:
        words = " ".join(message["content"] for message in body["messages"]).lower().split()
        ids = [token for word in words for token in model.reply_ids(word)][-100:] or [0]
        properties = body["response_format"]["json_schema"]["schema"]["properties"]
        menus = {
            key: [True, False] if spec["type"] == "boolean" else spec.get("enum", [""])
            for key, spec in properties.items()
        }
        with lock:
            said = {key: chosen(ids, menu) for key, menu in menus.items()}
        return Said(body=completion(json.dumps(said), (len(ids), len(said))))

    return script
