"""Lists a mini-program's processors, adds, changes and ends them."""

from typing import Any

from consent.management.terms import TermCommand
from consent.notices.queries import categories_named
from consent.processing.models import Processor


class Command(TermCommand):
    help = (
        "Keep whom the processing is entrusted to, and what was agreed with them (PIPL 21): list the processors, add one,"
        " change one, or end its term. The end of a term stops nothing by itself; officers are told thirty days before."
    )
    model = Processor
    fields = {
        "name": "who it is",
        "contact": "how to reach them",
        "categories": "of what information, separated by commas, by the codes of the notice",
        "method": "the method of processing",
        "measures": "the protective measures",
        "contract": "the number the contract is filed under",
    }
    needed = tuple(fields)
    several = ("categories",)

    def unknown(self, program_id: int, term: Any) -> list[str]:
        return [*super().unknown(program_id, term), *sorted(set(term.categories) - categories_named(program_id))]
