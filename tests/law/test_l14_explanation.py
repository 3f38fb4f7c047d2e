"""L14 (PIPL 48): the rules are explained on request, for the person who asks."""

from tests.cast import Program
from tests.consent.rights import Working, carry_out, file, package_of, sections


def test_the_rules_are_explained_on_request(program: Program, as_worker: Working) -> None:
    program.decide("alice")
    filed = file(program, "explanation")
    assert carry_out(program, as_worker, filed)["state"] == "completed"
    found = sections(package_of(program, filed))
    rule = next(row for row in found["rules"] if row["purpose"] == "analytics")
    assert (rule["state"], rule["recorded"]) == ("given", True)
    for locale in ("zh-Hans", "en"):
        told = rule["told"][locale]
        assert rule["in_words"][locale]
        assert all(told[name] for name in ("title", "description", "methods", "categories", "retention_days"))
        assert found["notice_in_force"][0]["withdrawal"][locale]
