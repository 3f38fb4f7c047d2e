"""An officer at the admin's pages, and rows for them to look at."""

from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from consent import edge
from consent.admin.base import FORM_FIELD
from consent.admin.tenancy import SESSION_KEY
from consent.ledger.disclosures import disclosed
from consent.ledger.models import Recipient
from consent.officers import second_factor
from consent.programs.models import OfficerAssignment
from consent.programs.tenancy import tenant
from consent.records.models import ConsentRecord
from consent.rights import packages
from consent.rights.models import Guarded, HolderRun, MinorAccess, RequestSubject, RunStatus, SubjectRequest
from consent.vault.models import Subject
from tests.cast import Program, now

PASSWORD = "correct horse battery staple"
SEEN = (
    "subjectrequest",
    "package",
    "consentrecord",
    "notice",
    "purpose",
    "eventtype",
    "apiclient",
    "apikey",
    "auditentry",
    "disclosure",
    "consent_statistics",
    "request_statistics",
)
DECIDES = ("approve_erasure", "change_subjectrequest", "view_reviewrule", "add_reviewrule", "delete_reviewrule")
LISTS = (
    "consent/subjectrequest",
    "consent/consentrecord",
    "consent/notice",
    "consent/purpose",
    "consent/apiclient",
    "consent/apikey",
    "consent/auditentry",
    "consent/disclosure",
    "tracking/eventtype",
)
# What officers change, each tested by itself.
CHANGED_LISTS = (
    "consent/legalhold",
    "consent/reviewrule",
    "consent/noticedraft",
    "reports/savedreport",
    "reports/reportrun",
    "consent/webhookendpoint",
    "consent/webhookmessage",
    "consent/minoraccess",
    "consent/processor",
    "consent/mechanism",
    "consent/incident",
    "consent/riskrun",
)
ADMINISTRATORS_LISTS = (
    "consent/controller",
    "consent/miniprogram",
    "consent/officerassignment",
    "auth/user",
    "auth/group",
    "consent/accountentry",
)


def sign_in(client: Client, user: User) -> None:
    """As with the password, whose hash takes half a second on purpose; and with the second factor, by its page."""
    client.force_login(user)
    code = second_factor.handed_out(edge.vault().keyring, user.pk, now=now())
    response = client.post("/admin/second-factor/", {"code": code})
    assert response.status_code == 302, response.content


class Tab(Client):
    """A browser whose forms were all opened in the mini-program that is entered."""

    def post(self, path: str, data: Any = None, *args: Any, **more: Any) -> Any:
        return super().post(path, {FORM_FIELD: self.session.get(SESSION_KEY, "")} | (data or {}), *args, **more)


@dataclass
class Desk:
    """A signed-in officer's browser; `path` below /admin/."""

    user: User
    client: Client = field(
        default_factory=lambda: Tab(raise_request_exception=False, headers={"accept-language": "en"})
    )

    def __post_init__(self) -> None:
        sign_in(self.client, self.user)

    def get(self, path: str = "", **more: Any) -> Any:
        return self.client.get(f"/admin/{path}", **more)

    def post(self, path: str, **data: Any) -> Any:
        return self.client.post(f"/admin/{path}", data)

    def strict(self) -> Client:
        """The same session where a form without its token is refused."""
        client = Tab(enforce_csrf_checks=True)
        client.cookies["sessionid"] = self.client.cookies["sessionid"].value
        return client

    def enter(self, program: Program) -> "Desk":
        response = self.post("program/", program=program.id)
        assert response.status_code == 302, response.content
        return self


def officer(name: str, *programs: Program, may_see: tuple[str, ...] = SEEN, may: tuple[str, ...] = ()) -> Desk:
    """Staff with the permissions of an officer, assigned to the mini-programs; `may`: codenames of more."""
    user = User.objects.create(username=name, password=_stored_password(), is_staff=True)
    codenames = [*(f"view_{model}" for model in may_see), *may]
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    for program in programs:
        OfficerAssignment.objects.create(user=user, program_id=program.id)
    return Desk(user)


def account(role: str, *programs: Program, name: str = "") -> User:
    """Staff with a role of consent.officers.roles and nothing else, assigned to the mini-programs."""
    user = User.objects.create(username=name or role, password=_stored_password(), is_staff=True)
    user.groups.set(Group.objects.filter(name=f"role:{role}"))
    for program in programs:
        OfficerAssignment.objects.create(user=user, program_id=program.id)
    return user


def holder(role: str, *programs: Program) -> Desk:
    """Such an account, signed in."""
    return Desk(account(role, *programs))


def superuser(name: str = "root") -> Desk:
    made = User.objects.create(username=name, password=_stored_password(), is_staff=True, is_superuser=True)
    return Desk(made)


@cache
def _stored_password() -> str:
    """PASSWORD as accounts keep it. To make that takes half a second, on purpose."""
    return make_password(PASSWORD)


def request_row(
    program: Program, openid: str, kind: str = "access", state: str = "in_progress", **more: Any
) -> SubjectRequest:
    """A request of a subject who has decided before, with a run done and one pending; due in 15 days."""
    subject = subject_of(program, openid)
    received = more.pop("received_at", now())
    with tenant(program.id):
        made = SubjectRequest.objects.create(
            **{
                "program_id": program.id,
                "kind": kind,
                "state": state,
                "locale": "zh-Hans",
                "received_at": received,
                "due_at": received + timedelta(days=15),
            }
            | more
        )
        for stage, holder, status in (
            (10, "tracking.events", RunStatus.DONE),
            (50, "consent.records", RunStatus.PENDING),
        ):
            HolderRun.objects.create(
                request=made, program_id=program.id, holder=holder, stage=stage, status=status, not_before=received
            )
        RequestSubject.objects.create(
            subject=subject, request_id=made.pk, program_id=program.id, kind=kind, scope=str(made.pk)
        )
    return made


def disclosure_row(program: Program, asked: SubjectRequest) -> None:
    """In the log of disclosures: the request's package was handed over."""
    with tenant(program.id):
        disclosed(
            program_id=program.id,
            recipient=Recipient.SUBJECT,
            ground="access.delivery",
            fields=["consent.profile"],
            subjects=1,
            target=f"request:{asked.pk}",
            by="test",
        )


def access_row(program: Program) -> MinorAccess:
    """Somebody's values, which an officer asks to see as if they were a minor's: the newest subject's."""
    with tenant(program.id):
        return MinorAccess.objects.create(
            subject=Subject.objects.latest("id"),
            program_id=program.id,
            what=Guarded.VALUES,
            reason="identity",
            asked_by="officer:0",
            asked_at=now(),
        )


def subject_of(program: Program, openid: str) -> Subject:
    """The subject, made by a consent of theirs."""
    answer = program.decide(openid)
    record = answer["records"][0]["record_id"]
    with tenant(program.id):
        return ConsentRecord.objects.select_related("subject").get(record_id=record).subject


def package_for(program: Program, asked: SubjectRequest, *, kept: timedelta = timedelta(days=7)) -> None:
    """A complete package, with no holder's rows in it."""
    with tenant(program.id):
        linked = RequestSubject.objects.select_related("subject").get(request_id=asked.pk)
        packages.complete(edge.vault(), asked, linked.subject, kept=kept)
