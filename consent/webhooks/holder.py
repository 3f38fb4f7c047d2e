"""Who else is told of a person, as a holder of personal data: an erasure is done when they have acknowledged it."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from consent.programs.tenancy import role
from consent.rights import own_words
from consent.rights.holders import AnswersAwaited, Erased, Keeping, Over, PersonalDataHolder, Reason, Row
from consent.vault.identities import Vault
from consent.vault.models import Subject
from consent.webhooks import actions, endpoints, queries
from consent.webhooks.models import WebhookEndpoint, WebhookMessage

if TYPE_CHECKING:
    from consent.rights.holders import Word

DELIVERED_KEPT = timedelta(days=7)
DEAD_KEPT = timedelta(days=30)
PAGE = 500


class ProcessorHolder(PersonalDataHolder):
    """Messages to backends and processors, and what processors hold: theirs to erase, and to say so."""

    identifier = endpoints.HOLDER
    title = _("Told to others")
    description = _("Which systems of ours and of our processors we told of a change, without what changed.")
    stage = 35
    derived = True
    columns: ClassVar = {"messages": ("created_at", "event", "told_to", "delivered_at")}

    def concerned(self, *, program_id: int) -> bool:
        """Where nobody is told of anything a run would find nothing, and take its time from all others."""
        return WebhookEndpoint.objects.filter(program_id=program_id).exists()

    def words(self, *, program_id: int) -> Mapping[str, "Word"]:
        return own_words.messages()

    def export(self, *, vault: Vault, subject: Subject) -> Iterator[Row]:
        rows = WebhookMessage.objects.filter(subject=subject).select_related("endpoint").order_by("created_at", "id")
        for place in range(0, rows.count(), PAGE):
            for message in rows[place : place + PAGE]:
                yield (
                    "messages",
                    {
                        "created_at": message.created_at,
                        "event": message.event,
                        "told_to": urlsplit(message.endpoint.url).hostname,
                        "delivered_at": message.delivered_at,
                    },
                )

    def erase(self, *, program_id: int, subject_id: int, limit: int) -> Erased:
        """What is told of the erasure itself is written by one step, and waited for by the next ones."""
        few = list(queries.of_subject(subject_id).values_list("id", flat=True)[:limit])
        with role("zq_erase"):
            deleted, _ = WebhookMessage.objects.filter(subject_id=subject_id, id__in=few).delete()
        if deleted or actions.tell_erasure(program_id, subject_id):
            return Erased(deleted, finished=False)
        if queries.awaited(subject_id):
            raise AnswersAwaited
        return Erased(0, finished=True)

    def count(self, *, program_id: int, subject_id: int) -> int:
        return queries.of_subject(subject_id).count()

    def purge(self, *, program_id: int, keeping: Keeping, full: bool, limit: int) -> Iterator[int]:
        endpoints.forget_previous(program_id, now=keeping.now)
        endpoints.give_up_old(program_id, now=keeping.now)
        while few := list(_over(program_id, keeping).values_list("id", flat=True)[:limit]):
            with role("zq_erase"):
                deleted, _ = WebhookMessage.objects.filter(program_id=program_id, id__in=few).delete()
            yield deleted

    def over(self, *, program_id: int, keeping: Keeping) -> Iterator[Over]:
        if expired := _over(program_id, keeping).count():
            yield Over("webhook_message", Reason.EXPIRED, expired)


def _over(program_id: int, keeping: Keeping) -> QuerySet[WebhookMessage]:
    return queries.over(program_id, delivered_before=keeping.now - DELIVERED_KEPT, dead_before=keeping.now - DEAD_KEPT)
