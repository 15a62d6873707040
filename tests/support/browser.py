"""A headless Chromium that a test drives through the DevTools protocol: pages as a person's browser shows them, scripts and all."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
)  # fmt: skip
START_S = 60.0


class PageError(Exception):
    """What the browser was asked to do or to tell is not possible, or not yet."""


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._calls = socket, 0

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result."""
        self._calls += 1
        await self._socket.send_json({"id": self._calls, "method": method, "params": parameters})
        while (answer := await self._socket.receive_json()).get("id") != self._calls:
            pass  # an event
        if "error" in answer:
            raise PageError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def value(self, expression: str) -> Any:
        """Return the JSON value of a JavaScript expression."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise PageError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    async def until(self, expression: str, timeout_s: float = 60.0) -> Any:
        """Wait for an expression to be true and return its value; while a page is being built it may be an error."""
        deadline = time.monotonic() + timeout_s
        while True:
            with contextlib.suppress(PageError):
                if value := await self.value(expression):
                    return value
            assert time.monotonic() < deadline, (
                f"{expression} was not true in {timeout_s} s; the page: {(await self.value('document.body.innerText'))[:1000]}"
            )
            await asyncio.sleep(0.1)

    async def click(self, element: str) -> None:
        """Wait for the element that an expression gives and click on it."""
        await self.until(f"Boolean({element})")
        await self.value(f"{element}.click()")

    async def resize(self, width: int, height: int) -> None:
        """Lay the page out for a window of this many pixels."""
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    async def screenshot(self, file: Path) -> None:
        """Write what the window shows as a PNG."""
        file.write_bytes(base64.b64decode((await self.call("Page.captureScreenshot", format="png"))["data"]))


@contextlib.asynccontextmanager
async def opened(address: str) -> AsyncIterator[Page]:
    """Open an address in a browser with nothing remembered."""
    assert CHROMIUM is not None
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen([CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"], stderr=subprocess.DEVNULL)
        try:
            port = await _port(Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                    tab = next(one for one in json.loads(await answer.text()) if one["type"] == "page")
                async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    page = Page(socket)
                    await page.call("Page.navigate", url=address)
                    yield page
        finally:
            process.kill()
            process.wait()


async def _port(file: Path) -> int:
    deadline = time.monotonic() + START_S
    while not file.exists() or not file.read_text():
        assert time.monotonic() < deadline, f"Chromium did not start in {START_S} s"
        await asyncio.sleep(0.05)
    return int(file.read_text().split()[0])
