"""L18, L20: no purpose that needs an impact assessment is active without one, whichever way it is asked for."""

import io
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from django.core.management import CommandError, call_command

from consent.errors import Problem
from consent.notices import told
from consent.notices.assessments import wanting
from consent.notices.models import NoticeDraft
from consent.programs.tenancy import tenant
from tests.cast import EXAMPLES, Program, example_notice, now
from tests.consent.acts import act, code, refused, status
from tests.consent.desk import holder
from tests.consent.notice_texts import ABROAD, RECIPIENT, REFERENCE, publish, text_with
from tests.consent.processing import mechanism
from tests.consent.retaining import also_for


def purpose(program: Program, *arguments: str) -> Any:
    out = io.StringIO()
    call_command("purpose", *arguments, "--program", str(program.id), "--json", stdout=out)
    return json.loads(out.getvalue())


def assess(program: Program, code: str = "health", **more: str) -> Any:
    given = [f"--{name.replace('_', '-')}={value}" for name, value in (REFERENCE | more).items()]
    return purpose(program, "assess", f"--purpose={code}", *given)


def activate(program: Program, code: str = "health") -> Any:
    return purpose(program, "activate", f"--purpose={code}")


@pytest.mark.parametrize(
    ("more", "grounds"),
    [
        ({"separate_consent": "29"}, {"sensitive"}),
        ({"separate_consent": "26", "sensitive": True}, {"sensitive"}),
        ({"separate_consent": None, "sensitive": False}, set()),
        ({"separate_consent": "26", "sensitive": False}, set()),
        ({"separate_consent": "25", "sensitive": False}, {"sharing"}),
        ({"separate_consent": None, "sensitive": False, "recipients": [RECIPIENT]}, {"sharing"}),
        ({"separate_consent": None, "sensitive": False, "methods": ["disclosure"]}, {"sharing"}),
        ({"separate_consent": None, "sensitive": False, "methods": ["automated_decision"]}, {"automated_decision"}),
        (
            {"separate_consent": "39", "sensitive": False, "recipients": [RECIPIENT | {"country": "HK"}]},
            {"sharing", "cross_border"},
        ),
    ],
)
def test_what_needs_an_assessment(more: dict[str, Any], grounds: set[str]) -> None:
    like = msgspec.to_builtins(example_notice().purposes[2]) | more
    assert told.grounds(like, "general") == grounds
    assert told.grounds(like, "minor") == grounds | {"sensitive"}


def test_without_an_assessment_the_purpose_is_published_and_nothing_is_taken_for_it(program: Program) -> None:
    publish(program, text_with())
    refused(program, act(program, ("health", "given")), 422, "purpose_inactive")
    assert [item for item in purpose(program, "show")["purposes"] if item["lacking"]] == [
        {"purpose": "health", "active": False, "needed": ["sensitive"], "lacking": ["sensitive"]}
    ]
    with pytest.raises(CommandError, match="assessment_missing"):
        activate(program)
    refused(program, act(program, ("health", "given")), 422, "purpose_inactive")
    assert assess(program)["changed"] is True
    refused(program, act(program, ("health", "given")), 422, "purpose_inactive")
    assert activate(program)["purposes"] == [
        {"purpose": "health", "active": True, "needed": ["sensitive"], "lacking": []}
    ]
    assert activate(program)["changed"] is False
    program.decide("alice", purpose="health")
    assert status(program, "alice", "health")["allowed"] is True


def test_one_that_the_file_names_makes_it_active_at_once(program: Program, owner: psycopg.Connection) -> None:
    publish(program, text_with(assessment=REFERENCE))
    program.decide("alice", purpose="health")
    row = owner.execute(
        "SELECT covers, conclusion, recorded_by FROM impact_assessment WHERE reference = 'PIA-7'"
    ).fetchone()
    assert row == (["sensitive"], "acceptable", "test")
    publish(program, text_with(assessment=REFERENCE))
    assert owner.execute("SELECT count(*) FROM impact_assessment WHERE reference = 'PIA-7'").fetchone() == (1,)
    with pytest.raises(Problem, match="assessment_recorded"):
        publish(program, text_with(assessment=REFERENCE | {"assessed_on": "2026-10-02"}))


def test_one_that_came_to_not_acceptable_activates_nothing_and_the_newest_counts(program: Program) -> None:
    publish(program, text_with(assessment=REFERENCE | {"conclusion": "not_acceptable"}))
    refused(program, act(program, ("health", "given")), 422, "purpose_inactive")
    assess(program, reference="PIA-8", assessed_on="2026-09-30")
    with pytest.raises(CommandError, match="assessment_missing"):
        activate(program)
    assess(program, reference="PIA-9", assessed_on="2026-10-02", conclusion="with_measures")
    assert activate(program)["changed"] is True


def test_a_purpose_ends_when_its_newest_assessment_came_to_not_acceptable(
    program: Program, owner: psycopg.Connection
) -> None:
    """What was asked about something that the purpose does not do ends nothing, and neither does an older one."""
    publish(program, text_with(assessment=REFERENCE, categories=["behaviour"]))
    also_for(owner, program, "search", "health")
    program.decide("alice", purpose="health")
    assess(program, reference="PIA-8", covers="automated_decision", conclusion="not_acceptable")
    assess(program, reference="PIA-9", assessed_on="2026-09-30", conclusion="not_acceptable")
    assert (status(program, "alice", "health")["allowed"], code(program, "e1", name="search")) == (True, None)
    ended = assess(program, reference="PIA-10", assessed_on="2026-10-02", conclusion="not_acceptable")
    assert ended["purposes"] == [
        {"purpose": "health", "active": False, "needed": ["sensitive"], "lacking": ["sensitive"]}
    ]
    assert (status(program, "alice", "health")["allowed"], code(program, "e2", name="search")) == (
        False,
        "unknown_event",
    )
    refused(program, act(program, ("health", "given")), 422, "purpose_inactive")
    with pytest.raises(CommandError, match="assessment_missing"):
        activate(program)
    assess(program, reference="PIA-11", assessed_on="2026-10-03", conclusion="with_measures")
    assert code(program, "e3", name="search") == "unknown_event"
    activate(program)
    assert (status(program, "alice", "health")["allowed"], code(program, "e4", name="search")) == (True, None)
    rows = owner.execute(
        "SELECT action FROM audit_entry WHERE target = 'purpose:health' AND action <> 'purpose.assessed' ORDER BY id"
    ).fetchall()
    assert rows == [("purpose.deactivated",), ("purpose.activated",)]


def test_a_version_whose_assessment_says_no_is_refused_and_ends_nothing(
    program: Program, owner: psycopg.Connection
) -> None:
    publish(program, text_with(assessment=REFERENCE))
    no = REFERENCE | {"reference": "PIA-8", "assessed_on": "2026-10-02", "conclusion": "not_acceptable"}
    with pytest.raises(Problem, match="assessment_missing"):
        publish(program, text_with(assessment=no))
    assert owner.execute("SELECT active FROM purpose WHERE code = 'health'").fetchone() == (True,)


def test_a_dry_run_tells_that_the_assessment_named_is_older_than_one_that_says_no(program: Program) -> None:
    """As publishing does, which records it first: the newest counts."""
    publish(program, text_with(assessment=REFERENCE))
    assess(program, reference="PIA-8", assessed_on="2026-10-02", conclusion="not_acceptable")
    older = text_with(assessment=REFERENCE | {"reference": "PIA-9"})
    newer = text_with(assessment=REFERENCE | {"reference": "PIA-10", "assessed_on": "2026-10-03"})
    with tenant(program.id):
        assert (list(wanting(program.id, older)), list(wanting(program.id, newer))) == (["health"], [])
    publish(program, older)
    with pytest.raises(CommandError, match="assessment_missing"):
        activate(program)
    publish(program, newer)
    assert activate(program)["changed"] is True


def test_the_command_ends_a_purpose_and_counts_who_consents(program: Program) -> None:
    for openid in ("alice", "bob"):
        program.decide(openid)
    program.decide("carol", "refused")
    looked = purpose(program, "deactivate", "--purpose=analytics", "--dry-run")
    assert (looked["changed"], looked["consents"], looked["purposes"][0]["active"]) == (False, 2, True)
    assert code(program, "e1") is None
    ended = purpose(program, "deactivate", "--purpose=analytics")
    assert (ended["changed"], ended["consents"], ended["purposes"][0]["active"]) == (True, 2, False)
    assert code(program, "e2") == "unknown_event"
    assert purpose(program, "deactivate", "--purpose=analytics")["changed"] is False
    for wrong in (["show", "--dry-run"], ["deactivate"], ["deactivate", "--purpose=nothing"]):
        with pytest.raises(CommandError):
            purpose(program, *wrong)


def test_a_purpose_in_use_is_not_broadened_past_its_assessment(program: Program, owner: psycopg.Connection) -> None:
    """It would have to stop, and what was collected to be erased: the version is refused instead."""
    text = example_notice()
    text.purposes[0].methods = ["collection", "storage", "aggregation", "automated_decision"]
    with pytest.raises(Problem, match="assessment_missing") as problem:
        publish(program, text)
    assert [fault.pointer for fault in problem.value.errors] == ["/purposes/0/assessment"]
    assert owner.execute("SELECT count(*) FROM notice").fetchone() == (1,)
    program.decide("alice")
    assess(program, "analytics", covers="automated_decision")
    publish(program, text)
    assert status(program, "alice")["renewal_required"] is True


def test_a_dry_run_tells_which_assessments_are_missing(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "notice.yaml"
    example = (EXAMPLES / "notice.yaml").read_text()
    file.write_text(re.sub(r"    assessment:\n(      .*\n)+", "", example).replace("precise_location", "health"))
    out = io.StringIO()
    call_command("publish_notice", "--program", str(program.id), "--dry-run", "--json", str(file), stdout=out)
    said = json.loads(out.getvalue())
    assert (said["lacking"], said["unlet"]) == ({"health": ["sensitive"]}, {})


def test_a_dry_run_and_a_drafts_page_tell_what_a_recorded_assessment_does_not_cover(
    program: Program, tmp_path: Path
) -> None:
    publish(program, text_with(assessment=REFERENCE))
    text = msgspec.yaml.encode(text_with(assessment=REFERENCE, recipients=[RECIPIENT])).decode()
    (tmp_path / "notice.yaml").write_text(text)
    dry = ("publish_notice", f"--program={program.id}", "--dry-run", "--json", str(tmp_path / "notice.yaml"))
    with tenant(program.id):
        draft = NoticeDraft.objects.create(program_id=program.id, name="next", source=text, edited_by="test")
    desk = holder("senior_officer", program).enter(program)
    words = "No impact assessment covers: sharing"
    for lacking in ({"health": ["sharing"]}, {}):
        out = io.StringIO()
        call_command(*dry, stdout=out)
        assert json.loads(out.getvalue())["lacking"] == lacking
        page = desk.get(f"consent/noticedraft/{draft.pk}/change/").content.decode()
        assert (words in page) is bool(lacking)
        assess(program, reference="PIA-8", covers="sharing")


def test_a_dry_run_and_a_drafts_page_tell_which_mechanisms_are_missing(program: Program, tmp_path: Path) -> None:
    text = msgspec.yaml.encode(text_with(separate_consent="39", recipients=[ABROAD], assessment=REFERENCE)).decode()
    (tmp_path / "notice.yaml").write_text(text)
    out = io.StringIO()
    call_command("publish_notice", f"--program={program.id}", "--dry-run", str(tmp_path / "notice.yaml"), stdout=out)
    assert "health: no cross-border mechanism is valid today for Partner Ltd" in out.getvalue()
    with tenant(program.id):
        draft = NoticeDraft.objects.create(program_id=program.id, name="next", source=text, edited_by="test")
    desk = holder("senior_officer", program).enter(program)
    page = f"consent/noticedraft/{draft.pk}/change/"
    words = "No cross-border mechanism is valid today for: Partner Ltd"
    assert words in desk.get(page).content.decode()
    mechanism(program)
    assert words not in desk.get(page).content.decode()


def test_an_assessment_covers_what_it_looked_at(program: Program) -> None:
    publish(program, text_with(assessment=REFERENCE))
    shared = text_with(assessment=REFERENCE, recipients=[RECIPIENT])
    with pytest.raises(Problem, match="covering sharing"):
        publish(program, shared)
    publish(program, text_with(assessment=REFERENCE | {"reference": "PIA-8"}, recipients=[RECIPIENT]))


def test_one_that_looked_at_more_takes_a_reference_of_its_own(program: Program, owner: psycopg.Connection) -> None:
    """Under the one that is known it would be dropped, and the purpose go on where it has to end (L18)."""
    publish(program, text_with(assessment=REFERENCE, recipients=[RECIPIENT]))
    no = {"assessed_on": "2026-10-02", "conclusion": "not_acceptable"}
    assess(program, reference="PIA-8", covers="cross_border", **no)
    for more in ({"covers": "cross_border,sharing"}, {}):
        with pytest.raises(CommandError, match="assessment_recorded"):
            assess(program, reference="PIA-8", **no | more)
    assert owner.execute("SELECT active FROM purpose WHERE code = 'health'").fetchone() == (True,)
    ended = assess(program, reference="PIA-9", covers="sharing", **no)
    assert (ended["changed"], ended["purposes"][0]["active"]) == (True, False)


def test_one_that_looked_at_less_under_a_known_reference_is_told_to_be_recorded_before(program: Program) -> None:
    publish(program, text_with(assessment=REFERENCE, recipients=[RECIPIENT]))
    err, flags = io.StringIO(), [f"--{name.replace('_', '-')}={value}" for name, value in REFERENCE.items()]
    own = (f"--program={program.id}", "--purpose=health", *flags, "--covers=sensitive")
    call_command("purpose", "assess", *own, stdout=io.StringIO(), stderr=err)
    assert "this assessment was recorded before; nothing was changed" in err.getvalue()
    assert assess(program, covers="sensitive")["changed"] is False
    publish(program, text_with(assessment=REFERENCE))


def test_a_file_may_name_the_one_before_where_another_covers_what_is_new(program: Program) -> None:
    publish(program, text_with(assessment=REFERENCE))
    wider = text_with(assessment=REFERENCE, recipients=[RECIPIENT])
    assess(program, reference="PIA-8", covers="sharing")
    publish(program, wider)
    assert status(program, "alice", "health")["may_prompt"] is True


def test_nothing_goes_abroad_without_a_mechanism(program: Program, owner: psycopg.Connection) -> None:
    """L20, also of what an earlier release published without one."""
    abroad = RECIPIENT | {"country": "SG", "rights": RECIPIENT["method"]}
    with pytest.raises(Problem, match="mechanism"):
        publish(program, text_with(separate_consent="39", recipients=[abroad], assessment=REFERENCE))
    abroad["mechanism"] = {"kind": "exemption", "ground": RECIPIENT["purpose"]}
    mechanism(program, kind="exemption", reference="", ground="a contract with the person needs it")
    publish(program, text_with(separate_consent="39", recipients=[abroad], assessment=REFERENCE))
    assert status(program, "alice", "health")["may_prompt"] is True
    owner.execute("UPDATE purpose SET active = false WHERE code = 'health'")
    owner.execute("UPDATE notice SET body = body #- '{purposes,3,recipients,0,mechanism}'")
    with pytest.raises(CommandError, match="mechanism_missing"):
        activate(program)


def test_minors_data_are_sensitive(program: Program) -> None:
    """L9: what is told of in the minors' notice needs an assessment as sensitive information does."""
    text = example_notice()
    like = text.purposes[2]
    first = msgspec.structs.replace(text.purposes[0], necessity=like.necessity, impact=like.impact)
    text = msgspec.structs.replace(text, audience="minor", purposes=[first])
    with pytest.raises(Problem, match="covering sensitive"):
        publish(program, text)
    assess(program, "analytics", covers="sensitive")
    publish(program, text)


@pytest.mark.parametrize(
    ("more", "told_code"),
    [
        ({"assessed_on": (now() + timedelta(days=2)).date().isoformat()}, "assessed_in_the_future"),
        ({"covers": "sensitive,everything"}, "unknown_ground"),
        ({"document_sha256": "abc"}, "invalid_sha256"),
        ({"reference": " "}, "invalid_reference"),
    ],
)
def test_what_cannot_be_is_not_recorded(program: Program, more: dict[str, str], told_code: str) -> None:
    with pytest.raises(CommandError, match=told_code):
        assess(program, "analytics", **more)


def test_of_another_mini_program_nothing_is_assessed_or_activated(program: Program, other: Program) -> None:
    publish(program, text_with())
    for act_on in (assess, activate):
        with pytest.raises(CommandError, match="not_found"):
            act_on(other)


def test_assessments_and_activations_are_in_the_audit_log(program: Program, owner: psycopg.Connection) -> None:
    publish(program, text_with())
    assess(program)
    activate(program)
    rows = owner.execute(
        "SELECT actor, action, target FROM audit_entry"
        " WHERE action LIKE 'purpose.%' AND target = 'purpose:health' ORDER BY id"
    ).fetchall()
    assert rows == [
        ("operator", "purpose.assessed", "purpose:health"),
        ("operator", "purpose.activated", "purpose:health"),
    ]
