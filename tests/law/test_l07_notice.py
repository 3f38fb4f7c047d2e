"""L7 (PIPL 7, 17, 30): a notice tells what the law asks for, in every language, and stays retrievable by its hash."""

import hashlib

import pytest
import rfc8785
import yaml

from consent.errors import Invalid
from consent.notices.actions import publish_notice
from consent.notices.linter import parse
from tests.cast import AT_ONCE, EXAMPLES, Program, example_notice, now

TOLD = ("controller", "contact", "introduction", "rights", "withdrawal", "purposes")
TOLD_OF_A_PURPOSE = (
    "title", "description", "methods", "categories", "retention_days", "after_retention", "recipients",
)  # fmt: skip


def without(name: str, *, of_a_purpose: bool) -> str:
    written = yaml.safe_load((EXAMPLES / "notice.yaml").read_text())
    del (written["purposes"][0] if of_a_purpose else written)[name]
    return yaml.safe_dump(written)


@pytest.mark.parametrize(
    ("name", "of_a_purpose"), [*((name, False) for name in TOLD), *((name, True) for name in TOLD_OF_A_PURPOSE)]
)
def test_a_notice_that_leaves_something_out_is_not_published(name: str, of_a_purpose: bool) -> None:
    with pytest.raises(Invalid, match=name):
        parse(without(name, of_a_purpose=of_a_purpose))


def test_a_sensitive_purpose_tells_of_necessity_and_impact_and_all_that_is_missing_is_told_at_once() -> None:
    written = yaml.safe_load((EXAMPLES / "notice.yaml").read_text())
    del written["contact"], written["purposes"][2]["necessity"], written["purposes"][2]["impact"]
    with pytest.raises(Invalid) as refusal:
        parse(yaml.safe_dump(written))
    assert {fault.pointer for fault in refusal.value.errors} == {
        "/contact", "/purposes/2/necessity", "/purposes/2/impact",
    }  # fmt: skip


def test_every_version_stays_retrievable_by_the_hash_of_what_it_says(program: Program) -> None:
    later = publish_notice(
        program_id=program.id, text=example_notice(), effective_at=None, lead=AT_ONCE, by="test", now=now()
    )
    for sha256 in (program.notice, later.sha256):
        told = program.get(f"notices/{sha256}", Authorization="").json()
        assert told.pop("sha256") == sha256
        del told["published_at"]
        assert hashlib.sha256(rfc8785.dumps(told)).hexdigest() == sha256
