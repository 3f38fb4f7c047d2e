"""What risk monitoring looks at here: sign-ins, keys, requests, webhooks, terms, and who sees identifiers."""

from datetime import timedelta

from django.db.models import Count, Q
from django.utils.translation import gettext_lazy as _

from consent.ledger import log, sinks
from consent.ledger.audit import OFFICER
from consent.ledger.models import AuditEntry
from consent.monitoring.checks import Check, Kind, Looked, declare
from consent.officers.accounts import named
from consent.officers.models import AccountEntry
from consent.processing.models import Mechanism, Processor
from consent.processing.terms import SOON
from consent.programs.models import ApiKey, OfficerAssignment
from consent.records.queries import today
from consent.rights import queries
from consent.vault.models import DataKey
from consent.vault.signing import BEGINNING
from consent.webhooks.models import WebhookMessage

OLD = timedelta(days=365)
LONGEST = timedelta(days=2 * 365)
LATE, PUBLISHED = timedelta(minutes=5), timedelta(days=1)
"""A record has its place in the log within a minute, and a checkpoint is published at once."""
COUNTED = 10_000
"""Beyond that nobody needs to know how many."""


def _pauses(looked: Looked, **by: str) -> int:
    """Of accounts that may enter the mini-program, and of those that are of none, so that an attack on names which nobody has
    is somebody's finding; not of officers of other mini-programs alone."""
    here = OfficerAssignment.objects.filter(program_id=looked.program_id).values("user_id")
    elsewhere = OfficerAssignment.objects.exclude(user_id__in=here).exclude(user__is_superuser=True)
    names = [named(user_id) for user_id in elsewhere.values_list("user_id", flat=True).distinct()]
    rows = AccountEntry.objects.filter(action="sign_in.paused", at__gt=looked.since, **by)
    return rows.exclude(account__in=names).count()


def _paused_passwords(looked: Looked) -> int:
    return _pauses(looked) - _paused_codes(looked)


def _paused_codes(looked: Looked) -> int:
    return _pauses(looked, details__by="code")


def _overdue(looked: Looked) -> int:
    return queries.overdue(looked.program_id, now=looked.now).count()


def _given_up(looked: Looked) -> int:
    return WebhookMessage.objects.filter(program_id=looked.program_id, dead_at__gt=looked.since).count()


def _ending(looked: Looked) -> int:
    """Ended ones too, until somebody gives them another day."""
    last = today(looked.program_id) + SOON
    return sum(
        model.objects.filter(program_id=looked.program_id, valid_until__lte=last).count()
        for model in (Processor, Mechanism)
    )


def _api_keys(looked: Looked) -> int:
    """One that is valid for longer than two years has as good as no end."""
    rows = ApiKey.objects.filter(program_id=looked.program_id, revoked_at__isnull=True, expires_at__gt=looked.now)
    return rows.filter(Q(created_at__lt=looked.now - OLD) | Q(expires_at__gt=looked.now + LONGEST)).count()


def _signing_key(looked: Looked) -> int:
    """In days; 0 where the keyring does not say since when."""
    key = looked.keyring.signing.of(looked.now)
    return 0 if key is None or key.since == BEGINNING else max((looked.now - key.since).days, 0)


def _old_keys(looked: Looked) -> int:
    """Of those in use; none where the keyring does not say when they were made."""
    made = (keys.made for keys in (looked.keyring.key_encryption, looked.keyring.index))
    return sum(at is not None and at < looked.now - OLD for at in made)


def _data_keys(looked: Looked) -> int:
    primary = looked.keyring.key_encryption.primary
    return DataKey.objects.filter(program_id=looked.program_id, key_version__lt=primary)[:COUNTED].count()


def _late(looked: Looked) -> int:
    return log.waiting(limit=COUNTED, program_id=looked.program_id, before=looked.now - LATE)


def _not_in_order(looked: Looked) -> int:
    return int(not sinks.in_order(looked.sinks))


def _unpublished(looked: Looked) -> int:
    return sinks.unpublished(looked.sinks, before=looked.now - PUBLISHED, limit=COUNTED)


def _revealed(looked: Looked) -> int:
    """By the officer who did it most."""
    rows = AuditEntry.objects.filter(program_id=looked.program_id, action="person.revealed", at__gt=looked.since)
    by = rows.filter(actor__startswith=OFFICER).values("actor").annotate(times=Count("id")).order_by("-times")
    return int(by.values_list("times", flat=True).first() or 0)


declare(
    Check(
        "sign_in.paused",
        _("sign-ins paused after wrong passwords, of its officers and of accounts of no mini-program, in a day"),
        5,
        _paused_passwords,
        Kind.HAPPENING,
    ),
    Check(
        "second_factor.paused",
        _("sign-ins paused after wrong codes, of its officers and of accounts of no mini-program, in a day"),
        0,
        _paused_codes,
        Kind.HAPPENING,
    ),
    Check(
        "person.revealed",
        _("times that one officer had identifiers and profiles shown, in a day"),
        20,
        _revealed,
        Kind.HAPPENING,
    ),
    Check("requests.overdue", _("requests whose deadline is over"), 0, _overdue, Kind.STANDING),
    Check("webhooks.given_up", _("webhook messages given up in a day"), 0, _given_up, Kind.HAPPENING),
    Check(
        "terms.ending",
        _("processors and mechanisms whose term ends within 30 days, or has"),
        0,
        _ending,
        Kind.STANDING,
    ),
    Check("keys.api", _("API keys older than a year, or valid for more than two"), 0, _api_keys, Kind.STANDING),
    Check("keys.signing", _("age of the signing key in days"), OLD.days, _signing_key, Kind.STANDING),
    Check(
        "keys.made", _("key-encryption and index keys in use that are older than a year"), 0, _old_keys, Kind.STANDING
    ),
    Check("keys.data", _("data keys under an earlier key-encryption key"), 0, _data_keys, Kind.STANDING),
    Check(
        "ledger.waiting",
        _("records and entries that have waited for their place in the log for more than five minutes"),
        0,
        _late,
        Kind.STANDING,
    ),
    Check(
        "ledger.order",
        _("logs that do not go on, since they are not what was published of them"),
        0,
        _not_in_order,
        Kind.STANDING,
    ),
    Check(
        "ledger.published",
        _("checkpoints of the log that no place has accepted for a day"),
        0,
        _unpublished,
        Kind.STANDING,
    ),
)
