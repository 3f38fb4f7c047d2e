"""A browser without a script on the data subject's own pages, and the links that open them."""

import re
from typing import Any

from django.test import Client

from tests.cast import Program

HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)"')


class Browser:
    """Follows links and posts the forms that a page has, with their hidden fields."""

    def __init__(self) -> None:
        self.client = Client(enforce_csrf_checks=True, headers={"Accept-Language": "en"})
        self.page: Any = None

    def get(self, path: str) -> str:
        self.page = self.client.get(path, follow=True)
        return self.text

    def post(self, path: str, **fields: str | list[str]) -> str:
        self.page = self.client.post(path, fields, follow=True)
        return self.text

    def press(self, path: str, **fields: str | list[str]) -> str:
        """A form of the page shown, with its token; `fields`: what its button and its own inputs say."""
        hidden = dict(HIDDEN.findall(self.text))
        kept = {name: value for name, value in hidden.items() if name == "csrfmiddlewaretoken" or name == "notice"}
        return self.post(path, **(kept | fields))

    @property
    def text(self) -> str:
        return str(self.page.content.decode())

    @property
    def status(self) -> int:
        return int(self.page.status_code)


def link(program: Program, openid: str = "alice", **more: Any) -> str:
    """The path of a link."""
    response = program.post("portal-sessions", {"subject": {"openid": openid}, "locale": "en"} | more)
    assert response.status_code == 201, response.content
    url: str = response.json()["url"]
    assert url.startswith("http://testserver/portal/open/")
    return url.removeprefix("http://testserver")


def opened(program: Program, openid: str = "alice", **more: Any) -> Browser:
    browser = Browser()
    browser.post(link(program, openid, **more))
    assert browser.status == 200, browser.text
    return browser


def state(program: Program, purpose: str = "analytics", openid: str = "alice") -> str:
    body = {"subject": {"openid": openid}, "purposes": [purpose]}
    return str(program.post("consents/status", body).json()[0]["state"])
