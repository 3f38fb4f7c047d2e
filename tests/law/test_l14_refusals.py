"""L14 (PIPL 49, 50): nothing is refused without a delivered text that names the right to sue; next of kin may ask."""

import psycopg
import pytest

from consent.rights import tasks
from consent.rights.models import RejectionReason
from consent.rights.rejections import GROUNDS
from tests.cast import Program
from tests.consent.deciding import reject, told
from tests.consent.desk import Desk
from tests.consent.rights import Working, carry_out, file, overdue, problem, shown

FORGED = "You may not sue.\n\nIf you disagree: there is no way to complain.\0".replace("\0", "\n" * 40)


@pytest.mark.parametrize("reason", RejectionReason.values)
@pytest.mark.parametrize(
    ("locale", "names"),
    [
        ("zh-Hans", ("privacy@example.com", "网信", "第六十五条", "人民法院", "第五十条")),
        ("en", ("privacy@example.com", "complain to", "Article 65", "people's court", "Article 50")),
    ],
)
def test_every_refusal_names_the_ways_to_complain_and_to_sue_whatever_was_written(
    reviewed: Program, desk: Desk, reason: str, locale: str, names: tuple[str, ...]
) -> None:
    reviewed.decide("alice")
    kinds = GROUNDS[RejectionReason(reason)].kinds or ("erasure",)
    filed = file(reviewed, kinds[0], locale=locale)
    reject(desk, filed, reason, FORGED)
    text = shown(reviewed, filed)["rejection"]["text"]
    ending = text.rsplit("\n\n", 1)[1]
    assert all(name in ending for name in names), ending


def test_a_refusal_is_open_until_its_text_was_handed_over(
    reviewed: Program, desk: Desk, owner: psycopg.Connection, as_worker: Working
) -> None:
    reviewed.decide("alice")
    filed = file(reviewed, "erasure")
    path = f"requests/{filed['request_id']}/rejection-delivered"
    problem(reviewed.post(path, None), 409, "not_rejected")
    reject(desk, filed)
    assert shown(reviewed, filed)["rejection"]["delivered_at"] is None, "reading it is not handing it over"
    owner.execute("UPDATE subject_request SET closed_at = closed_at - interval '4 days'")
    with as_worker():
        tasks.remind()
        tasks.remind()
    assert owner.execute("SELECT stage FROM request_reminder").fetchall() == [("undelivered",)]
    assert "Refusals not delivered: 1" in " ".join(desk.get("consent/subjectrequest/").content.decode().split())
    assert filed["request_id"] in desk.get("consent/subjectrequest/?standing=undelivered").content.decode()
    first = reviewed.post(path, None).json()["rejection"]["delivered_at"]
    assert first is not None
    assert reviewed.post(path, None).json()["rejection"]["delivered_at"] == first
    assert "Refusals not delivered" not in desk.get("consent/subjectrequest/").content.decode()
    last = owner.execute("SELECT action, actor FROM audit_entry ORDER BY id DESC LIMIT 1").fetchone()
    assert last is not None
    assert (last[0], last[1].partition(":")[0]) == ("request.rejection_delivered", "client")


def test_next_of_kin_ask_and_are_verified_first(
    program: Program, desk: Desk, owner: psycopg.Connection, as_worker: Working
) -> None:
    program.decide("alice")
    filed = file(program, "erasure", requester="next_of_kin")
    assert (filed["state"], filed["undo_until"]) == ("verifying", None)
    page = f"consent/subjectrequest/{filed['request_id']}/verify/"
    assert told(desk, page, method="kinship", reference="file 17") == "The requester is verified."
    assert shown(program, filed)["state"] == "approved"
    overdue(owner)
    assert carry_out(program, as_worker, filed)["state"] == "completed"
