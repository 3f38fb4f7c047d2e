"""The compliance audit report of a period (PIPL 54, NDR 27): sections of figures, each with how it is computed.

make(program=…, period=…, …)     # reads all at one moment, and leaves an audit entry
document(report)                 # its JSON, the same in every language, with the hash of what it says
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import rfc8785
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from consent.auditing import looked_up, stated
from consent.auditing.figures import Asked, Definition, Figure, Lasting, Period, made
from consent.ledger.audit import audit
from consent.programs.models import MiniProgram
from consent.programs.tenancy import snapshot
from consent.vault.keyring import Keyring

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

FORMAT = "zhiqing-audit-report/1"
ACTION = "audit_report.made"


@dataclass(frozen=True)
class Section:
    code: str
    title: "_StrPromise"
    figures: Sequence[Figure]


@dataclass(frozen=True)
class Report:
    """`k`: figures of fewer people are not told; `now`: when it was made."""

    program: MiniProgram
    period: Period
    now: datetime
    k: int
    sections: Sequence[Section]

    @property
    def over(self) -> bool:
        """Whether the period is: figures that are fixed stay as they are from then on."""
        return self.period.ends <= self.now


def make(
    *, program: MiniProgram, period: Period, now: datetime, within: timedelta, k: int, keyring: Keyring, by: str
) -> Report:
    """Read all the figures at one moment; nothing is changed but that an audit entry keeps who made it. Not within a transaction."""
    asked = Asked(program.pk, period, now, within, k)
    with snapshot(program.pk):
        sections = [
            Section(code, title, [made(definition, asked) for definition in definitions])
            for code, (title, definitions) in _sections(keyring).items()
        ]
        audit(
            program_id=program.pk,
            actor=by,
            action=ACTION,
            target=f"program:{program.pk}",
            details={"first": period.first.isoformat(), "last": period.last.isoformat()},
        )
    return Report(program, period, now, k, sections)


def _sections(keyring: Keyring) -> Mapping[str, "tuple[_StrPromise, Sequence[Definition]]"]:
    return {
        "requests": (_("Requests of data subjects"), stated.REQUEST_FIGURES),
        "consents": (_("Consents and what they leave"), (looked_up.CONSENTS, stated.ERASED, stated.ENDED)),
        "minors": (_("People under 14, by whole calendar year"), stated.MINORS_FIGURES),
        "notices": (
            _("Notices and impact assessments"),
            (looked_up.NOTICES, stated.ASSESSED, looked_up.ASSESSMENTS),
        ),
        "holds": (_("Legal holds"), (stated.HELD,)),
        "disclosures": (_("What was given to whom"), (stated.DISCLOSED, stated.GIVEN_UP)),
        "security": (
            _("Breaches, keys and the log"),
            (
                stated.BREACHES,
                stated.RISKS,
                looked_up.keys(keyring),
                stated.DATA_KEYS,
                stated.API_KEYS,
                stated.LEDGER,
                stated.LEAVES,
            ),
        ),
        "officers": (_("Officers and what was done"), (stated.ACCOUNTS, stated.ACTIONS)),
    }


def document(report: Report) -> dict[str, Any]:
    """As JSON has it. `sha256` is that of the RFC 8785 form of all the rest; `fixed_sha256` that of format, program, period, k and the
    figures that are fixed, so that a report made later of a period that is over has the same."""
    with translation.override("en"):
        figures = {
            section.code: {figure.definition.code: _figure(figure) for figure in section.figures}
            for section in report.sections
        }
    about = {
        "format": FORMAT,
        "program": {"id": report.program.pk, "name": report.program.name, "sandbox": report.program.sandbox},
        "period": {
            "first": report.period.first.isoformat(),
            "last": report.period.last.isoformat(),
            "zone": report.period.zone.key,
            "over": report.over,
        },
        "k": report.k,
    }
    fixed = {
        code: figure
        for section in figures.values()
        for code, figure in section.items()
        if figure["lasting"] == Lasting.FIXED
    }
    body = {
        **about,
        "as_of": report.now.isoformat(),
        "sections": figures,
        "fixed_sha256": _sha256({**about, "figures": fixed}),
    }
    return {**body, "sha256": _sha256(body)}


def _figure(figure: Figure) -> dict[str, Any]:
    names = [column.code for column in figure.definition.columns]
    return {
        "title": str(figure.definition.title),
        "definition": str(figure.definition.definition),
        "lasting": figure.definition.lasting.value,
        "rows": [dict(zip(names, row, strict=True)) for row in figure.rows],
    }


def _sha256(content: dict[str, Any]) -> str:
    return hashlib.sha256(rfc8785.dumps(content)).hexdigest()
