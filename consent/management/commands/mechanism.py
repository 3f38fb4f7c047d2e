"""Lists a mini-program's cross-border mechanisms, adds, changes and ends them."""

from typing import Any

from consent.management.terms import TermCommand
from consent.notices import assessments
from consent.notices.queries import recipients_abroad
from consent.processing.models import Mechanism, MechanismKind


class Command(TermCommand):
    help = (
        "Keep what lets the information of some purposes go to a recipient abroad (PIPL 38): list the mechanisms, add one,"
        " change one, or end its term, and see which active purposes lack one. The end of a term stops no purpose by itself;"
        " officers are told thirty days before."
    )
    model = Mechanism
    fields = {
        "kind": "what it is",
        "recipient": "the recipient abroad, as the notice names it",
        "reference": "the number it was granted or filed under",
        "ground": "of an exemption, in place of a reference: its ground",
    }
    needed = ("kind", "recipient")
    choices = {"kind": MechanismKind.values}

    def unknown(self, program_id: int, term: Any) -> list[str]:
        return [*super().unknown(program_id, term), *sorted({term.recipient} - recipients_abroad(program_id))]

    def more(self, program_id: int) -> dict[str, Any]:
        return {"unlet": assessments.unlet_now(program_id)}
