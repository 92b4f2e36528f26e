"""Nobody outside this machine reaches the page without being let in, nor without the token."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fulcra.errors import InputError
from fulcra.playground.access import SHORTEST, VARIABLE, Access, access

pytest.importorskip("starlette", reason="needs a web server: pip install 'fulcra[ui]'")

from fulcra.playground.guard import COOKIE, LOGIN, POLICY, guarded

TOKEN = "correct horse battery"


class Answer(NamedTuple):
    """Status, headers and body of one answer."""

    status: int
    headers: Mapping[str, str]
    body: str


async def page(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"the page"})


def ask(app: Any, path: str = "/", body: str = "", **headers: str) -> Answer:
    """The answer of an application to one request; with a body it is a form."""
    sent: list[Any] = []
    pairs = {"host": "127.0.0.1:7860", **headers}
    if body:
        pairs["content-type"] = "application/x-www-form-urlencoded"
    scope = {
        "type": "http",
        "method": "POST" if body else "GET",
        "path": path,
        "query_string": b"",
        "scheme": "http",
        "server": ("127.0.0.1", 7860),
        "headers": [(name.encode(), value.encode()) for name, value in pairs.items()],
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": body.encode(), "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    named = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    text = b"".join(message.get("body", b"") for message in sent[1:]).decode()
    return Answer(sent[0]["status"], named, text)


def test_this_machine_alone_needs_no_token() -> None:
    for host in ("127.0.0.1", "localhost", "127.3.2.1"):
        assert not access(host, False, None, {}).remote


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.4", "example.org", ""])
def test_other_machines_are_let_in_by_word_and_token_alone(host: str) -> None:
    with pytest.raises(InputError, match="give --allow-remote and a token"):
        access(host, False, None, {VARIABLE: TOKEN})
    with pytest.raises(InputError, match=f"give --token-file FILE, or set {VARIABLE}"):
        access(host, True, None, {})
    assert access(host, True, None, {VARIABLE: TOKEN}).token == TOKEN


def test_a_token_is_read_from_a_file_and_never_printed(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    door = access("0.0.0.0", True, file, {VARIABLE: "another one, as long as it is"})
    assert door.token == TOKEN
    assert TOKEN not in repr(door)


@pytest.mark.parametrize("words", ["", "short", "x" * (SHORTEST - 1), "two lines of it\nand more"])
def test_a_token_that_is_none_is_refused(words: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(words)
    for where, environment in ((file, {}), (None, {VARIABLE: words})):
        with pytest.raises(InputError, match="a token is one line of at least 16"):
            access("127.0.0.1", False, where, environment)


def test_a_token_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        access("127.0.0.1", False, tmp_path / "gone", {})
    (tmp_path / "bytes").write_bytes(b"\xff" * 40)
    with pytest.raises(InputError, match="no text"):
        access("127.0.0.1", False, tmp_path / "bytes", {})


def test_a_page_of_another_name_does_not_reach_this_machine() -> None:
    app = guarded(page, Access("127.0.0.1", None))
    assert ask(app).body == "the page"
    assert ask(app, host="localhost:7860").body == "the page"
    assert ask(app, host="evil.example:7860").status == 400
    assert ask(guarded(page, Access("127.3.2.1", None)), host="127.3.2.1:80").body == "the page"


def test_every_answer_keeps_the_page_to_this_host() -> None:
    app = guarded(page, Access("127.0.0.1", TOKEN))
    for path in ("/", "/nowhere"):
        assert ask(app, path).headers["content-security-policy"] == POLICY
    assert "connect-src 'self'" in POLICY


@pytest.mark.parametrize("path", ["/gradio_api/upload", "/gradio_api/file=/etc/passwd", "/docs"])
def test_what_the_page_does_not_need_is_not_there(path: str) -> None:
    assert ask(guarded(page, Access("127.0.0.1", None)), path).status == 404


def test_the_token_opens_the_page_and_nothing_else_does() -> None:
    app = guarded(page, Access("0.0.0.0", TOKEN))
    for headers in ({}, {"cookie": f"{COOKIE}=guess"}, {"cookie": f"{COOKIE}={TOKEN}"}):
        closed = ask(app, **headers)
        assert closed.status == 401
        assert "the page" not in closed.body
    assert ask(app, "/gradio_api/queue/join").status == 401
    wrong = ask(app, LOGIN, "token=wrong")
    assert (wrong.status, "set-cookie" in wrong.headers) == (401, False)
    opened = ask(app, LOGIN, "token=correct+horse+battery")
    assert opened.status == 303
    cookie = opened.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert ask(app, cookie=cookie.partition(";")[0]).body == "the page"
    assert ask(guarded(page, Access("0.0.0.0", TOKEN)), cookie=cookie).status == 401
