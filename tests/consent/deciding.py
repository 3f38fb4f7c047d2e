"""What an officer decides on requests, as the admin's pages take it, and what came of it."""

from typing import Any

import psycopg

from tests.cast import Program
from tests.consent.desk import Desk

TEXT = "我们无法确认您的身份。请携带证件到门店办理。"


def page(filed: Any, decision: str) -> str:
    return f"consent/subjectrequest/{filed['request_id']}/{decision}/"


def reject(desk: Desk, filed: Any, reason: str = "identity_not_verified", text: str = TEXT) -> str:
    return told(desk, page(filed, "reject"), reason=reason, text=text)


def approve(desk: Desk, filed: Any) -> str:
    return told(desk, page(filed, "approve"))


def extend(desk: Desk, filed: Any, days: int = 5, reason: str = "verification") -> str:
    return told(desk, page(filed, "extend"), working_days=days, reason=reason)


def told(desk: Desk, path: str, **given: Any) -> str:
    """What the officer is told after a POST."""
    response = desk.post(path, **given)
    assert response.status_code == 302, response.content.decode()
    *_, message = response.wsgi_request._messages
    return str(message)


def take_back(program: Program, filed: Any) -> Any:
    return program.post(f"requests/{filed['request_id']}/withdraw", None)


def audited(owner: psycopg.Connection, filed: Any) -> list[tuple[Any, ...]]:
    return owner.execute(
        "SELECT action, actor, details FROM audit_entry WHERE target = %s ORDER BY id",
        [f"request:{filed['request_id']}"],
    ).fetchall()


def download(desk: Desk, filed: Any, form: str = "json") -> Any:
    """What an officer gets who asks for the request's package: the file, or a way back to the request."""
    path = f"consent/subjectrequest/{filed['request_id']}/package/"
    return desk.post(path, form=form, reason="delivery")
