"""A headless Chromium as people use it, driven by Playwright: the machine's own, none that Playwright would download."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, ViewportSize, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
VARIABLE = "ZHIQING_CHROMIUM"
"""Names the browser: then a test that needs one fails without it rather than being left out."""
PICTURES = os.environ.get("ZHIQING_PICTURES", "")
"""A folder for pictures of every page, to be looked at."""
WAIT_MS = 30_000
TALL, TALLEST = 1000, 12_000

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
"""What of WCAG 2.2 AA a machine can tell to be broken."""
BROKEN = f"""
    axe.run(document, {{runOnly: {json.dumps(RULES)}}}).then(found => found.passes.length
        ? found.violations.flatMap(one => one.nodes.map(node => `${{one.id}}: ${{node.html}}`))
        : ['nothing was looked at'])
"""


def found() -> str | None:
    """The browser's path, where there is one."""
    return os.environ.get(VARIABLE) or next((path for name in NAMES if (path := shutil.which(name))), None)


needed = pytest.mark.skipif(found() is None, reason=f"no Chromium on PATH, and {VARIABLE} names none")


@contextmanager
def running() -> Iterator[Browser]:
    """A browser, ended with the block. Raises playwright's Error where there is none.

    Playwright keeps an event loop in the test's thread, in which Django would refuse to reach the database.
    """
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        with playwright.chromium.launch(executable_path=found(), args=["--no-proxy-server"]) as browser:
            yield browser


class Tab:
    """One page at a time, with cookies of its own.

    `complaints`: errors of the console, exceptions and what a policy refused, since they were last cleared.
    """

    def __init__(self, browser: Browser, width: int, height: int = TALL, **more: Any) -> None:
        """`more`: of Playwright's contexts, as `java_script_enabled`."""
        self.height = height
        viewport: ViewportSize = {"width": width, "height": height}
        self.context = browser.new_context(viewport=viewport, is_mobile=width < 600, **more)
        self.context.set_default_timeout(WAIT_MS)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "assert"):
            self.complaints.append(message.text)

    def cookie(self, url: str, name: str, value: str) -> None:
        self.context.add_cookies([{"url": url, "name": name, "value": value}])

    def size(self, width: int) -> None:
        self.page.set_viewport_size({"width": width, "height": self.height})

    @property
    def width(self) -> int:
        """Of the window, in CSS pixels."""
        assert self.page.viewport_size is not None
        return self.page.viewport_size["width"]

    def count(self, selector: str) -> int:
        return self.page.locator(selector).count()

    def fits(self) -> None:
        """The page is as wide as the window, whatever is scrolled within it."""
        assert self.page.evaluate("document.documentElement.scrollWidth") <= self.width

    def sound(self, name: str) -> None:
        """It fits, nothing of WCAG 2.2 AA that a machine can tell is broken, and nothing was refused; its picture is taken."""
        self.picture(name)
        self.fits()
        self.page.evaluate(AXE)
        broken = self.page.evaluate(BROKEN)
        assert not broken, "\n".join([name, *broken])
        assert not self.complaints, f"{name}: {self.complaints}"

    def picture(self, name: str) -> None:
        """The whole page, however high: laid out at that height, so that what sticks to the window's edge covers nothing."""
        if PICTURES:
            high = min(int(self.page.evaluate("document.documentElement.scrollHeight")), TALLEST)
            self.page.set_viewport_size({"width": self.width, "height": max(high, self.height)})
            self.page.screenshot(path=Path(PICTURES, f"{name}.png"), animations="disabled")
            self.size(self.width)
