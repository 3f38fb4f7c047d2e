"""The record of a mini-program's processing (PIPL 55, 56; the audit measures†), read off what is there: nothing is kept for it.

Apps above this one add what they know of by `add_part`, in personal_data.py.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db import connection

from consent.errors import NotFound
from consent.notices import told
from consent.notices.models import Audience, ImpactAssessment, Notice, Purpose
from consent.notices.queries import in_force
from consent.notices.reading import reading
from consent.processing.models import Mechanism, Processor
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant
from consent.rights.classification import classified, classified_models
from consent.vault.keyring import FAMILIES

Part = Callable[[int], list[dict[str, Any]]]
"""A mini-program's id -> rows as JSON has them; called within its tenant."""

_parts: dict[str, Part] = {}
# What the database lets the application do, asked of the database: a policy of a tenant, and tables only added to.
_GUARDED = """
    SELECT count(*) FILTER (WHERE relrowsecurity AND EXISTS (
               SELECT FROM pg_policy WHERE polrelid = pg_class.oid AND polname = 'tenant')),
           array_agg(relname::text ORDER BY relname) FILTER (
               WHERE relname = ANY(%s) AND has_table_privilege('zq_app', oid, 'INSERT')
               AND NOT has_any_column_privilege('zq_app', oid, 'UPDATE') AND NOT has_table_privilege('zq_app', oid, 'DELETE'))
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
"""


def add_part(name: str, part: Part) -> None:
    """Raises ValueError for a name taken."""
    if name in _parts:
        raise ValueError(f"{name} is a part of the record already")
    _parts[name] = part


def record(program_id: int, *, locale: str, now: datetime) -> dict[str, Any]:
    """The record as JSON has it, in one of the notices' languages: `mini_program`, `controllers` and `notices` (which it
    rests on: those in force), `purposes`, `processors`, `mechanisms`, `security`, and a list for each part of an app above.
    """
    with tenant(program_id):
        program = MiniProgram.objects.select_related("controller").get(id=program_id)
        notices = [notice for audience in Audience.values if (notice := _in_force(program_id, audience, now))]
        return {
            "mini_program": {
                "name": program.name,
                "app": f"{program.platform}:{program.app_id}",
                "controller": program.controller.name,
            },
            "notices": [_notice(notice) for notice in notices],
            "purposes": _purposes(program_id, notices, locale),
            "processors": [_processor(row) for row in _terms(Processor, program_id)],
            "mechanisms": [_mechanism(row) for row in _terms(Mechanism, program_id)],
            "security": _security(),
            **{name: part(program_id) for name, part in _parts.items()},
        }


def _in_force(program_id: int, audience: str, now: datetime) -> Notice | None:
    try:
        return in_force(program_id, audience, now=now)
    except NotFound:
        return None


def _notice(notice: Notice) -> dict[str, Any]:
    return {
        "audience": notice.audience,
        "version": notice.version,
        "sha256": notice.sha256,
        "effective_at": notice.effective_at.isoformat(),
        "controller": notice.body["controller"],
        "contact": notice.body["contact"],
    }


def _purposes(program_id: int, notices: list[Notice], locale: str) -> list[dict[str, Any]]:
    """A row for each purpose and audience; one for a purpose that no notice in force tells of any more."""
    assessed: dict[int, list[dict[str, str]]] = {}
    for row in ImpactAssessment.objects.filter(program_id=program_id).order_by("-assessed_on", "-id"):
        assessed.setdefault(row.purpose_id, []).append(
            {"reference": row.reference, "assessed_on": row.assessed_on.isoformat(), "conclusion": row.conclusion}
        )
    readable = {notice.pk: {one["code"]: one for one in reading(notice.body, locale)["purposes"]} for notice in notices}
    rows = []
    for purpose in Purpose.objects.filter(program_id=program_id).order_by("code"):
        own = {"code": purpose.code, "active": purpose.active, "assessments": assessed.get(purpose.pk, [])}
        versions = [
            (notice, said) for notice in notices for said in notice.body["purposes"] if said["code"] == purpose.code
        ]
        rows += [own | _told(said, notice, readable[notice.pk][purpose.code]) for notice, said in versions]
        if not versions:
            rows.append(own | {"audience": None})
    return rows


def _told(said: dict[str, Any], notice: Notice, read: dict[str, Any]) -> dict[str, Any]:
    """`legal_ground`: the service processes on consent alone (PIPL 13 (1)); of who is under 14 it is the guardian's (31)."""
    grounds = told.grounds(said, notice.audience)
    return {
        "audience": notice.audience,
        "title": read["title"],
        "legal_ground": "guardians_consent" if notice.audience == Audience.MINOR else "consent",
        "separate_consent": said.get("separate_consent"),
        "necessary": said.get("necessary", False),
        "sensitive": told.SENSITIVE in grounds,
        "minors": notice.audience == Audience.MINOR,
        "automated_decision": told.AUTOMATED in grounds,
        "cross_border": told.CROSS_BORDER in grounds,
        "methods": read["methods"],
        "categories": read["categories"],
        "attributes": told.entries(said, "attributes"),
        "retention_days": said["retention_days"],
        "after_retention": read["after_retention"],
        "storage": read["storage"],
        "recipients": [
            {
                name: recipient.get(name, "")
                for name in ("name", "role", "contact", "purpose", "method", "categories", "country", "mechanism")
            }
            for recipient in read["recipients"]
        ],
    }


def _terms(model: Any, program_id: int) -> Any:
    return model.objects.filter(program_id=program_id).order_by("id")


def _term(row: Processor | Mechanism) -> dict[str, Any]:
    until = row.valid_until.isoformat() if row.valid_until else None
    return {"purposes": row.purposes, "valid_from": row.valid_from.isoformat(), "valid_until": until}


def _processor(row: Processor) -> dict[str, Any]:
    own = {name: getattr(row, name) for name in ("name", "contact", "categories", "method", "measures", "contract")}
    return own | _term(row)


def _mechanism(row: Mechanism) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("kind", "recipient", "reference", "ground")} | _term(row)


def _security() -> dict[str, Any]:
    """What the code and the database guarantee (PIPL 51), counted where it is kept: fields sealed or hashed by family of
    key, tables whose rows a mini-program sees by itself alone, and tables that are only added to."""
    models = [apps.get_model(label) for label in classified_models()]
    keys = [said.key for model in models for said in classified(model).values()]
    with connection.cursor() as cursor:
        cursor.execute(_GUARDED, [[model._meta.db_table for model in models]])
        apart, only_added = cursor.fetchone()
    return {
        "fields_guarded_by_key": {family: keys.count(family) for family in FAMILIES},
        "tables_apart_by_mini_program": apart,
        "tables_only_added_to": only_added or [],
    }
