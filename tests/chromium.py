"""A headless Chromium, driven over a pipe by the DevTools protocol: no driver, no port, nothing to install beside it.

Source: chromedevtools.github.io/devtools-protocol; `--remote-debugging-pipe` reads file descriptor 3 and writes 4, messages
ended by a NUL.
"""

import base64
import contextlib
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WAIT_S = 60
NAMES = ("chromium", "chromium-browser", "google-chrome")
VARIABLE = "ZHIQING_CHROMIUM"
"""Names the browser: then a test that needs one fails without it rather than being left out."""

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)  # fmt: skip


def found() -> str | None:
    """The browser's path, where there is one."""
    return os.environ.get(VARIABLE) or next((path for name in NAMES if (path := shutil.which(name))), None)


_BECOME = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
"""A process with the two descriptors where the browser looks for them, and then the browser."""


class Tab:
    """One page at a time. `complaints`: errors of the console, exceptions and what a policy refused, since it was opened."""

    def __init__(self, browser: "Browser", session: str) -> None:
        self.browser, self.session = browser, session
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> Any:
        return self.browser.ask(method, self.session, **parameters)

    def cookie(self, base_url: str, name: str, value: str) -> None:
        self.ask("Network.setCookie", url=base_url, name=name, value=value)

    def size(self, width: int, height: int = 1000) -> None:
        mobile = width < 600
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def open(self, url: str) -> None:
        """Until it is loaded, deferred scripts included."""
        self.complaints.clear()
        self.browser.happened.clear()
        self.ask("Page.navigate", url=url)
        self.browser.until("Page.loadEventFired")
        self._hear()

    def evaluate(self, script: str) -> Any:
        """The value of an expression, a promise's where it is one."""
        told = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        self._hear()
        if "exceptionDetails" in told:
            raise RuntimeError(told["exceptionDetails"])
        return told["result"].get("value")

    def picture(self, path: Path, width: int) -> None:
        """The whole page, however high; the page is laid out at that height."""
        self.size(width, min(int(self.evaluate("document.documentElement.scrollHeight")), 12_000))
        time.sleep(0.3)
        self._save(path, self.ask("Page.captureScreenshot", format="png"))

    def paper(self, path: Path) -> None:
        """As it is printed."""
        self._save(path, self.ask("Page.printToPDF", printBackground=True, preferCSSPageSize=True))

    def _hear(self) -> None:
        self.complaints += filter(None, map(_complaint, self.browser.happened))
        self.browser.happened.clear()

    @staticmethod
    def _save(path: Path, told: Any) -> None:
        path.write_bytes(base64.b64decode(told["data"]))


def _complaint(event: Any) -> str | None:
    method, told = event["method"], event.get("params", {})
    if method == "Runtime.exceptionThrown":
        return str(told["exceptionDetails"])
    if method == "Runtime.consoleAPICalled" and told["type"] in ("error", "assert"):
        return str(told["args"])
    if method == "Log.entryAdded" and told["entry"]["level"] == "error":
        return str(told["entry"]["text"])
    return None


class Browser:
    """Speaks to a running Chromium."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = write, read
        self._ids = itertools.count(1)
        self._buffer = b""
        self.happened: list[Any] = []

    def tab(self) -> Tab:
        """With cookies of its own."""
        context = self.ask("Target.createBrowserContext")["browserContextId"]
        target = self.ask("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        return Tab(self, self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])

    def ask(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        """Raises RuntimeError where the browser refuses."""
        number = next(self._ids)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (told := self._next()).get("id") != number:
            self.happened.append(told)
        if "error" in told:
            raise RuntimeError(f"{method}: {told['error']}")
        return told["result"]

    def until(self, method: str) -> None:
        while not any(event["method"] == method for event in self.happened):
            self.happened.append(self._next())

    def _next(self) -> Any:
        """Raises TimeoutError, and EOFError where the browser has ended."""
        deadline = time.monotonic() + WAIT_S
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], deadline - time.monotonic())
            if not ready:
                raise TimeoutError("the browser does not answer")
            more = os.read(self._read, 1 << 16)
            if not more:
                raise EOFError("the browser has ended")
            self._buffer += more
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Browser]:
    """A browser whose profile lies in the folder, ended with the block. Raises RuntimeError where there is none."""
    path = found()
    if path is None:
        raise RuntimeError(f"no Chromium found: install one (Debian: chromium) or name it in {VARIABLE}")
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    command = [path, *FLAGS, f"--user-data-dir={folder}", "about:blank"]
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _BECOME, str(theirs_in), str(theirs_out), *command],
            pass_fds=(theirs_in, theirs_out), stdout=log, stderr=log,
        )  # fmt: skip
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Browser(ours_out, ours_in)
    finally:
        process.terminate()
        process.wait(30)
        os.close(ours_out)
        os.close(ours_in)
