"""The page behind its door: other hosts, other paths and strangers stay out."""

import hmac
import secrets
from html import escape
from typing import final
from urllib.parse import parse_qs

from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fulcra.playground.access import LONGEST, Access

COOKIE, LOGIN = "fulcra-playground", "/token"
#: Names of this machine: a page of another name that leads here (DNS rebinding) is refused.
LOCAL = ("127.0.0.1", "localhost")
#: What the page itself asks of its library: nothing is uploaded, and no file served but its own.
PATHS = ("/", "/config", "/theme.css", "/manifest.json", "/favicon.ico")
BRANCHES = (
    "/assets/",
    "/static/",
    "/gradio_api/queue/",
    "/gradio_api/run/",
    "/gradio_api/heartbeat/",
    "/gradio_api/startup-events",
)
#: The page takes nothing from another host and tells none anything.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self'"
    " 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self';"
    " worker-src 'self' blob:; frame-ancestors 'none'; form-action 'self'; base-uri 'self'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


def guarded(app: ASGIApp, access: Access) -> ASGIApp:
    """The application for whoever `access` lets in."""
    guard = Guard(app, access.token)
    return guard if access.remote else TrustedHostMiddleware(guard, [*LOCAL, access.host])


@final
class Guard:
    """An application that is asked for what its page needs, by whoever has the token.

    The token is compared in constant time; what the cookie holds is drawn anew for every server.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self.app, self.token, self._key = app, token, secrets.token_hex(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            request = Request(scope, receive)
            answer = await self._answer(request)
            await (answer or self.app)(scope, receive, _secured(send))

    async def _answer(self, request: Request) -> Response | None:
        """What is said at the door; None for whom it opens."""
        path = request.url.path
        if self.token is not None and path == LOGIN and request.method == "POST":
            return await self._logged_in(request)
        if self.token is not None and not _same(request.cookies.get(COOKIE, ""), self._key):
            return HTMLResponse(_form(""), 401)
        if path not in PATHS and not path.startswith(BRANCHES):
            return PlainTextResponse("Nothing is here.", 404)
        return None

    async def _logged_in(self, request: Request) -> Response:
        if not _same(await _words(request), self.token or ""):
            return HTMLResponse(_form("This is not the token."), 401)
        answer = RedirectResponse("./", 303)
        answer.set_cookie(COOKIE, self._key, httponly=True, samesite="strict")
        return answer


async def _words(request: Request) -> str:
    """The token of a form as far as one may be long."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LONGEST:
            return ""
    fields = parse_qs(body.decode("utf-8", "replace"))
    return fields.get("token", [""])[0]


def _same(words: str, secret: str) -> bool:
    return hmac.compare_digest(words.encode(), secret.encode())


def _secured(send: Send) -> Send:
    """The same with the headers that keep the page to this host."""
    headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *headers]
        await send(message)

    return sent


def _form(fault: str) -> str:
    """The page that asks for the token."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport"'
        ' content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light'
        ' dark"><title>fulcra playground</title></head><body style="font: 16px/1.5 system-ui,'
        ' sans-serif; max-width: 26em; margin: 12vh auto; padding: 0 16px"><main>'
        '<h1 style="font-size: 1.3rem">fulcra playground</h1>'
        f'<form method="post" action="{LOGIN}"><p role="alert">{escape(fault)}</p>'
        '<p><label for="token">Token</label><br><input id="token" name="token" type="password"'
        ' autocomplete="current-password" required style="box-sizing: border-box; width: 100%;'
        ' font: inherit; padding: 6px"></p><p><button style="font: inherit; padding: 6px 16px">'
        "Open</button></p></form></main></body></html>"
    )
