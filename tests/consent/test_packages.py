"""The package of an access request: made over many transactions, read when complete, gone when expired."""

import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.utils import translation

from consent import edge
from consent.programs.tenancy import tenant
from consent.rights import fulfilment, own_holders, packages, page, runs, table, tasks
from consent.rights.models import Package
from consent.rights.own_holders import RequestHolder
from consent.vault.models import Subject
from tests.cast import Program, now
from tests.consent.desk import request_row
from tests.consent.rights import (
    KEPT,
    Working,
    carry_out,
    file,
    lively,
    overdue,
    package_of,
    sections,
    subject_of,
)
from tracking.personal_data import EventHolder


def test_an_access_package_has_every_row_of_one_subject_only(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    pseudonym = lively(program)
    lively(program, "bob")
    verification = {"method": "login_code", "at": now().isoformat(), "evidence": {"ticket": "T-17"}}
    filed = file(program, "access", verification=verification)
    answer = carry_out(program, as_worker, filed)
    assert answer["state"] == "completed"
    document = package_of(program, filed)
    assert (document["request_id"], document["subject_id"]) == (filed["request_id"], pseudonym)
    assert [holder["holder"] for holder in document["holders"]] == [holder["holder"] for holder in answer["holders"]]
    found = sections(document)
    assert {row["event_id"] for row in found["events"]} == {f"alice-{place}" for place in range(6)}
    assert {(row["name"], row["page"]) for row in found["events"]} == {("page_view", "pages/index")}
    assert found["events"][0]["properties"] == {"referrer_page": "pages/home"}
    assert {row["record_id"] for row in found["events"]} == {
        row["record_id"] for row in found["records"] if row["purpose"] == "analytics"
    }
    assert {row["name"]: row["value"] for row in found["attributes"]} == {"nickname": "小艾", "city": "杭州"}
    assert [row["state"] for row in found["records"]] == ["given", "given", "refused"]
    assert found["records"][0]["evidence"]["evidence"] == {"button_id": "agree"}
    assert [(row["kind"], row["value"]) for row in found["identifiers"]] == [("openid", "alice")]
    assert found["requests"][0]["asked"]["verification"]["evidence"] == {"ticket": "T-17"}
    affected = {holder["holder"]: holder["affected"] for holder in answer["holders"]}
    assert affected["tracking.events"] == 6
    assert affected["consent.profile"] == 2
    assert "bob" not in str(document)


def test_a_package_is_sealed(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    lively(program)
    carry_out(program, as_worker, file(program, "access", verification={"method": "canary", "at": now().isoformat()}))
    for canary in ("alice", "小艾", "canary", "page_view"):
        for stored, column in (("package_part", "sealed"), ("request_subject", "sealed")):
            found = owner.execute(
                f"SELECT count(*) FROM {stored} WHERE position(%s in {column}) > 0", [canary.encode()]
            )
            assert found.fetchone() == (0,)


def test_a_package_of_many_parts_is_one_document(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """The export is read over several transactions, and a run begun anew replaces what the first has left."""
    alice = subject_of(owner, lively(program))
    _many_events(owner, program, alice, 4000)
    filed = file(program, "access")
    request_id = uuid.UUID(filed["request_id"])
    with as_worker():
        first = runs.claim(program.id, request_id, lease=timedelta(0))
        assert first is not None
        started = fulfilment._exporting(edge.vault(), first, EventHolder(), KEPT)
        for _ in range(2):
            with runs.step(first):
                assert next(started) > 0
    assert carry_out(program, as_worker, filed)["state"] == "completed"
    row = owner.execute("SELECT count(*) FROM package_part").fetchone()
    assert row is not None
    assert row[0] > 4
    events = sections(package_of(program, filed))["events"]
    assert len(events) == len({row["event_id"] for row in events}) == 4006


def test_all_requests_are_told_however_many_pages_they_take(
    program: Program, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_holders, "PAGE", 2)
    program.decide("alice")
    for kind in ("access", "copy", "rectification", "explanation"):
        request_row(program, "alice", kind, state="in_review")
    filed = file(program, "portability", recipient={"name": "Canary Ltd"})
    with tenant(program.id):
        subject = Subject.objects.get()
        rows = list(RequestHolder().export(vault=edge.vault(), subject=subject))
    told = [row for section, row in rows if section == "requests"]
    assert [row["kind"] for row in told] == ["access", "copy", "rectification", "explanation", "portability"]
    assert (told[-1]["asked"]["recipient"], str(told[-1]["request_id"])) == (
        {"name": "Canary Ltd"},
        filed["request_id"],
    )


def _many_events(
    owner: psycopg.Connection, program: Program, subject_id: int, count: int, *, like: str = "alice-0"
) -> None:
    """Copies of one of the subject's events on its day."""
    owner.execute("SELECT set_config('zq.program', %s, false)", [str(program.id)])
    owner.execute(
        "INSERT INTO event (subject_id, consent_record_id, type_id, page_id, occurred_at, corrected_at, received_at, day,"
        " event_id, properties) SELECT subject_id, consent_record_id, type_id, page_id, occurred_at, corrected_at,"
        " received_at, day, 'copy-' || n, properties FROM event, generate_series(1, %s) n"
        " WHERE subject_id = %s AND event_id = %s",
        [count, subject_id, like],
    )


@pytest.mark.longest
def test_a_package_takes_no_more_memory_for_more_events(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    """Made, read as JSON, as a page and as a table: 200,000 events pass through what 20,000 do."""
    peaks = {}
    for openid, count in (("alice", 20_000), ("bob", 200_000)):
        subject = subject_of(owner, lively(program, openid))
        _many_events(owner, program, subject, count, like=f"{openid}-0")
        filed = file(program, "access", openid)
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        assert carry_out(program, as_worker, filed)["state"] == "completed"
        with tenant(program.id):
            package = Package.objects.get(request_id=filed["request_id"])
        for stream in (packages.stream, page.stream, table.stream):
            assert sum(len(piece) for piece in stream(edge.vault(), package)) > 100 * count
        peaks[openid] = _peak_kib()
    assert peaks["bob"] < peaks["alice"] + 4 * 1024, peaks


def _peak_kib() -> int:
    """The most memory this process has had."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0])


def test_a_package_that_is_being_made_does_not_expire(
    program: Program, owner: psycopg.Connection, as_worker: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long its holders could not go on: done runs are not done again."""
    lively(program)
    filed = file(program, "access")

    def away(self: RequestHolder, **more: Any) -> Iterator[Any]:
        raise OSError

    with monkeypatch.context() as patched:
        patched.setattr(RequestHolder, "export", away)
        assert carry_out(program, as_worker, filed)["state"] == "in_progress"
    owner.execute("UPDATE package SET expires_at = now()")
    with as_worker():
        tasks.housekeep()
    overdue(owner)
    assert carry_out(program, as_worker, filed)["state"] == "completed"
    assert {row["name"] for row in sections(package_of(program, filed))["attributes"]} == {"city", "nickname"}


def test_a_package_expires_and_is_erased(program: Program, owner: psycopg.Connection, as_worker: Working) -> None:
    lively(program)
    filed = file(program, "access")
    carry_out(program, as_worker, filed)
    with tenant(program.id):
        package = Package.objects.get()
    assert package.expires_at > now() + KEPT - timedelta(minutes=1)
    owner.execute("UPDATE package SET expires_at = now()")
    with pytest.raises(packages.PackageExpired):
        packages.stream(edge.vault(), package)
    with as_worker():
        tasks.housekeep()
    assert owner.execute("SELECT (SELECT count(*) FROM package), (SELECT count(*) FROM package_part)").fetchone() == (
        0,
        0,
    )
    with pytest.raises(packages.PackageExpired):
        packages.stream(edge.vault(), package)


@pytest.mark.parametrize(
    ("locale", "title"), [("zh-Hans", "资料"), ("zh-Hant-TW", "资料"), ("en-GB", "Profile"), ("qx-abcdefgh", "Profile")]
)
def test_a_package_is_in_a_language_we_have(
    program: Program, as_worker: Working, monkeypatch: pytest.MonkeyPatch, locale: str, title: str
) -> None:
    activated: list[str] = []
    override = translation.override

    def noting(language: str) -> translation.override:
        activated.append(language)
        return override(language)

    monkeypatch.setattr(translation, "override", noting)
    program.decide("alice")
    filed = file(program, "access", locale=locale)
    carry_out(program, as_worker, filed)
    assert set(activated) <= {"zh-hans", "en"}
    assert title in {holder["title"] for holder in package_of(program, filed)["holders"]}


def test_a_package_is_not_read_before_it_is_complete(
    program: Program, owner: psycopg.Connection, as_worker: Working
) -> None:
    lively(program)
    filed = file(program, "access")
    owner.execute("UPDATE holder_run SET not_before = now() + interval '1 hour' WHERE holder = 'consent.subject'")
    carry_out(program, as_worker, filed)
    with tenant(program.id):
        package = Package.objects.get()
    with pytest.raises(packages.PackageIncomplete):
        packages.stream(edge.vault(), package)
