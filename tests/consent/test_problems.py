"""What is wrong with a call is answered as a problem, whatever of the call it is."""

import pytest

from tests.cast import Program
from tests.consent.rights import problem


@pytest.mark.parametrize("keyed", [True, False])
def test_more_parameters_than_anybody_reads_are_a_malformed_call(program: Program, keyed: bool) -> None:
    many = "&".join(f"p{number}=1" for number in range(1001))
    headers = {} if keyed else {"Authorization": ""}
    problem(program.get(f"requests?{many}", **headers), 400, "malformed")


def test_the_form_of_an_answer_is_asked_for_by_accept_alone(program: Program) -> None:
    assert program.get("requests?format=csv").content == program.get("requests").content
