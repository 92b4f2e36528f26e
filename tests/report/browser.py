"""Headless Chromium driven over its debugging pipe: pages opened, scripts run, pictures taken."""

import json
import os
import select
import shutil
import subprocess
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
browsed = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium is installed: apt-get install chromium"
)
_SECONDS = 60.0
_TALLEST = 16000  # pixels of one picture


class Tab:
    """One page in the browser: commands of the DevTools protocol, and what the console said."""

    def __init__(self, process: subprocess.Popen[bytes], write: int, read: int) -> None:
        self.process, self._write, self._read = process, write, read
        self._rest, self._number, self._session = b"", 0, ""
        self.console: list[str] = []
        self.requests: list[str] = []
        self.loaded = False

    def attach(self) -> Self:
        """The tab itself, attached to a new empty page."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        return self

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to one command."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result
            self._event(answer)

    def open(self, page: Path | str, drawn: bool = True) -> None:
        """Open a file or an address and wait until it has loaded, and unless told otherwise drawn.

        An address is that of a server.
        """
        self.loaded = False
        self.send("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
        while not self.loaded:
            self._event(self._next())
        if drawn:
            self.settle()

    def settle(self) -> None:
        """Wait until two frames were drawn."""
        wait = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
        self.run(wait)

    def run(self, script: str) -> Any:
        """The value of a script's expression, awaited."""
        answer = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def width(self, width: int, height: int = 900) -> None:
        """Make the window so wide; narrow ones are phones."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def media(self, medium: str = "", scheme: str = "light") -> None:
        """Show the page on a medium ("print") and in a color scheme."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.send("Emulation.setEmulatedMedia", media=medium, features=[feature])
        self.settle()

    def press(self, key: str) -> None:
        """Press and release one key."""
        text = {"Enter": "\r", "Space": " "}.get(key, "")
        name = " " if key == "Space" else key
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            code = {"Enter": 13, "Space": 32, "Tab": 9}.get(key, 0)
            self.send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=name,
                code=key,
                windowsVirtualKeyCode=code,
                **more,
            )

    def picture(self, file: Path, whole: bool = True) -> Path:
        """The page as it stands, as a PNG file; not whole, only its first screen."""
        clip = {}
        if whole:
            size = self.send("Page.getLayoutMetrics")["cssContentSize"]
            height = min(size["height"], _TALLEST)
            clip = {"clip": {"x": 0, "y": 0, "width": size["width"], "height": height, "scale": 1}}
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=whole, **clip)
        file.write_bytes(b64decode(shot["data"]))
        return file

    def printed(self, file: Path) -> Path:
        """The page printed to a PDF file."""
        file.write_bytes(b64decode(self.send("Page.printToPDF", printBackground=True)["data"]))
        return file

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + _SECONDS
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"the browser did not answer within {_SECONDS:.0f} s"
            chunk = os.read(self._read, 1 << 20)
            assert chunk, "the browser ended"
            self._rest += chunk
        message, _, self._rest = self._rest.partition(b"\0")
        content: dict[str, Any] = json.loads(message)
        return content

    def _event(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), message.get("params", {})
        if method == "Page.loadEventFired":
            self.loaded = True
        elif method == "Runtime.exceptionThrown":
            self.console.append(json.dumps(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.console.append(json.dumps(params["args"]))
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Log.entryAdded":
            self.console.append(params["entry"]["text"])


@contextmanager
def tab(folder: Path) -> Iterator[Tab]:
    """A tab of a browser of its own, which ends with it; its profile stands in `folder`."""
    assert BROWSER is not None
    (browser_in, write), (read, browser_out) = os.pipe(), os.pipe()
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
    flags += ["--hide-scrollbars", f"--user-data-dir={folder / 'profile'}"]
    shell = f'exec "$0" "$@" 3<&{browser_in} 4>&{browser_out}'
    process = subprocess.Popen(
        ["bash", "-c", shell, BROWSER, *flags],
        pass_fds=(browser_in, browser_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(browser_in)
    os.close(browser_out)
    try:
        yield Tab(process, write, read).attach()
    finally:
        process.terminate()
        process.wait(20)
        os.close(write)
        os.close(read)
