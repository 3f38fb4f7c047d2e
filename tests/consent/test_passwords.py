"""An account's password is known to whoever uses the account, and to nobody else; its recovery codes can be made anew."""

import re

from django.contrib.auth.models import Group, User
from django.test import Client

from consent import edge
from consent.officers import second_factor
from consent.officers.models import AccountEntry, RecoveryCode
from consent.programs.models import OfficerAssignment
from tests.cast import Program, now
from tests.consent.desk import PASSWORD, Desk, holder, sign_in, superuser

CHOOSE, OWN = "/admin/password_change/", "a sentence of one's own 7"


def made(desk: Desk, name: str = "grace") -> User:
    """An account, by the page of whoever makes accounts."""
    response = desk.post("auth/user/add/", username=name, password1=PASSWORD, password2=PASSWORD)
    assert response.status_code == 302, response.content
    return User.objects.get(username=name)


def chosen(client: Client, old: str, new: str) -> int:
    return client.post(CHOOSE, {"old_password": old, "new_password1": new, "new_password2": new}).status_code


def entries(action: str) -> list[tuple[str, str]]:
    return list(AccountEntry.objects.filter(action=action).values_list("actor", "account"))


def test_who_was_given_a_password_chooses_another_before_anything_else(database: None) -> None:
    user = made(holder("administrator"))
    client = Client(headers={"accept-language": "en"})
    sign_in(client, user)
    for page in ("", "consent/notice/", "second-factor/recovery/", "password_change/done/"):
        assert client.get(f"/admin/{page}").headers.get("Location") == CHOOSE, page
    assert "Somebody else set this password" in client.get(CHOOSE).content.decode()
    assert chosen(client, PASSWORD, PASSWORD) == 200, "the same is no other one"
    assert client.get("/admin/").headers["Location"] == CHOOSE
    assert chosen(client, PASSWORD, OWN) == 302
    assert client.get("/admin/").status_code == 200
    assert "Somebody else" not in client.get(CHOOSE).content.decode()
    assert entries("password.chosen") == [(f"officer:{user.pk}", f"officer:{user.pk}")]


def test_a_password_that_somebody_else_sets_later_is_none_to_stay(database: None) -> None:
    administrator, theirs = holder("administrator"), holder("viewer")
    assert theirs.get().status_code == 200
    page = f"auth/user/{theirs.user.pk}/password/"
    response = administrator.post(page, password1=OWN, password2=OWN, usable_password="true")
    assert response.status_code == 302, response.content
    theirs.user.refresh_from_db()
    again = Client()
    sign_in(again, theirs.user)
    assert again.get("/admin/").headers["Location"] == CHOOSE


def test_one_s_own_password_is_one_s_own(database: None) -> None:
    root = superuser()
    response = root.post(f"auth/user/{root.user.pk}/password/", password1=OWN, password2=OWN, usable_password="true")
    assert response.status_code == 302
    assert root.get().status_code == 200


def test_recovery_codes_are_made_anew(database: None) -> None:
    desk = holder("viewer")
    assert "0 recovery codes are left" in desk.get("second-factor/recovery/").content.decode()
    assert desk.post("second-factor/recovery/", code="000000").status_code == 200
    assert RecoveryCode.objects.count() == 0
    first = renewed(desk)
    assert len(first) == RecoveryCode.objects.count() == 10
    assert "10 recovery codes are left" in desk.get("second-factor/recovery/").content.decode()
    second = renewed(desk, first[0])
    assert not set(first) & set(second)
    assert RecoveryCode.objects.count() == 10
    assert "wrong" in desk.post("second-factor/recovery/", code=first[1]).content.decode()
    assert len(entries("second_factor.codes_renewed")) == 2


def renewed(desk: Desk, code: str = "") -> list[str]:
    code = code or second_factor.handed_out(edge.vault().keyring, desk.user.pk, now=now())
    page = desk.post("second-factor/recovery/", code=code).content.decode()
    return re.findall(r">([A-Z2-7]{4}(?:-[A-Z2-7]{4})+)<", page)


def test_nobody_assigns_themselves(program: Program) -> None:
    desk, other = holder("administrator"), holder("viewer")
    for user, status in ((desk.user, 200), (other.user, 302)):
        answer = desk.post("consent/officerassignment/add/", user=user.pk, program=program.id)
        assert answer.status_code == status, answer.content
    assert list(OfficerAssignment.objects.values_list("user", flat=True)) == [other.user.pk]
    assert Group.objects.filter(user=desk.user, name="role:administrator").exists()


def test_an_old_password_is_not_tried_on_and_on(database: None) -> None:
    """As at the sign-in: five wrong ones, and then none is looked at for a while."""
    theirs = holder("viewer")
    for _ in range(5):
        assert chosen(theirs.client, "not this one", OWN) == 200
    assert chosen(theirs.client, PASSWORD, OWN) == 200
    page = theirs.client.post(CHOOSE, {"old_password": PASSWORD, "new_password1": OWN, "new_password2": OWN})
    assert "too many wrong passwords" in page.content.decode()
    assert [account for _, account in entries("sign_in.paused")] == [f"officer:{theirs.user.pk}"]
