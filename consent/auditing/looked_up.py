"""The figures that other parts of consent know how to find: decisions, notices, impact assessments, keys."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _

from consent.auditing.figures import Asked, Column, Definition, Lasting, moment
from consent.auditing.stated import PURPOSE, labels
from consent.notices import told
from consent.notices.assessments import lacking
from consent.notices.linter import lint
from consent.notices.models import Audience, Ground, ImpactAssessment, Notice, Purpose
from consent.notices.queries import newest_told
from consent.records.statistics import COLUMNS, Step, decided
from consent.vault.keyring import FAMILIES, Keyring

AUDIENCE = Column("audience", _("audience"), labels(Audience))
VERSION = Column("version", _("version"))
_ADDED = ("program", "version", "effective_at")
"""What publishing adds to the text."""


def _decided(asked: Asked) -> Sequence[Sequence[Any]]:
    if asked.over.months is None:
        return []
    first, last = asked.over.months
    rows = decided(
        program_id=asked.program_id, zone=asked.period.zone, first=first, last=last, k=asked.k, step=Step.MONTH
    )
    return [
        [
            f"{row.day:%Y-%m}",
            row.purpose.code,
            row.notice.audience if row.notice else None,
            row.notice.version if row.notice else None,
            *(row.people[name] for name in COLUMNS),
        ]
        for row in sorted(rows, key=lambda row: row.day)
    ]


def _published(asked: Asked) -> Sequence[Sequence[Any]]:
    period = asked.period
    notices = Notice.objects.filter(
        program_id=asked.program_id, published_at__gte=period.begins, published_at__lt=period.ends
    )
    return [
        [
            notice.audience,
            notice.version,
            notice.sha256,
            notice.published_at.isoformat(),
            notice.effective_at.isoformat(),
            _faults(notice.body),
        ]
        for notice in notices.order_by("published_at", "id")
    ]


def _faults(body: dict[str, Any]) -> int:
    """Of the text that was published. An assessment's conclusion is not published with it, so it is not looked at."""
    text = {name: value for name, value in body.items() if name not in _ADDED}
    return len(lint(text | {"purposes": [{**purpose, "assessment": None} for purpose in text["purposes"]]}))


def _assessed(asked: Asked) -> Sequence[Sequence[Any]]:
    """Of each purpose that needs one: a row a ground."""
    needed: dict[str, set[str]] = {}
    for audience in Audience.values:
        for code, said in newest_told(asked.program_id, audience).items():
            needed.setdefault(code, set()).update(told.grounds(said, audience))
    missing = lacking(asked.program_id, needed)
    rows = ImpactAssessment.objects.filter(program_id=asked.program_id, purpose__code__in=needed)
    newest = {
        (code, ground): assessed_on.isoformat()
        for code, covers, assessed_on in rows.order_by("assessed_on", "id").values_list(
            "purpose__code", "covers", "assessed_on"
        )
        for ground in covers
    }
    active = dict(Purpose.objects.filter(program_id=asked.program_id).values_list("code", "active"))
    return [
        [code, active[code], ground, ground not in missing.get(code, ()), newest.get((code, ground))]
        for code, grounds in sorted(needed.items())
        for ground in sorted(grounds)
    ]


def _yes(value: Any) -> Any:
    return _("yes") if value else _("no")


CONSENTS = Definition(
    "consents.decided",
    _("Consents given, refused, put off, withdrawn, expired"),
    _(
        "Distinct people by purpose and notice version, in each whole calendar month of the period: no sum of them, and nothing of a"
        " month that the period cuts, so that no two reports tell by their difference what neither tells; nor is a month's figure told"
        " that would tell, less those of its days, what the page of consents by day does not. As there: who asked for restriction or erasure is not counted."
    ),
    Lasting.ERASURE,
    (
        Column("month", _("month")),
        PURPOSE,
        AUDIENCE,
        VERSION,
        Column("given", _("given"), people=True),
        Column("refused", _("refused"), people=True),
        Column("deferred", _("put off"), people=True),
        Column("withdrawn", _("withdrawn"), people=True),
        Column("expired", _("expired"), people=True),
    ),
    _decided,
)
NOTICES = Definition(
    "notices.published",
    _("Notices published"),
    _(
        "By the time of their publication. Faults: those that the linter of this version of the service finds in the text; none was published"
        " with a fault that the linter of its time knew."
    ),
    Lasting.OPEN,
    (
        AUDIENCE,
        VERSION,
        Column("sha256", _("sha256")),
        Column("published_at", _("published at"), moment),
        Column("effective_at", _("effective at"), moment),
        Column("faults", _("faults")),
    ),
    _published,
)
ASSESSMENTS = Definition(
    "assessments.standing",
    _("Purposes that need an impact assessment"),
    _(
        "Each ground that the newest notices give, whether an assessment stands that covers it, and the day of the newest one that does."
    ),
    Lasting.NOW,
    (
        PURPOSE,
        Column("active", _("active"), _yes),
        Column("ground", _("ground"), labels(Ground)),
        Column("stands", _("assessment stands"), _yes),
        Column("assessed_on", _("assessed on")),
    ),
    _assessed,
)


def keys(keyring: Keyring) -> Definition:
    """The keyring's versions; no key."""

    def find(asked: Asked) -> Sequence[Sequence[Any]]:
        sets = [(family, getattr(keyring, family)) for family in FAMILIES]
        enabled = [
            [family, version, version == held.primary, None] for family, held in sets for version in sorted(held.keys)
        ]
        now = keyring.signing.of(asked.now)
        signing = [["signing", key.version, key == now, _begun(key.since)] for key in keyring.signing.keys]
        return [*enabled, *signing]

    return Definition(
        "keys.versions",
        _("Versions of keys"),
        _(
            "Enabled versions of the keyring, and every signing key there was; in use: what new data are sealed or found by, or signed with now."
        ),
        Lasting.NOW,
        (
            Column("family", _("family")),
            VERSION,
            Column("in_use", _("in use"), _yes),
            Column("since", _("since"), moment),
        ),
        find,
    )


def _begun(since: datetime) -> str | None:
    """The first signing key signs what is of any time."""
    return None if since.year == 1 else since.isoformat()
