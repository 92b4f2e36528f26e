"""The network of a judge: chat completions of an OpenAI-compatible endpoint, asked again where that
can help, never for ever.
"""

import ipaddress
import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPMessage
from typing import IO, Any, NamedTuple, final
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, ProxyHandler, Request, build_opener

from fulcra.errors import InputError
from fulcra.judges.judge import Usage

#: The first wait between two attempts, doubled each time [s].
BACKOFF = 0.5
#: More bytes than this are no answer.
LARGEST = 1 << 20
#: Tokens a judge may take; the reasoning kind writes some before it answers.
ANSWER_TOKENS = 1024
_AGAIN = frozenset((408, 409, 425, 429, 500, 502, 503, 504, 529))


class Answer(NamedTuple):
    """What came of one question: the words of the answer, or why there are none, and what it cost.

    `down` says that the endpoint itself did not answer; `plain` that it was asked without a schema,
    which it does not know.
    """

    text: str
    usage: Usage
    why: str = ""
    down: bool = False
    plain: bool = False


class _Failed(Exception):
    """One attempt without an answer: `again` whether another may help, `wait` how long the server
    asks for [s].
    """

    def __init__(
        self, why: str, again: bool = True, wait: float | None = None, status: int = 0
    ) -> None:
        super().__init__(why)
        self.again, self.wait, self.status = again, wait, status


@final
class _NoRedirect(HTTPRedirectHandler):
    """A completion goes to the address it was meant for and nowhere else."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Nothing: the redirect becomes an error."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model behind an OpenAI-compatible address, such as http://localhost:8000/v1.

    One attempt may take `timeout`, all attempts of a question with their waits `patience` [s].
    """

    model: str
    url: str
    key: str | None = field(default=None, repr=False)
    timeout: float = 60.0
    patience: float = 180.0
    attempts: int = 4

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(
                f"judge endpoint {self.url!r}: expected an address like http://localhost:8000/v1"
            )

    @property
    def is_local(self) -> bool:
        """Whether the address is this machine's own: words sent there do not leave it."""
        return is_loopback(urlsplit(self.url).hostname or "")

    def ask(
        self,
        messages: Sequence[Mapping[str, str]],
        schema: Mapping[str, Any] | None,
        stop: threading.Event,
    ) -> Answer:
        """The answer to one conversation at temperature 0; `stop` ends the waiting between
        attempts.
        """
        body = _body(self.model, messages, schema)
        deadline, sent = time.monotonic() + self.patience, 0
        failed = _Failed("not asked")
        while sent < self.attempts and not stop.is_set():
            sent += 1
            try:
                return _answer(
                    self._post(body, deadline), sent, plain="response_format" not in body
                )
            except _Failed as error:
                failed = error
            if failed.status in (400, 422) and body.pop("response_format", None):
                continue
            wait = BACKOFF * 2 ** (sent - 1) if failed.wait is None else failed.wait
            if (
                not failed.again
                or time.monotonic() + wait > deadline
                or (sent < self.attempts and stop.wait(wait))
            ):
                break
        return Answer("", Usage(sent), str(failed), down=failed.again)

    def _post(self, body: Mapping[str, Any], deadline: float) -> bytes:
        headers = {"Content-Type": "application/json", "User-Agent": "fulcra"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = Request(
            f"{self.url.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers
        )
        limit = min(deadline, time.monotonic() + self.timeout)
        try:
            with self._opener().open(
                request, timeout=max(0.01, limit - time.monotonic())
            ) as response:
                return _read(response, limit)
        except HTTPError as error:
            with error:
                raise self._status(error) from None
        except (URLError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", error)
            why = (
                "no answer in time"
                if isinstance(reason, TimeoutError)
                else f"no connection ({type(reason).__name__})"
            )
            raise _Failed(why) from None

    def _opener(self) -> OpenerDirector:
        # What goes to this machine goes straight there, whatever proxy the environment names.
        return build_opener(_NoRedirect, *([ProxyHandler({})] if self.is_local else []))

    def _status(self, error: HTTPError) -> _Failed:
        if error.code in (401, 403):
            found = "its key" if self.key else "no key"
            raise InputError(
                f"judge {self.model} at {self.url}: HTTP {error.code} with {found}; set"
                " FULCRA_JUDGE_KEY to a valid one"
            ) from None
        if error.code == 404:
            raise InputError(
                f"judge {self.model} at {self.url}: HTTP 404; check the address (it ends in /v1)"
                " and the model's name"
            ) from None
        return _Failed(
            f"HTTP {error.code}",
            error.code in _AGAIN,
            retry_after(error.headers.get("Retry-After")),
            error.code,
        )


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"


def retry_after(value: str | None) -> float | None:
    """The seconds that a Retry-After header asks to wait, from a number or a date; None without a
    readable one.
    """
    try:
        seconds = float(value or "")
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value or "").timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if seconds == seconds else None


def _body(
    model: str, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any] | None
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "messages": list(messages),
        "temperature": 0,
        "max_tokens": ANSWER_TOKENS,
    }
    if schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "grades", "strict": True, "schema": schema},
        }
    return body


def _read(response: Any, limit: float) -> bytes:
    """The whole body; a failure where it is too large or drips past the limit."""
    parts, size = [], 0
    while part := response.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if size > LARGEST:
            raise _Failed(f"an answer of more than {LARGEST} bytes", again=False)
        if time.monotonic() > limit:
            raise _Failed("no answer in time")
    if response.length:
        raise _Failed("an answer cut off")
    return b"".join(parts)


def _answer(body: bytes, sent: int, plain: bool) -> Answer:
    """The first choice's words and the token count, of a body in the shape of a chat completion."""
    try:
        found = json.loads(body)
        text = found["choices"][0]["message"]["content"] or ""
        usage = found.get("usage") or {}
        counted = (
            (int(usage["prompt_tokens"]), int(usage["completion_tokens"]), 0)
            if "prompt_tokens" in usage
            else (0, 0, 1)
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise _Failed("an answer that is no chat completion", again=False) from None
    if not isinstance(text, str):
        raise _Failed("an answer that is no text", again=False)
    return Answer(text, Usage(sent, *counted), plain=plain)
