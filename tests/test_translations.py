"""Everything the service says, it says in Chinese too."""

import gettext
import re

from tests import translations

PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}")


def test_every_text_is_translated() -> None:
    told = {key.partition("\0")[0] for key, value in translations.read().items() if value}
    missing = sorted(translations.ours() - told)
    assert not missing, f"add these to {translations.CATALOGUE.name}, then run python -m tests.translations: {missing}"


def test_nothing_is_translated_that_is_not_said() -> None:
    keys = {key.partition("\0")[0] for key in translations.read()} - {""}
    assert not sorted(keys - translations.ours() - translations.unfolds())


def test_no_entry_runs_into_the_one_before() -> None:
    """Where changes are put together line by line the empty line between two is lost, and the first is no more."""
    before = ""
    for number, line in enumerate(translations.CATALOGUE.read_text().splitlines(), start=1):
        begins = line.startswith(("msgid ", "#")) and not before.startswith("#")
        assert not begins or not before, f"line {number}: have an empty line before the entry"
        before = line


def test_translations_keep_their_placeholders() -> None:
    for key, value in translations.read().items():
        source = key.rpartition("\0")[2]
        assert set(PLACEHOLDER.findall(source)) == set(PLACEHOLDER.findall(value)), source


def test_the_compiled_catalogue_is_the_written_one() -> None:
    entries = translations.read()
    assert translations.COMPILED.read_bytes() == translations.compiled(entries), "run python -m tests.translations"
    with translations.COMPILED.open("rb") as file:
        catalogue = gettext.GNUTranslations(file)
    for key, value in entries.items():
        singular, _, plural = key.partition("\0")
        if singular:
            assert (catalogue.ngettext(singular, plural, 2) if plural else catalogue.gettext(singular)) == value
