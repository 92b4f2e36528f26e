"""The network of a judge: chat completions of an OpenAI-compatible endpoint, within time limits."""

import ipaddress
import json
import logging
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cache
from typing import NamedTuple

import httpx2

from fulcra.errors import InputError
from fulcra.judges.judge import Usage

#: The first wait between two attempts, doubled each time [s].
BACKOFF = 0.5
#: More bytes than this are no answer.
LARGEST = 1 << 20
#: Tokens a judge may take; the reasoning kind writes some before it answers.
ANSWER_TOKENS = 1024
# the client's debug log quotes a server's headers, and a server may repeat the key in them
logging.getLogger("httpcore2").setLevel(logging.INFO)
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
    """One attempt without an answer; `again` says whether another may help.

    `wait` is how long the server asks for [s], `status` its HTTP status.
    """

    def __init__(
        self, why: str, again: bool = True, wait: float | None = None, status: int = 0
    ) -> None:
        super().__init__(why)
        self.again, self.wait, self.status = again, wait, status


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model behind an OpenAI-compatible address, such as http://localhost:8000/v1.

    One attempt may take `timeout`, all attempts of a question with their waits `patience` [s].
    `allow_http` lets key and words go unencrypted to another machine.
    """

    model: str
    url: str
    key: str | None = field(default=None, repr=False)
    timeout: float = 60.0
    patience: float = 180.0
    attempts: int = 4
    allow_http: bool = False

    def __post_init__(self) -> None:
        if not _is_address(self.url):
            raise InputError(
                f"judge endpoint {self.url!r}: expected an address like http://localhost:8000/v1"
            )
        self._require_private()
        if self.key and not (self.key.isascii() and self.key.isprintable()):
            raise InputError(
                f"judge endpoint {self.url!r}: its key holds a line break or a letter that no HTTP"
                " header can carry; set FULCRA_JUDGE_KEY anew"
            )

    def _require_private(self) -> None:
        """InputError where the address holds a secret, or words would cross a network in clear."""
        parts = httpx2.URL(self.url)
        if parts.userinfo or parts.query:
            raise InputError(
                f"judge endpoint at {parts.host}: its address holds a user, a password or a query,"
                " and files name the address; take them out and set FULCRA_JUDGE_KEY"
            )
        if parts.scheme == "http" and not (self.is_local or self.allow_http):
            raise InputError(
                f"judge endpoint {self.url!r}: http would send key and words in clear to another"
                " machine; give https, or --allow-http on a network that is yours alone"
            )

    @property
    def is_local(self) -> bool:
        """Whether the address is this machine's own: words sent there do not leave it."""
        return is_loopback(httpx2.URL(self.url).host)

    def without_key(self, text: str) -> str:
        """A server's words without the key, which a server may repeat."""
        return text.replace(self.key, "[key]") if self.key else text

    def ask(
        self,
        messages: Sequence[Mapping[str, str]],
        schema: Mapping[str, object] | None,
        stop: threading.Event,
    ) -> Answer:
        """The answer to one conversation at temperature 0; `stop` ends a wait between attempts."""
        body = _body(self.model, messages, schema)
        deadline, sent = time.monotonic() + self.patience, 0
        failed = _Failed("not asked")
        while sent < self.attempts and not stop.is_set():
            sent += 1
            try:
                reply = self._post(body, deadline)
                return _answer(reply, sent, plain="response_format" not in body)
            except _Failed as error:
                failed = error
            if failed.status in (400, 422) and body.pop("response_format", None):
                continue
            wait = BACKOFF * 2 ** (sent - 1) if failed.wait is None else failed.wait
            if not failed.again or time.monotonic() + wait > deadline:
                break
            if sent < self.attempts:
                stop.wait(wait)
        return Answer("", Usage(sent), str(failed), down=failed.again)

    def _post(self, body: Mapping[str, object], deadline: float) -> bytes:
        """The body of the response to one request; `_Failed` without one."""
        limit = min(deadline, time.monotonic() + self.timeout)
        try:
            with self._request(body, limit) as response:
                if not response.is_success:
                    raise self._status(response)
                return _read(response, limit)
        except httpx2.TimeoutException:
            raise _Failed("no answer in time") from None
        except httpx2.RequestError as error:
            raise _Failed(f"no connection ({_cause(error)})") from None
        except InputError:
            raise
        except (ImportError, ValueError) as error:
            # a proxy's address may hold a password, and the client quotes it
            why = str(error) if isinstance(error, ImportError) else type(error).__name__
            raise InputError(
                f"judge {self.model} at {self.url}: the proxy that the environment names cannot be"
                f" used ({why}); unset it or install that package"
            ) from None

    def _request(
        self, body: Mapping[str, object], limit: float
    ) -> AbstractContextManager[httpx2.Response]:
        """One request on its way: no redirect is followed, and nothing outlives it.

        What goes to this machine goes straight there, whatever proxy the environment names.
        """
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        headers["User-Agent"] = "fulcra"
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        return httpx2.stream(
            "POST",
            f"{self.url.rstrip('/')}/chat/completions",
            content=json.dumps(body).encode(),
            headers=headers,
            timeout=max(0.01, limit - time.monotonic()),
            follow_redirects=False,
            verify=_certificates(),
            trust_env=not self.is_local,
        )

    def _status(self, response: httpx2.Response) -> _Failed:
        """What a response without success means; InputError where the user must mend something."""
        status = response.status_code
        if status in (401, 403):
            key = "its key" if self.key else "no key"
            raise InputError(
                f"judge {self.model} at {self.url}: HTTP {status} with {key}; set"
                " FULCRA_JUDGE_KEY to a valid one"
            )
        if status == 404:
            raise InputError(
                f"judge {self.model} at {self.url}: HTTP 404; check the address (it ends in /v1)"
                " and the model's name"
            )
        wait = retry_after(response.headers.get("Retry-After"))
        return _Failed(f"HTTP {status}", status in _AGAIN, wait, status)


@cache
def _certificates() -> ssl.SSLContext:
    """The authorities that a connection may trust; read once, since that takes 50 ms."""
    return httpx2.create_ssl_context()


def _is_address(url: str) -> bool:
    try:
        parts = httpx2.URL(url)
    except httpx2.InvalidURL:
        return False
    return parts.scheme in ("http", "https") and bool(parts.host)


def _cause(error: Exception) -> str:
    """The name of the system's error behind a client's error, else its own."""
    behind: BaseException | None = error
    while behind is not None and not isinstance(behind, OSError):
        behind = behind.__context__
    return type(behind or error).__name__


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"


def retry_after(value: str | None) -> float | None:
    """The seconds that a Retry-After header asks to wait; None where it is no number or date."""
    try:
        seconds = float(value or "")
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value or "").timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if seconds == seconds else None


def _body(
    model: str, messages: Sequence[Mapping[str, str]], schema: Mapping[str, object] | None
) -> dict[str, object]:
    """The request for one answer; `schema` is that of the answer."""
    body: dict[str, object] = {
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


def _read(response: httpx2.Response, limit: float) -> bytes:
    """The whole body; a failure where it is too large, cut off or drips past the limit."""
    parts, size = [], 0
    try:
        for part in response.iter_raw():
            parts.append(part)
            size += len(part)
            if size > LARGEST:
                raise _Failed(f"an answer of more than {LARGEST} bytes", again=False)
            if time.monotonic() > limit:
                raise _Failed("no answer in time")
    except httpx2.RemoteProtocolError:
        raise _Failed("an answer cut off") from None
    return b"".join(parts)


def _answer(body: bytes, sent: int, plain: bool) -> Answer:
    """The first choice's words and the token count, of a body in the shape of a chat completion."""
    try:
        content = json.loads(body)
        text = content["choices"][0]["message"]["content"] or ""
        usage = content.get("usage") or {}
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
