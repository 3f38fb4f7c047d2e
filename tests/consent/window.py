"""An officer's window: what they read, press and type, by the words in their own language."""

import re

from django.contrib.auth.models import User
from django.utils import translation
from playwright.sync_api import Browser, Locator, Page, expect

from consent import edge
from consent.officers import second_factor
from tests.cast import Program, now
from tests.chromium import Tab
from tests.consent.desk import PASSWORD, account
from tests.journeys.server import Server

WIDE, NARROW = 1280, 400
LOCALES = ("zh-Hans", "en")


class Window:
    """`locale` is the browser's language. Words are given as the source has them, which is in English."""

    def __init__(self, browser: Browser, server: Server, locale: str) -> None:
        self.locale, self.server = locale, server
        self.tab = Tab(browser, WIDE, locale={"zh-Hans": "zh-CN"}.get(locale, locale))

    @property
    def page(self) -> Page:
        return self.tab.page

    def words(self, source: str) -> str:
        with translation.override(self.locale.lower()):
            return translation.gettext(source)

    def go(self, path: str = "") -> None:
        """`path` below /admin/."""
        self.page.goto(f"{self.server.base_url}/admin/{path}")

    def sign_in(self, user: User, path: str = "") -> None:
        """With password and second factor, on the way to a page."""
        code = second_factor.handed_out(edge.vault().keyring, user.pk, now=now())
        self.go(path)
        self.password(user)
        self.fill("code", code)
        self.press("Go on")

    def enter(self, role: str, program: Program, path: str = "", name: str = "") -> None:
        """Sign in anew as somebody of this role, and enter the mini-program on the way to a page of it."""
        self.tab.context.clear_cookies()
        self.sign_in(account(role, program, name=name), path)
        self.press("Enter")

    def password(self, user: User) -> None:
        self.fill("username", user.username)
        self.fill("password", PASSWORD)
        self.press("Log in")

    def named(self, source: str) -> Locator:
        """The link or button of this name; where it leads to a page that asks first, its name ends in an ellipsis."""
        name = re.compile(rf"^{re.escape(self.words(source))}…?$")
        return self.page.get_by_role("button", name=name).or_(self.page.get_by_role("link", name=name))

    def press(self, source: str) -> None:
        """And wait for the page it leads to."""
        with self.page.expect_navigation():
            self.named(source).click()

    def follow(self, href: str) -> None:
        """A link of the page's own part, by the end of its address."""
        with self.page.expect_navigation():
            self.page.locator(f"#main a[href$='{href}']").first.click()

    def fill(self, field: str, value: str) -> None:
        self.page.fill(f"[name={field}]", value)

    def choose(self, field: str, value: str) -> None:
        self.page.select_option(f"[name={field}]", value)

    def tick(self, field: str, value: str) -> None:
        self.page.check(f"[name={field}][value='{value}']")

    def reads(self, *sources: str) -> None:
        for source in sources:
            expect(self.page.get_by_text(self.words(source)).first).to_be_visible()

    def seen(self, name: str, *, narrow: bool = False) -> None:
        """The page fits, speaks its reader's language, breaks no rule and had nothing refused; `narrow`: on a telephone too."""
        lang = self.page.evaluate("document.documentElement.lang")
        assert lang == self.locale.lower(), f"{name}: {lang}"
        for width in (WIDE, NARROW) if narrow else (WIDE,):
            self.tab.size(width)
            self.tab.sound(f"desk-{name}-{self.locale}-{width}")
        self.tab.size(WIDE)
