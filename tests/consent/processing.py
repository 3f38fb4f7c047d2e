"""Processors, cross-border mechanisms, incidents and looks at risks for tests to look at."""

from datetime import timedelta
from typing import Any

from consent import edge
from consent.monitoring import runs
from consent.monitoring.models import RiskRun
from consent.processing import incidents, terms
from consent.processing.incidents import Said
from consent.processing.models import Incident, Mechanism, Processor, Term
from tests.cast import Program, now

PROCESSOR = {
    "name": "Cloud Ltd",
    "contact": "dpo@cloud.example",
    "purposes": ["analytics"],
    "categories": ["behaviour"],
    "method": "storage",
    "measures": "encryption at rest",
    "contract": "C-2026-7",
    "valid_from": now().date() - timedelta(days=30),
    "valid_until": now().date() + timedelta(days=300),
}
MECHANISM = {
    "kind": "standard_contract",
    "recipient": "Partner Ltd",
    "reference": "SCC-1",
    "ground": "",
    "purposes": ["health"],
    "valid_from": now().date() - timedelta(days=30),
    "valid_until": None,
}


def processor(program: Program, **more: Any) -> Term:
    return terms.add(Processor, program_id=program.id, given=PROCESSOR | more, by="test")


def mechanism(program: Program, *purposes: str, **more: Any) -> Term:
    """Lets the purposes' information go to notice_texts.ABROAD's recipient."""
    given = MECHANISM | ({"purposes": list(purposes)} if purposes else {}) | more
    return terms.add(Mechanism, program_id=program.id, given=given, by="test")


def incident(program: Program, **more: Any) -> Incident:
    given: dict[str, Any] = {"happened": "a backup was copied", "found_at": now() - timedelta(hours=1)}
    return incidents.open_incident(program_id=program.id, said=Said(**given | more), by="test")


def risk_run(program: Program) -> RiskRun:
    """A look that found a term which ends."""
    processor(program, valid_until=now().date() + timedelta(days=5))
    return runs.run(program_id=program.id, keyring=edge.vault().keyring, sinks=edge.ledger_sinks(), by="test")
