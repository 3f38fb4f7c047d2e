"""The events of a package as a table (RFC 4180, UTF-8): made from the sealed document while it is read, as the page is.

A column for each field of an event, in the document's order; what is no text or number stands as JSON. Texts were sent by
anybody: one that a spreadsheet would take for a formula has an apostrophe before it, which makes it a text there.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from consent.rights import packages
from consent.rights.models import Package
from consent.vault.identities import Vault

SECTION = "events"
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""By what a formula begins, full width too."""


def stream(vault: Vault, package: Package) -> Iterator[bytes]:
    """The table in pieces of about 256 KiB. Raises what `packages.stream` raises, before the first piece."""
    lines = packages.lines(packages.stream(vault, package))
    return packages.gathered(text.encode() for text in _texts(lines))


def _texts(lines: Iterable[bytes]) -> Iterator[str]:
    within, columns = False, None
    for line in lines:
        if line.endswith(b"["):
            within = line.lstrip(b"],") == b'"%s":[' % SECTION.encode()
        elif line.startswith(b"]"):
            within = False
        elif within and line.startswith(b"{"):
            row: dict[str, Any] = msgspec.json.decode(line)
            if columns is None:
                columns = list(row)
                yield written_row(columns)
            yield written_row([cell(row.get(name)) for name in columns])


def written_row(cells: Iterable[Any]) -> str:
    written = io.StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue()


def cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) else value
    return msgspec.json.encode(value).decode() if isinstance(value, dict | list | bool) else value
