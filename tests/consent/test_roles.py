"""What each role may do: every page of the admin, as every role and as a stranger, beside the table of docs/roles.md."""

import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, resolve

from consent import edge
from consent.ledger.models import AuditEntry, Disclosure
from consent.notices.models import Notice, NoticeDraft, Purpose
from consent.officers import access, accounts, roles
from consent.officers.models import AccountEntry
from consent.officers.roles import ROLES
from consent.programs.models import ApiClient, ApiKey, Controller, OfficerAssignment
from consent.programs.tenancy import tenant
from consent.records.models import ConsentRecord
from consent.rights import legal_holds, review
from consent.rights.models import HolderRun, HoldGround, LegalHold, MinorAccess, ReviewRule, RunStatus
from consent.webhooks import endpoints
from consent.webhooks.models import WebhookEndpoint, WebhookMessage
from reports.models import ReportRun, SavedReport
from tests import stack
from tests.cast import Program, now
from tests.consent.desk import PASSWORD, Desk, access_row, disclosure_row, holder, officer, request_row, superuser
from tests.consent.processing import incident, mechanism, processor, risk_run
from tracking.models import EventType

TABLE = Path(__file__).resolve().parents[2] / "docs" / "roles.md"
LINE = re.compile(r"\| `([^`]+)`[^|]*\| ([a-z_, ]+) \| ([a-z_, ]+) \|")
PLACEHOLDER = re.compile(r"<[^>]+>")
CODES = [role.code for role in ROLES]
EVERYBODY = {*CODES, "superuser"}
REFUSED = {403, 404, 405}
FORMS = ("_add", "_change", "_delete")


@cache
def table() -> dict[str, tuple[set[str], set[str]]]:
    """Address -> (who sees, who changes), `stranger` among them."""
    lines = LINE.findall(TABLE.read_text())
    told = {address.removeprefix("/"): (_who(see), _who(change)) for address, see, change in lines}
    assert len(told) == len(lines), "an address has two lines"
    return told


def _who(named: str) -> set[str]:
    if named == "nobody":
        return set()
    if named in ("all", "anybody"):
        return EVERYBODY | ({"stranger"} if named == "anybody" else set())
    found = {"superuser", *named.split(", ")}
    assert found <= EVERYBODY, named
    return found


def addresses(patterns: Any = None, prefix: str = "") -> Iterator[tuple[str, str | None]]:
    """(address below /admin/ as the resolver has it, name) of every page."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        address = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, address)
        elif isinstance(pattern, URLPattern) and address.startswith("admin/"):
            yield address.removeprefix("admin/"), pattern.name


def pages() -> list[tuple[str, str]]:
    """(address, name), the apps' first pages one by one; without what matches all that nothing else does."""
    found = []
    for address, name in addresses():
        if name == "app_list":
            apps = re.search(r"\(\?P<app_label>([a-z|]+)\)", address)
            assert apps is not None
            found += [(f"{app}/", name) for app in apps[1].split("|")]
        elif "(?P<url>" not in address:
            found.append((address, name or ""))
    return sorted(set(found))


def line_of(address: str) -> str | None:
    """The line of the table that an address goes by."""
    plain = PLACEHOLDER.sub("<id>", address)
    if plain in table():
        return plain
    fits = [line for line in table() if line.endswith("…") and plain.startswith(line[:-1])]
    return max(fits, key=len, default=None)


def may(address: str, name: str) -> tuple[set[str], set[str]]:
    """Who sees the page, and who changes something by it."""
    line = line_of(address)
    assert line is not None, f"docs/roles.md says nothing of {address}"
    see, change = table()[line]
    if line.endswith("…"):
        if name.endswith(("_add", "_delete")):
            see = change
        if name.endswith(("_changelist", "_history")):
            change = set()
    return see, change


def test_the_table_has_every_page_and_no_other() -> None:
    missing = [address for address, _ in pages() if line_of(address) is None]
    assert not missing, f"say in docs/roles.md who may see them: {missing}"
    used = {line_of(address) for address, _ in pages()}
    assert not set(table()) - used, "lines of pages that are not there"


@pytest.fixture
def rows(program: Program) -> Callable[[str], Any]:
    """The id of a row, by what stands before it in an address, or by all of it: of each table one, and an erasure of requests."""
    asked = request_row(program, "alice", kind="erasure", state="in_review")
    disclosure_row(program, asked)
    accounts.record(actor="test", action="account.made", account=accounts.NOBODY)
    target = officer("target", program, may_see=()).user
    program.post("saved-reports", {"name": "mine", "metric": "activity", "question": {"range": "this_month"}})
    program.post("report-runs", {"metric": "activity", "range": "this_month"})
    review.set_review(program_id=program.id, kind="cancellation", on=True, by="test")
    kept = {"processor": processor(program), "mechanism": mechanism(program), "incident": incident(program)}
    kept["riskrun"] = risk_run(program)
    told = [_endpoint(program) for _ in range(2)]
    program.decide("dee")
    with tenant(program.id):
        WebhookEndpoint.objects.filter(id=told[1]).update(active=False)
        message = WebhookMessage.objects.order_by("created_at").first()
        assert message is not None
        WebhookMessage.objects.filter(subject_id=message.subject_id, id=message.id).update(dead_at=now())
        draft = NoticeDraft.objects.create(program_id=program.id, name="next", source="", edited_by="test")
        hold = legal_holds.hold(
            program_id=program.id, holder="tracking.events", ground=HoldGround.OTHER, law="a law",
            until=now().date() + timedelta(days=2), request_id=None, by="test",
        )  # fmt: skip
        first: dict[Any, Any] = {
            model: model.objects.values_list("pk", flat=True).first()
            for model in (AuditEntry, Disclosure, Notice, Purpose, ApiClient, ApiKey, ConsentRecord, ReviewRule)
        } | {
            model: model.objects.values_list("pk", flat=True).first()
            for model in (SavedReport, ReportRun, EventType, AccountEntry, Controller)
        }
    first |= {
        MinorAccess: access_row(program).pk,
        NoticeDraft: draft.pk,
        LegalHold: hold.pk,
        User: target.pk,
        OfficerAssignment: _assigned(target),
    }
    by_name: dict[str, Any] = {f"{model._meta.app_label}/{model._meta.model_name}": key for model, key in first.items()}
    with tenant(program.id):
        stopped = request_row(program, "dora", state="failed", closed_at=now()).runs.get(stage=10)
        HolderRun.objects.filter(pk=stopped.pk).update(status=RunStatus.FAILED, finished_at=now())
    by_name |= {f"consent/{name}": row.pk for name, row in kept.items()}
    by_name |= {
        "consent/subjectrequest": asked.pk,
        "consent/subjectrequest/runs": stopped.pk,
        "consent/miniprogram": program.id,
        "consent/webhookendpoint": told[0],
        "consent/webhookendpoint/<uuid:object_id>/on/": told[1],
        "consent/webhookmessage": message.id,
        "auth/group": Group.objects.get(name="role:viewer").pk,
        "reports/report": "activity",
        "consent/subjectrequest/<uuid:object_id>/package/": request_row(program, "bob", kind="access").pk,
        "consent/subjectrequest/<uuid:object_id>/rectified/": request_row(program, "carol", kind="rectification").pk,
        "consent/subjectrequest/<uuid:object_id>/transfer/": request_row(
            program, "erin", kind="portability", unmet=[], handler_named=True
        ).pk,
        "reports/savedreport/save": "activity",
        "reports/reportrun/start": "activity",
    }
    assert all(by_name.values()), by_name
    return by_name.get


def _endpoint(program: Program) -> Any:
    asked: dict[str, Any] = {
        "url": "http://127.0.0.1:9/",
        "events": ["consent.changed"],
        "acknowledges": False,
        "plain": True,
    }
    return endpoints.add(vault=edge.vault(), program_id=program.id, by="test", **asked)[0].id


def _assigned(user: User) -> int:
    return OfficerAssignment.objects.get(user=user).pk


def at(address: str, rows: Callable[[str], Any]) -> str:
    """The address with a row in it."""
    found = PLACEHOLDER.search(address)
    if found is None:
        return address
    row = rows(address) or rows(address[: found.start()].rstrip("/")) or 1
    return at(address.replace(found[0], str(row), 1), rows)


def outcome(response: Any) -> bool:
    """Whether the page was given. Raises AssertionError where that is not clear."""
    if response.status_code == 302:
        led = urlsplit(response.headers["Location"]).path
        assert led != "/admin/program/", "no mini-program is picked"
        return bool(led != "/admin/login/")
    if response.status_code in REFUSED:
        return False
    assert response.status_code == 200, (response.status_code, response.content[:300])
    return True


def who(code: str, program: Program) -> Client:
    if code == "stranger":
        return Client(raise_request_exception=False)
    desk = superuser() if code == "superuser" else holder(code, program)
    return desk.enter(program).client


@pytest.mark.parametrize("code", ["stranger", *CODES, "superuser"])
def test_each_role_may_do_what_the_table_says(program: Program, rows: Callable[[str], Any], code: str) -> None:
    client = who(code, program)
    wrong, forms = [], []
    for address, name in pages():
        if name == "logout":
            continue
        path = f"/admin/{at(address, rows)}"
        see, change = may(address, name)
        if not resolve(path).url_name:
            # Django sends everybody with an account on to the row's page, which then asks.
            assert client.get(path).status_code in {302, 404}
            continue
        if outcome(client.get(path)) != (code in see):
            wrong.append(f"{code} sees {address}: {code not in see}")
        if change or name.endswith(FORMS):
            forms.append((address, name, path, change))
    for address, name, path, change in forms:  # after all were seen: one deletes what another shows
        if outcome(client.post(path, {"program": program.id} if name == "admin_program" else {})) != (code in change):
            wrong.append(f"{code} changes something by {address}: {code not in change}")
    assert not wrong, "\n".join(wrong)


def test_the_roles_are_there_with_all_their_permissions(database: None) -> None:
    for role in ROLES:
        group = Group.objects.get(name=role.group)
        found = {f"{p.content_type.app_label}.{p.codename}" for p in group.permissions.select_related("content_type")}
        assert found == role.permissions


def test_a_migration_puts_a_role_right_again(database: None) -> None:
    group = Group.objects.get(name="role:viewer")
    before = set(group.permissions.all())
    group.permissions.set(Permission.objects.filter(codename="view_package"))
    other = Group.objects.create(name="ours")
    other.permissions.set(Permission.objects.filter(codename="view_notice"))
    stack.manage("migrate", "--verbosity=0")
    assert set(group.permissions.all()) == before
    assert other.permissions.count() == 1
    other.delete()
    roles.put_in_place()
    assert set(Group.objects.values_list("name", flat=True)) == {role.group for role in ROLES}


PERSONS = {
    "incident",
    "subjectrequest",
    "consentrecord",
    "package",
    "disclosure",
    "auditentry",
    "legalhold",
    "minoraccess",
}


@pytest.mark.parametrize("code", ["viewer", "analyst", "administrator"])
def test_these_roles_see_no_person(code: str) -> None:
    (role,) = (role for role in ROLES if role.code == code)
    assert not {name.rpartition("_")[2] for name in role.permissions if "view_" in name} & PERSONS


def test_an_inspector_changes_nothing() -> None:
    (role,) = (role for role in ROLES if role.code == "inspector")
    assert {name.partition(".")[2].partition("_")[0] for name in role.permissions} == {"view"}
    read = {name for one in ROLES if one.code in ("viewer", "analyst", "officer") for name in one.permissions}
    assert {name for name in read if ".view_" in name} <= role.permissions


def test_an_officer_approves_what_does_not_erase(program: Program) -> None:
    access = request_row(program, "alice", kind="access", state="in_review")
    erasure = request_row(program, "bob", kind="erasure", state="in_review")
    desk = holder("officer", program).enter(program)
    for asked, expected in ((access, 200), (erasure, 403)):
        page = f"consent/subjectrequest/{asked.pk}/approve/"
        assert desk.get(page).status_code == expected
        shown = desk.get(f"consent/subjectrequest/{asked.pk}/change/").content.decode()
        assert (page in shown) == (expected == 200)


def test_who_reads_reports_only_is_offered_nothing_to_keep(program: Program) -> None:
    for code, offered in (("inspector", False), ("analyst", True)):
        desk = holder(code, program).enter(program)
        page = desk.get("reports/report/activity/").content.decode()
        assert "activity" in page and ('id="save-form"' in page) == offered


# --- accounts


def account(**given: Any) -> dict[str, Any]:
    """What the form of an account sends."""
    return {"username": "target", "is_active": "on", "expires_at_0": "", "expires_at_1": "", "groups": []} | given


def group(*codes: str) -> list[int]:
    return [Group.objects.get(name=f"role:{code}").pk for code in codes]


def change(desk: Desk, user: User, **given: Any) -> Any:
    seen = access.of(User.objects.get(pk=user.pk)).fingerprint
    return desk.post(f"auth/user/{user.pk}/change/", **account(username=user.username, seen=seen) | given)


@pytest.fixture
def target(database: None) -> User:
    return officer("target", may_see=()).user


def test_an_administrator_makes_an_account_and_gives_it_a_role(program: Program) -> None:
    desk = holder("administrator")
    made = desk.post("auth/user/add/", username="grace", usable_password="true", password1=PASSWORD, password2=PASSWORD)
    assert made.status_code == 302, made.content.decode()
    grace = User.objects.get(username="grace")
    assert grace.is_staff and not grace.is_superuser
    page = desk.get(f"auth/user/{grace.pk}/change/").content.decode()
    assert "Works on requests, finds people" in page
    assert change(desk, grace, groups=group("officer", "analyst")).status_code == 302
    assert {one.name for one in grace.groups.all()} == {"role:officer", "role:analyst"}
    entries = AccountEntry.objects.order_by("id").values_list("actor", "action", "account")
    by, about = f"officer:{desk.user.pk}", f"officer:{grace.pk}"
    assert list(entries) == [(by, "account.made", about), (by, "account.changed", about)]
    latest = AccountEntry.objects.latest("id")
    assert latest.details["roles"] == ["role:analyst", "role:officer"]
    desk.client.cookies["django_language"] = "zh-hans"
    assert "处理请求" in desk.get(f"auth/user/{grace.pk}/change/").content.decode()


def shown(page: str) -> str:
    """The fingerprint within an account's page."""
    (seen,) = re.findall(r'name="seen" value="(\w{64})"', page)
    return str(seen)


def test_a_form_that_was_opened_before_gives_nothing_back_that_another_took(target: User) -> None:
    first, second = holder("administrator"), superuser()
    target.groups.set(group("officer", "analyst"))
    stale = shown(first.get(f"auth/user/{target.pk}/change/").content.decode())
    assert change(second, target, groups=group("analyst"), is_active="", is_staff="on").status_code == 302
    for seen in ({"seen": stale}, {"seen": ""}):
        refused = change(first, target, groups=group("officer", "analyst"), first_name="Grace", **seen)
        page = refused.content.decode()
        assert refused.status_code == 200 and "This account was changed meanwhile" in page
        assert "active: no; roles: Analyst; ends: –" in page
        assert 'value="Grace"' in page, "what was entered stands there"
        target.refresh_from_db()
        assert (target.is_active, target.first_name) == (False, "")
        assert [one.name for one in target.groups.all()] == ["role:analyst"]
    again = change(first, target, groups=group("analyst"), is_active="", first_name="Grace", seen=shown(page))
    assert again.status_code == 302
    target.refresh_from_db()
    assert (target.is_active, target.first_name) == (False, "Grace")


def test_an_administrator_makes_nobody_a_superuser(target: User) -> None:
    desk = holder("administrator")
    given = {"is_superuser": "on", "user_permissions": list(Permission.objects.values_list("pk", flat=True)[:3])}
    assert change(desk, target, **given).status_code == 302
    target.refresh_from_db()
    assert not target.is_superuser and not target.user_permissions.exists()


def test_an_administrator_touches_neither_their_own_account_nor_a_superusers(database: None) -> None:
    desk, root = holder("administrator"), superuser().user
    for user in (desk.user, root):
        assert desk.get(f"auth/user/{user.pk}/change/").status_code == 200
        assert change(desk, user, groups=group("senior_officer")).status_code == 403
        assert desk.get(f"auth/user/{user.pk}/password/").status_code == 403
        assert not user.groups.filter(name="role:senior_officer").exists()


def test_some_roles_go_with_no_other_and_an_inspector_ends(target: User) -> None:
    desk = holder("administrator")
    for given, told in (
        ({"groups": group("administrator", "officer")}, "goes with no other"),
        ({"groups": group("inspector")}, "ends on a day"),
    ):
        response = change(desk, target, **given)
        assert response.status_code == 200 and told in response.content.decode()
        assert not target.groups.exists()
    until = date.today() + timedelta(days=30)  # noqa: DTZ011
    ends = {"expires_at_0": until.isoformat(), "expires_at_1": "12:00:00"}
    assert change(desk, target, groups=group("inspector"), **ends).status_code == 302
    assert accounts.ended(target, now=now() + timedelta(days=31)) and not accounts.ended(target, now=now())


def test_an_account_that_has_ended_is_refused_at_once_and_signs_in_nowhere(program: Program) -> None:
    desk = holder("inspector", program).enter(program)
    assert desk.get().status_code == 200
    accounts.set_end(desk.user.pk, edge.now() - timedelta(seconds=1))
    assert desk.get().headers["Location"].startswith("/admin/login/")
    given = {"username": "inspector", "password": PASSWORD}
    ended = Client().post("/admin/login/", given)
    assert ended.status_code == 200
    wrong = Client().post("/admin/login/", given | {"password": "wrong"})
    assert ended.status_code == wrong.status_code == 200
    assert [str(one.context["errors"]) for one in (ended, wrong)] == [str(ended.context["errors"])] * 2
    accounts.set_end(desk.user.pk, edge.now() + timedelta(hours=1))
    assert Client().post("/admin/login/", given).status_code == 302


def test_roles_are_changed_by_nobody(database: None) -> None:
    root = superuser()
    (key,) = group("viewer")
    page = root.get(f"auth/group/{key}/change/").content.decode()
    assert "Reads settings, notices" in page and 'name="_save"' not in page
    assert root.post(f"auth/group/{key}/change/", name="role:viewer").status_code == 403
    assert root.post(f"auth/group/{key}/delete/", post="yes").status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": str(key), "post": "yes"}
    root.post("auth/group/", **chosen)
    assert Group.objects.filter(pk=key).exists()


def test_mini_programs_are_shown_to_whom_they_are_assigned(program: Program, other: Program) -> None:
    names = {"viewer": {program.id}, "administrator": {program.id, other.id}}
    for code, expected in names.items():
        page = holder(code, program).get("consent/miniprogram/").content.decode()
        assert {one for one in (program.id, other.id) if f"/miniprogram/{one}/change/" in page} == expected


def test_the_number_of_requests_tells_of_no_request(program: Program) -> None:
    asked = [request_row(program, name, kind="erasure") for name in ("alice", "bob")]
    page = holder("viewer", program).enter(program).get("consent/subjectrequest/statistics/").content.decode()
    assert re.search(r"Erasure</td>\s*<td[^>]*>2</td>\s*<td[^>]*>0</td>", page)
    assert not any(str(one.pk) in page for one in asked)
