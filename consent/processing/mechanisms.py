"""Which recipients abroad may get a purpose's information today (PIPL 38)."""

from collections.abc import Collection, Mapping

from django.db.models import Q

from consent.processing.models import Mechanism
from consent.records.queries import today


def lacking(program_id: int, wanted: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
    """Purpose code -> those of its recipients abroad for which no mechanism is valid today; left out where there is none
    such. Within the mini-program's tenant."""
    if not any(wanted.values()):
        return {}
    day = today(program_id)
    valid = Mechanism.objects.filter(
        Q(valid_until__isnull=True) | Q(valid_until__gte=day), program_id=program_id, valid_from__lte=day
    )
    letting = {(code, recipient) for recipient, codes in valid.values_list("recipient", "purposes") for code in codes}
    missing = {code: sorted(name for name in names if (code, name) not in letting) for code, names in wanted.items()}
    return {code: left for code, left in missing.items() if left}


def missing_detail(recipients: Collection[str]) -> str:
    return f"record a cross-border mechanism that is valid today for {', '.join(recipients)} (PIPL 38)"
