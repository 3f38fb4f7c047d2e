"""L11 (PIPL 44, 45; NDR 25): a copy is whole; a transfer rests on four conditions that are recorded."""

from tests.cast import Program
from tests.consent.rights import Working, carry_out, file, lively, package_of, sections, shown


def test_a_copy_has_every_row_of_every_holder(program: Program, as_worker: Working) -> None:
    lively(program)
    filed = file(program, "copy")
    answer = carry_out(program, as_worker, filed)
    document = package_of(program, filed)
    assert [holder["holder"] for holder in document["holders"]] == [holder["holder"] for holder in answer["holders"]]
    found = sections(document)
    assert (len(found["events"]), len(found["attributes"]), len(found["records"])) == (6, 2, 3)


def test_a_transfer_records_its_four_conditions(program: Program) -> None:
    program.decide("alice")
    conditions = shown(program, file(program, "portability"))["conditions"]
    assert conditions == {
        "identity_verified": False,
        "consent_basis": True,
        "technically_feasible": True,
        "no_harm_to_others": True,
    }
