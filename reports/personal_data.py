"""What reports holds of a person: that it was counted on a day, and its events of the day once more, in the rollups of the days.

Figures are kept as they were told, past the gate, where nobody is in them any more."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from consent.programs.tenancy import role
from consent.rights.affected import trace
from consent.rights.classification import Classified, Kind, classify
from consent.rights.holders import Erased, Keeping, Over, PersonalDataHolder, Reason, Row, register
from consent.vault.identities import Vault
from consent.vault.models import Subject
from reports.models import FrozenLine, Report, ReportRun, Rollup, RollupDay, RollupEvents, RollupKind, SavedReport
from reports.rollups import days as stored
from reports.rollups import forgetting, packed
from reports.rollups.build import first_whole
from reports.rollups.contribution import SESSIONS
from tracking import derived
from tracking.models import EventType

if TYPE_CHECKING:
    from consent.rights.holders import Word

DAYS = 31
"""How many days one step changes at most."""

_OPERATIONAL = Classified(Kind.OPERATIONAL, 1)
_INTERNAL = Classified(Kind.OPERATIONAL, 2)
_SUBJECTS = Classified(Kind.PSEUDONYM, 3)
_BEHAVIOUR = Classified(Kind.BEHAVIOUR, 3)

classify(
    {
        Report: {"name": _OPERATIONAL},
        RollupDay: {
            "program": _OPERATIONAL,
            "day": _BEHAVIOUR,
            "zone": _OPERATIONAL,
            "changes": _OPERATIONAL,
            "built_at": _OPERATIONAL,
            "tried_at": _OPERATIONAL,
            "layout": _OPERATIONAL,
        },
        Rollup: {
            "program": _OPERATIONAL,
            "day": _BEHAVIOUR,
            "kind": _BEHAVIOUR,
            "key": _BEHAVIOUR,
            "shard": _SUBJECTS,
            "number": _BEHAVIOUR,
            "subjects": _SUBJECTS,
        },
        RollupEvents: {
            "program": _OPERATIONAL,
            "day": _BEHAVIOUR,
            "subject_id": _SUBJECTS,
            "events": _BEHAVIOUR,
            "ids": _BEHAVIOUR,
            "numbers": _BEHAVIOUR,
            "elements": _BEHAVIOUR,
            "contexts": _BEHAVIOUR,
        },
        # Figures that have passed the gate: each rests on k subjects or on nobody, and none of them leads to a person. So no
        # holder has them, and an erasure leaves them as it leaves what was told.
        FrozenLine: dict.fromkeys(("program", "key", "told", "revision", "ends"), _OPERATIONAL),
        # What is typed into a question or its name is refused where it looks like an identifier (reports.api.questions): a
        # question is about groups, and no holder could find a person in it.
        SavedReport: {
            "id": _OPERATIONAL,
            "program": _OPERATIONAL,
            "name": _INTERNAL,
            "metric": _INTERNAL,
            "question": _INTERNAL,
            "saved_by": _INTERNAL,
            "saved_at": _INTERNAL,
            "idempotency": _OPERATIONAL,
        },
        # The question as above, the answer as FrozenLine's: past the gate.
        ReportRun: {
            "id": _OPERATIONAL,
            "program": _OPERATIONAL,
            "metric": _INTERNAL,
            "question": _INTERNAL,
            "state": _OPERATIONAL,
            "counting": _OPERATIONAL,
            "done": _OPERATIONAL,
            "parts": _OPERATIONAL,
            "asked_by": _INTERNAL,
            "asked_at": _INTERNAL,
            "started_at": _OPERATIONAL,
            "finished_at": _OPERATIONAL,
            "expires_at": _OPERATIONAL,
            "attempts": _OPERATIONAL,
            "not_before": _OPERATIONAL,
            "lease_token": _OPERATIONAL,
            "lease_until": _OPERATIONAL,
            "problem": _OPERATIONAL,
            "answer": _OPERATIONAL,
            "idempotency": _OPERATIONAL,
        },
    }
)

# Whoever is in a rollup has events, and so days with events.
_COUNTED = "SELECT subject_id FROM subject_day WHERE program_id = %(program)s"
trace(RollupDay, rows=_COUNTED)
trace(Rollup, rows=_COUNTED)
trace(RollupEvents, rows=_COUNTED)

WORDS = {
    "counted_days": _("Days on which you were counted"),
    "day": _("day"),
    "events": _("in the numbers of these events"),
    "session": _("in the number of visits"),
}


class RollupHolder(PersonalDataHolder):
    """Before the events: what it takes a subject out by is what their events come to. What a consent that ended or a
    retention that is over takes of the events goes from here with them (reports.rollups.forgetting.Rollups)."""

    identifier = "reports.rollups"
    title = _("Daily totals")
    description = _(
        "On which days you were counted in the totals that reports are made of. Beside them there is a copy of your events of these "
        "days, as they are told among your events."
    )
    stage = 9
    derived = True
    columns: ClassVar = {"counted_days": ("day", "events", "session")}

    def words(self, *, program_id: int) -> Mapping[str, "Word"]:
        return WORDS

    def export(self, *, vault: Vault, subject: Subject) -> Iterator[Row]:
        names = dict(EventType.objects.filter(program_id=subject.program_id).values_list("id", "name"))
        days = stored.holding(subject.program_id, subject.id)
        for place in range(0, len(days), DAYS):
            for day, held in sorted(stored.keys_of(subject.program_id, subject.id, days[place : place + DAYS]).items()):
                yield (
                    "counted_days",
                    {
                        "day": day,
                        "events": sorted(names.get(key, "") for kind, key in held if kind == RollupKind.EVENT),
                        "session": SESSIONS in held,
                    },
                )

    def restrict(self, *, subject: Subject, restricted: bool, now: datetime) -> int:
        """Whoever is restricted counts nowhere while they are in a rollup; afterwards they may be missing in some."""
        if not restricted:
            forgetting.stands_again(subject.program_id, subject.id)
        return 0

    def stand_again(self, *, subject: Subject) -> None:
        forgetting.stands_again(subject.program_id, subject.id)

    def erase(self, *, program_id: int, subject_id: int, limit: int) -> Erased:
        forgetting.wait_for_builders(program_id, subject_id)
        with role("zq_erase"):
            days = forgetting.held_on(program_id, subject_id)
        some = days[: min(limit, DAYS)]
        return Erased(forgetting.take_out(program_id, subject_id, some) if some else 0, finished=len(some) == len(days))

    def count(self, *, program_id: int, subject_id: int) -> int:
        """The days that hold the subject."""
        return len(forgetting.held_on(program_id, subject_id))

    def purge(self, *, program_id: int, keeping: Keeping, full: bool, limit: int) -> Iterator[int]:
        over = _over(program_id, keeping)
        gone = over.filter(built_at__isnull=False).count()
        # What is packed has a row of each subject: a day at a time, from which nobody reads it then.
        for day in list(over.values_list("day", flat=True)):
            over.filter(day=day).update(layout=0)
            packed.clear(program_id, [day])
            yield 0
        with role("zq_erase"):
            over.delete()
            Rollup.objects.filter(program_id=program_id, day__lt=first_whole(program_id, keeping.today)).delete()
        yield gone

    def over(self, *, program_id: int, keeping: Keeping) -> Iterator[Over]:
        if rows := _over(program_id, keeping).filter(built_at__isnull=False).count():
            yield Over("rollup_day", Reason.WHOLE_DAY, rows)


def _over(program_id: int, keeping: Keeping) -> QuerySet[RollupDay]:
    return RollupDay.objects.filter(program_id=program_id, day__lt=first_whole(program_id, keeping.today))


register(RollupHolder())
derived.register(forgetting.Rollups())
