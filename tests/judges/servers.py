"""Real HTTP servers on loopback: one that follows a script, one that serves a model."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import torch

from fulcra.models import Model


class Reply(NamedTuple):
    """One response of a server.

    It may `wait` first, let so many seconds pass between its bytes (`drip`), and be `cut` short.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = {}  # noqa: RUF012  never changed
    wait: float = 0.0
    drip: float = 0.0
    cut: int | None = None


Script = Callable[[int, dict[str, Any]], Reply]


class Served(NamedTuple):
    """A running server: its base address, and the requests it got with their headers."""

    url: str
    requests: list[dict[str, Any]]
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


class _Server(ThreadingHTTPServer):
    """Answers its n-th request with script(n, body), until it is closing."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.lock, self.closing = threading.Lock(), threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    def reply(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Reply:
        """The script's reply to one more request, after its wait."""
        with self.lock:
            number = len(self.requests)
            self.requests.append({"path": path, **body})
            self.headers.append(headers)
        reply = self.script(number, body)
        self.closing.wait(reply.wait)
        return reply

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        reply = self.server.reply(self.path, body, dict(self.headers))
        headers = {"Content-Type": "application/json", "Content-Length": str(len(reply.body))}
        self.send_response(reply.status)
        for name, value in (headers | reply.headers).items():
            self.send_header(name, value)
        self.end_headers()
        whole = reply.body[: reply.cut]
        step = 1 if reply.drip else max(1, len(whole))
        for start in range(0, len(whole), step):
            if self.server.closing.is_set():
                return
            self.wfile.write(whole[start : start + step])
            self.wfile.flush()
            time.sleep(reply.drip)

    def log_message(self, format: str, *args: Any) -> None:
        """A test's output stays its own."""


@contextmanager
def serving(script: Script) -> Iterator[Served]:
    """A server on a free port that answers the n-th request with script(n, body)."""
    server = _Server(script)
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
    )
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{server.server_port}/v1", server.requests, server.headers)
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def speaking(model: Model) -> Script:
    """A model behind the endpoint; guided by the schema, it takes the likeliest item of a menu."""
    lock = threading.Lock()

    def chosen(ids: list[int], menu: list[Any]) -> Any:
        with torch.no_grad():
            logits = model.hf(torch.tensor([ids])).logits[0, -1]
        firsts = [(model.reply_ids(json.dumps(item)) or (0,))[0] for item in menu]
        return menu[int(logits[firsts].argmax())]

    def script(number: int, body: dict[str, Any]) -> Reply:
        words = " ".join(message["content"] for message in body["messages"]).lower().split()
        ids = [token for word in words for token in model.reply_ids(word)][-100:] or [0]
        properties = body["response_format"]["json_schema"]["schema"]["properties"]
        menus = {
            key: [True, False] if spec["type"] == "boolean" else spec.get("enum", [""])
            for key, spec in properties.items()
        }
        with lock:
            answers = {key: chosen(ids, menu) for key, menu in menus.items()}
        return Reply(body=completion(json.dumps(answers), (len(ids), len(answers))))

    return script
