"""A backup is restored: what was acknowledged since is so again, nobody comes back, and no id is given out twice."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from consent.ledger.sinks import FILE
from tests.cast import event
from tests.faults.serving import Served, served, wait_for

PATIENCE_S = 60.0


@dataclass
class Backend:
    """A mini-program's backend."""

    base_url: str
    key: str
    notice: str

    def post(self, path: str, body: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.post(f"{self.base_url}/api/v1/{path}", json=body, headers=headers, trust_env=False, timeout=30)

    def get(self, path: str) -> Any:
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = httpx.get(f"{self.base_url}/api/v1/{path}", headers=headers, trust_env=False, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def decide(self, openid: str, decision: str = "given", purpose: str = "analytics") -> Any:
        answer = self.post(
            "consents",
            {
                "subject": {"openid": openid},
                "notice": self.notice,
                "locale": "zh-Hans",
                "method": "dialog",
                "act": "single",
                "decisions": [{"purpose": purpose, "decision": decision}],
            },
        )
        assert answer.status_code == 201, answer.text
        return answer.json()

    def file(self, openid: str, kind: str, **more: Any) -> str:
        answer = self.post("requests", {"subject": {"openid": openid}, "kind": kind, "locale": "zh-Hans"} | more)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["request_id"])

    def state(self, openid: str, purpose: str = "analytics") -> str:
        answer = self.post("consents/status", {"subject": {"openid": openid}, "purposes": [purpose]})
        assert answer.status_code == 200, answer.text
        return str(answer.json()[0]["state"])

    def sent(self, openid: str) -> str:
        answer = self.post("events", {"events": [event(openid, uuid.uuid4().hex)]})
        assert answer.status_code == 200, answer.text
        (result,) = answer.json()["results"]
        return str(result.get("code") or result["result"])

    def ended(self, request_id: str) -> str:
        """How a request ends, once it has."""
        wait_for(f"request {request_id}", lambda: self._closed(request_id), PATIENCE_S)
        return str(self.get(f"requests/{request_id}")["state"])

    def _closed(self, request_id: str) -> bool:
        return self.get(f"requests/{request_id}")["state"] not in ("approved", "in_progress")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as running:
        yield running


@pytest.fixture
def backend(stack: Served) -> Backend:
    program = stack.manage(
        *("create_program", "--name", "Shop", "--controller", "Example Retail Ltd"),
        *("--platform", "wechat", "--app-id", "wx0000000000000001"),
    )
    notice = stack.manage("publish_notice", "--program", program, "docs/examples/notice.yaml")
    stack.manage("catalogue", "import", "--program", program, "docs/examples/catalogue.yaml")
    key = stack.manage("create_client", "--program", program, "--scopes", "consents,events,requests")
    return Backend(stack.base_url, key, notice)


def ids(stack: Served) -> dict[str, int]:
    """The highest id of every table that numbers its rows."""
    with stack.owner() as owner:
        named = owner.execute(
            "SELECT s.sequencename, t.relname, a.attname FROM pg_sequences s"
            " JOIN pg_depend d ON d.objid = format('public.%I', s.sequencename)::regclass AND d.deptype IN ('a', 'i')"
            " JOIN pg_class t ON t.oid = d.refobjid JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid"
            " WHERE s.schemaname = 'public'"
        ).fetchall()
        found = {}
        for name, table, column in named:
            row = owner.execute(f"SELECT coalesce(max({column}), 0) FROM {table}".encode()).fetchone()
            assert row is not None
            found[str(name)] = int(row[0])
    return found


def count(stack: Served, statement: str, *parameters: Any) -> int:
    with stack.owner() as owner:
        row = owner.execute(statement.encode(), parameters).fetchone()
        assert row is not None
        return int(row[0])


def replayed(stack: Served, *flags: str) -> Any:
    return json.loads(stack.manage("replay_journal", "--json", *flags, role="worker"))


def verified(stack: Served, origin: str) -> Any:
    """What verify_ledger tells by all checkpoints that were ever published, once one of the log of this name is."""
    published = stack.var / "ledger" / FILE
    wait_for("the log to be published", lambda: f"{origin}\\n" in published.read_text(), PATIENCE_S)
    return json.loads(stack.manage("verify_ledger", "--json", f"--published={published}"))


def enter(stack: Served, folder: Path) -> None:
    """What the steps of a restore have entered again: a notice and a legal hold."""
    program = str(count(stack, "SELECT id FROM program"))
    notice = folder / "notice.yaml"
    notice.write_text(
        Path("docs/examples/notice.yaml").read_text().replace("How this mini-program", "How our mini-program")
    )
    held = ("--holder", "tracking.events", "--ground", "other", "--law", "Law 1", "--until", "2099-01-01")
    number = stack.manage("hold", "add", "--program", program, *held)
    # Nobody is erased less by it in the end.
    stack.manage("hold", "lift", "--program", program, "--hold", number)
    stack.manage("publish_notice", "--program", program, "--effective-at", "2098-01-01T00:00:00+08:00", str(notice))


PEOPLE = ("keeps", "withdraws", "refuses", "objects", "restricts", "leaves", "returns")


@pytest.mark.long
def test_who_withdrew_restricted_objected_or_left_has_done_so_after_a_restore(
    stack: Served, backend: Backend, tmp_path: Path
) -> None:
    pseudonyms = {openid: backend.decide(openid)["subject_id"] for openid in PEOPLE}
    for openid in PEOPLE:
        assert backend.sent(openid) == "stored"
    lifted = backend.file("keeps", "restriction")
    assert backend.ended(lifted) == "completed"
    kept = tmp_path / "kept.dump"
    assert json.loads(stack.manage("backup", "--to", str(kept), "--json"))["bytes"] == kept.stat().st_size
    assert kept.stat().st_mode & 0o777 == 0o600

    # Since the backup.
    assert backend.post(f"requests/{lifted}/withdraw", {}).status_code == 200
    backend.decide("withdraws", "withdrawn")
    backend.decide("refuses", "refused")
    backend.file("objects", "objection", scope={"purposes": ["analytics"]})
    assert backend.ended(backend.file("restricts", "restriction")) == "completed"
    assert backend.ended(backend.file("leaves", "erasure")) == "completed"
    backend.decide("returns", "withdrawn")
    backend.decide("returns")
    for place in range(5):
        backend.decide(f"new-{place}")
    enter(stack, tmp_path)
    given_out = ids(stack)

    stack.manage("restore", str(kept), "--replace")
    # Before the replay, as the steps have it, and no id comes again.
    enter(stack, tmp_path)
    entered = ids(stack)
    for numbered in ("notice_id_seq", "legal_hold_id_seq", "audit_entry_id_seq", "leaf_id_seq"):
        assert entered[numbered] > given_out[numbered], numbered
    for _ in range(2):
        wait_for("calls to be refused", lambda: not stack.ready(), 5)
        refused = backend.post("events", {"events": [event("withdraws", uuid.uuid4().hex)]})
        assert (refused.status_code, refused.json()["code"]) == (503, "replay_required")
        assert refused.headers["Retry-After"] == "30"
        asked = {"subject": {"openid": "withdraws"}, "purposes": ["analytics"]}
        assert backend.post("consents/status", asked).status_code == 503
        # Nothing changes by looking.
        plan = replayed(stack, "--dry-run")
        assert plan["dry_run"] and plan["complete"] and plan["replay_required"]
    assert plan["done"] == {
        "consents withdrawn": 3,
        "consents objected to": 1,
        "restrictions": 1,
        "restrictions lifted": 1,
        "erasures filed": 1,
    }

    done = replayed(stack)
    assert (done["done"], done["failed"], done["unknown"]) == (plan["done"], {}, 0)
    assert not stack.ready(), "more of the log was published than was restored"
    stack.manage("ledger", "new-origin", "example.com/ledger-2", role="worker")
    assert stack.ready()
    assert {openid: backend.state(openid) for openid in PEOPLE if openid != "leaves"} == {
        "keeps": "given",
        "withdraws": "withdrawn",
        "refuses": "withdrawn",
        "objects": "withdrawn",
        "restricts": "given",
        "returns": "withdrawn",
    }
    assert backend.sent("keeps") == "stored"
    for openid, code in (
        ("withdraws", "consent_withdrawn"),
        ("objects", "consent_withdrawn"),
        ("restricts", "restricted"),
    ):
        assert backend.sent(openid) == code
    by = "SELECT count(*) FROM subject WHERE pseudonym = %s"
    wait_for("the erasure", lambda: not count(stack, by, pseudonyms["leaves"]), PATIENCE_S)
    left = "SELECT count(*) FROM event e JOIN subject s USING (subject_id) WHERE s.pseudonym = ANY(%s)"
    gone = [pseudonyms[openid] for openid in ("withdraws", "refuses", "objects", "returns")]
    wait_for("what was collected to go", lambda: not count(stack, left, gone), PATIENCE_S)

    # No id twice, and what is done once is done.
    for place in range(3):
        backend.decide(f"newer-{place}")
    backend.decide("returns")
    now = ids(stack)
    assert now["subject_subject_id_seq"] > given_out["subject_subject_id_seq"]
    first_new = "SELECT min(id) FROM consent_record r JOIN subject s USING (subject_id) WHERE s.subject_id > %s"
    assert count(stack, first_new, given_out["subject_subject_id_seq"]) > given_out["consent_record_id_seq"]
    told = verified(stack, "example.com/ledger-2")
    before, after = told["logs"]
    (gap,) = told["gaps"]
    assert told["holds"] and after["published"] > 0
    assert (gap["origin"], gap["told_by"]) == (before["origin"], "example.com/ledger-2")
    assert gap["published"] > gap["held"] == before["leaves"], "what was lost is told, and is no finding"
    again = replayed(stack)
    assert (again["replay_required"], again["done"], again["failed"]) == (False, {}, {})
    assert backend.state("returns") == "given", "a consent that was given anew stands"

    # The same backup once more: ids that were given out after the first restore do not come again either.
    stack.manage("restore", str(kept), "--replace")
    wait_for("calls to be refused", lambda: not stack.ready(), 5)
    assert replayed(stack)["failed"] == {}
    backend.decide("newest")
    assert ids(stack)["subject_subject_id_seq"] > now["subject_subject_id_seq"]
    assert backend.state("returns") == "withdrawn", "the consent anew is lost with its evidence: it is asked for again"
