"""The package as a page for people: one HTML file without script or anything from elsewhere, in the request's language.

It is made from the sealed document while it is read, so there is one truth and nothing more is kept. The document is read
line by line (see `packages.fragments`), the last holder first: who you are, your requests, your consents, then the events.
Whatever was sent by anybody is escaped; each value stands in the page exactly as the document has it, also where people
read a word or a local time in its place (`<data value>`, `<time datetime>`).
"""

from collections.abc import Container, Iterator, Mapping
from datetime import datetime
from itertools import chain, groupby, islice
from operator import itemgetter
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.html import escape
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from consent.errors import NotFound
from consent.notices import queries
from consent.notices.document import LOCALES
from consent.notices.models import Audience
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant
from consent.records.queries import db_now
from consent.rights import packages
from consent.rights.holders import Row, UnknownHolder, fulfilling, holder_of
from consent.rights.languages import language, localised
from consent.rights.models import Package, RequestKind, SubjectRequest
from consent.rights.own_words import choices
from consent.vault.identities import Vault
from consent.vault.models import Subject

DEEPEST = 6
SHOWN, LOOKED_AT = 10, 1_000
"""Rows of a section, and of a holder, that an excerpt shows and reads at most."""
TIMES = ("_at", ".at", "_from", "_until", "since")
LOCALISED = ("told", "in_words", "rights", "withdrawal")
"""Fields that hold a text in each of our languages, of which the reader's is shown."""
_HEAD = {
    "request_id": _("request"),
    "kind": _("kind"),
    "received_at": _("received at"),
    "prepared_at": _("made at"),
    "subject_id": _("pseudonym"),
    "format": _("format"),
}
_ABOVE = ("kind", "received_at", "prepared_at")
Words = Mapping[str, str]
Layout = Mapping[str, tuple[str, ...]]


def stream(vault: Vault, package: Package) -> Iterator[bytes]:
    """The page in pieces of about 256 KiB. Raises what `packages.stream` raises, before the first piece."""
    document = packages.stream(vault, package, last_first=True)
    with tenant(package.program_id):
        request = SubjectRequest.objects.get(id=package.request_id)
        program = MiniProgram.objects.select_related("controller").get(id=package.program_id)
        page = _Page(program, request.locale, request.kind)
    return packages.gathered(piece.encode() for piece in page.pieces(packages.lines(document)))


def excerpt(vault: Vault, subject: Subject, locale: str) -> str:
    """The beginning of everything held of a subject, as HTML to stand in a page of ours. Under the tenant."""
    program = MiniProgram.objects.select_related("controller").get(id=subject.program_id)
    found = fulfilling(RequestKind.ACCESS)
    cut: set[tuple[str, str]] = set()
    told = (
        packages.fragments(
            holder,
            _beginning(holder.identifier, holder.export(vault=vault, subject=subject), cut),
            first=place == 0,
            locale=locale,
        )
        for place, holder in enumerate(reversed(found))
    )
    page = _Page(program, locale, cut=cut)
    return "".join(page.rows(packages.lines(chain.from_iterable(told))))


def _beginning(holder: str, rows: Iterator[Row], cut: set[tuple[str, str]]) -> Iterator[Row]:
    """Some rows of each section, without reading on: a person may have millions of events. Of what it left out `cut` has holder
    and section by the time the section ends, and no section where there may be more of them."""
    for name, section in groupby(islice(rows, LOOKED_AT), key=itemgetter(0)):
        for place, row in enumerate(section):
            if place == SHOWN:
                cut.add((holder, name))
                break
            yield row
    if next(rows, None) is not None:
        cut.add((holder, ""))


class _Page:
    """Writes the page as the lines come. What is translated is so before it is needed: between two pieces other work
    of the thread may have another language."""

    def __init__(
        self,
        program: MiniProgram,
        locale: str,
        kind: str = RequestKind.ACCESS,
        cut: Container[tuple[str, str]] = frozenset(),
    ) -> None:
        self._program, self._locale, self._zone, self._kind = program, locale, ZoneInfo(program.zone), kind
        with translation.override(language(locale)):
            self._yes, self._no, self._none = gettext("yes"), gettext("no"), gettext("none")
            self._more = gettext("more")
            self._first = gettext("Only the first %(count)s are shown here. A copy has all of them.") % {"count": SHOWN}
            self._beyond = gettext("There is more of this than is shown here. A copy has all of it.")
            head_words = {name: str(word) for name, word in _HEAD.items()} | choices("kind", RequestKind)
            self._opening = render_to_string("consent/package/opening.html", self._context())
        self._words: Words = head_words
        self._columns: Layout = {}
        self._cards: Layout = {}
        self._cut, self._holder_id = cut, ""
        self._section, self._end = "", ""

    def _context(self) -> dict[str, Any]:
        context = {
            "kind": self._kind,
            "lang": "zh-Hans" if language(self._locale) == "zh-hans" else "en",
            "program": self._program.name,
            "controller": self._program.controller.name,
            "zone": self._program.zone,
        }
        try:
            body = queries.in_force(self._program.pk, Audience.GENERAL, now=db_now()).body
        except NotFound:
            return context
        told = {name: localised(body[name], self._locale) for name in ("rights", "withdrawal")}
        return context | {"controller": body["controller"], "contact": body["contact"]} | told

    def pieces(self, lines: Iterator[bytes]) -> Iterator[str]:
        """`lines`: the head, then holders with sections with rows."""
        yield self._opening
        yield from self.rows(lines)
        yield "</main></body></html>\n"

    def rows(self, lines: Iterator[bytes]) -> Iterator[str]:
        """What the lines tell, without a page around it."""
        for line in lines:
            if line.startswith(b"{") and line.endswith(b"["):
                head = msgspec.json.decode(line + b"]}")
                yield self._card({name: value for name, value in head.items() if name != "holders"}, _ABOVE)
            elif line.endswith(b"{"):
                yield self._holder_ended() + self._holder(msgspec.json.decode(line + b"}}"))
            elif line.endswith(b"["):
                yield self._ended() + self._begun(msgspec.json.decode(line.lstrip(b"],")[:-2]))
            elif line.startswith(b"{"):
                yield self._row(msgspec.json.decode(line))
        yield self._holder_ended()

    def _holder(self, told: dict[str, Any]) -> str:
        self._words, self._columns, self._cards = {}, {}, {}
        self._holder_id = told["holder"]
        try:
            holder = holder_of(told["holder"])
        except UnknownHolder:
            holder = None
        if holder is not None:
            with tenant(self._program.pk), translation.override(language(self._locale)):
                words = holder.words(program_id=self._program.pk)
                self._words = {name: str(word) for name, word in words.items()}
            self._columns, self._cards = holder.columns, holder.cards
        return (
            f'<h2 data-holder="{escape(told["holder"])}">{escape(told["title"])}</h2>\n'
            f'<p class="about">{escape(told["description"])}</p>\n'
        )

    def _begun(self, section: str) -> str:
        """The section's heading, and its table's where it has one."""
        self._section = section
        heading = f"<h3>{self._label(section)}</h3>\n"
        columns = self._columns.get(section)
        if columns is None:
            return heading
        self._end = "</tbody></table>\n"
        titles = "".join(f"<th>{self._label(name)}</th>" for name in columns)
        return f"{heading}<table><thead><tr>{titles}<th>{escape(self._more)}</th></tr></thead><tbody>\n"

    def _ended(self) -> str:
        end, self._end = self._end, ""
        if self._section and (self._holder_id, self._section) in self._cut:
            end += f'<p class="cut">{escape(self._first)}</p>\n'
        self._section = ""
        return end

    def _holder_ended(self) -> str:
        more = (self._holder_id, "") in self._cut
        return self._ended() + (f'<p class="cut">{escape(self._beyond)}</p>\n' if more else "")

    def _row(self, row: dict[str, Any]) -> str:
        columns = self._columns.get(self._section)
        if columns is None:
            return self._card(row, self._cards.get(self._section, tuple(row)))
        cells = "".join(
            f'<td data-label="{self._label(name)}">{self._value(name, row.get(name))}</td>' for name in columns
        )
        return f'<tr>{cells}<td class="more" data-label="{escape(self._more)}">{self._rest(row, columns)}</td></tr>\n'

    def _card(self, row: dict[str, Any], first: tuple[str, ...]) -> str:
        main = self._fields({name: row.get(name) for name in first}, "")
        return f'<div class="card">{main}<div class="more">{self._rest(row, first)}</div></div>\n'

    def _rest(self, row: dict[str, Any], shown: tuple[str, ...]) -> str:
        return self._fields({name: value for name, value in row.items() if name not in shown}, "")

    def _fields(self, fields: Mapping[str, Any], path: str) -> str:
        """A list of what is there; what is null is left out."""
        told = "".join(
            f"<div><dt>{self._label(path + name)}</dt><dd>{self._value(path + name, value)}</dd></div>"
            for name, value in fields.items()
            if value is not None
        )
        return f"<dl>{told}</dl>" if told else ""

    def _label(self, path: str) -> str:
        """A word for a field we know; a name that somebody sent as it is."""
        return escape(self._words.get(path) or path.rpartition(".")[2])

    def _value(self, path: str, value: Any) -> str:
        if path in LOCALISED and isinstance(value, dict) and value.keys() == set(LOCALES):
            value = value["zh-Hans" if language(self._locale) == "zh-hans" else "en"]
        if value is None or value == [] or value == {}:
            return f'<span class="none">{escape(self._none if value is not None else "–")}</span>'
        if isinstance(value, bool):
            return f'<data value="{str(value).lower()}">{escape(self._yes if value else self._no)}</data>'
        if isinstance(value, str):
            return self._text(path, value)
        if isinstance(value, dict | list) and path.count(".") < DEEPEST:
            return self._nested(path, value)
        return f"<code>{escape(msgspec.json.encode(value).decode())}</code>"

    def _nested(self, path: str, value: Any) -> str:
        if isinstance(value, dict):
            return self._fields(value, f"{path}.")
        if not any(isinstance(item, dict | list) for item in value):
            return ", ".join(self._value(path, item) for item in value)
        return "<ul>" + "".join(f"<li>{self._value(path, item)}</li>" for item in value) + "</ul>"

    def _text(self, path: str, value: str) -> str:
        word = self._words.get(f"{path}={value}")
        if word is not None:
            return f'<data value="{escape(value)}">{escape(word)}</data>'
        local = self._local(value) if path.endswith(TIMES) and path in self._words else None
        if local is not None:
            return f'<time datetime="{escape(value)}">{local}</time>'
        return f"<bdi>{escape(value)}</bdi>"

    def _local(self, value: str) -> str | None:
        """The mini-program's time of a moment; None for what is none, or not on the calendar there."""
        try:
            moment = datetime.fromisoformat(value)
            return None if moment.tzinfo is None else f"{moment.astimezone(self._zone):%Y-%m-%d %H:%M:%S}"
        except (ValueError, OverflowError):
            return None
