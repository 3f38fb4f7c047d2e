"""What a new version changes, field by field, and what of it asks for consent anew (PIPL 14).

Material is what adds to a purpose or broadens it, computed from the structured fields alone. Words are not compared: an
editorial change is none. "Broader" is transitive here, so a version need only be compared with the newest one before it
that tells of the purpose: what adds nothing to that adds nothing to any version whose consents still count. A purpose that
was narrowed and is widened again ends the consents to both, though the older ones would cover it: asked once too often.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext_noop as _

from consent.notices import told

_NOTICE_TEXTS = ("controller", "contact", "title", "introduction", "rights", "withdrawal")
_TEXTS = ("title", "description", "after_retention", "justification", "necessity", "impact")
_LISTS = {
    "methods": _("something more is done"),
    "categories": _("another category is collected"),
    "attributes": _("another profile attribute is collected"),
}
_EDITORIAL = _("words only")
_NARROWER = _("narrower than before")


@dataclass(frozen=True)
class Change:
    """`field`: a path as `recipients/NAME/categories`; `before` and `after` as the notices have them."""

    field: str
    before: Any
    after: Any
    material: bool
    why: str


class Standing(StrEnum):
    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    LEFT_OUT = "left_out"


@dataclass(frozen=True)
class PurposeDifference:
    """What becomes of one purpose. A new one asks for a consent of its own, and is material for no other."""

    code: str
    standing: Standing
    changes: list[Change] = field(default_factory=list)

    @property
    def material(self) -> bool:
        return any(change.material for change in self.changes)


@dataclass(frozen=True)
class Difference:
    """Of a version from the one before it (`since`: its number; None for the first)."""

    since: int | None
    changes: list[Change]
    purposes: list[PurposeDifference]

    @property
    def material(self) -> list[str]:
        """The codes of the purposes whose consents end."""
        return [purpose.code for purpose in self.purposes if purpose.material]


def difference(
    latest: Mapping[str, Any] | None, told_before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Any]
) -> Difference:
    """`latest`: the body of the version before; `told_before`: purpose code -> what the newest version telling of it said."""
    purposes = [_purpose(told_before.get(new["code"]), new, after["audience"]) for new in after["purposes"]]
    kept = {new["code"] for new in after["purposes"]}
    before = latest["purposes"] if latest else []
    gone = [PurposeDifference(old["code"], Standing.LEFT_OUT) for old in before if old["code"] not in kept]
    changes = list(_words(_NOTICE_TEXTS, latest, after)) if latest else []
    return Difference(latest["version"] if latest else None, changes, [*purposes, *gone])


def _purpose(before: Mapping[str, Any] | None, after: Mapping[str, Any], audience: str) -> PurposeDifference:
    if before is None:
        return PurposeDifference(after["code"], Standing.NEW)
    changes = [
        *_lists(before, after),
        *_retention(before, after),
        *_storage(before, after),
        *_sensitivity(before, after, audience),
        *_recipients(before, after),
        *_words(_TEXTS, before, after),
    ]
    return PurposeDifference(after["code"], Standing.CHANGED if changes else Standing.UNCHANGED, changes)


def _lists(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for name, why in _LISTS.items():
        old, new = sorted(set(told.entries(before, name))), sorted(set(told.entries(after, name)))
        if old != new:
            added = not set(new) <= set(old)
            yield Change(name, old, new, added, why if added else _NARROWER)


def _retention(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    old, new = before["retention_days"], after["retention_days"]
    if old != new:
        yield Change("retention_days", old, new, new > old, _("it is kept longer") if new > old else _NARROWER)
    ends, will_end = before.get("disposal", "deletion"), after.get("disposal", "deletion")
    if ends != will_end:
        kept = will_end != "deletion"
        why = _("what was deleted is kept in another form") if kept else _NARROWER
        yield Change("disposal", ends, will_end, kept, why)
    valid, will_be = before.get("validity_days"), after.get("validity_days")
    if valid != will_be:
        why = _("counts for consents to this version only")
        yield Change("validity_days", valid, will_be, False, why)


def _storage(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    old, new = (set(told.kept_in(purpose)) or {told.HOME} for purpose in (before, after))
    if told.entries(before, "storage") != told.entries(after, "storage"):
        leaves = bool(new - old - {told.HOME})
        why = _("it is kept in another country") if leaves else _EDITORIAL if old == new else _NARROWER
        yield Change("storage", before.get("storage"), after.get("storage"), leaves, why)


def _sensitivity(before: Mapping[str, Any], after: Mapping[str, Any], audience: str) -> Iterator[Change]:
    old, new = told.sensitive(before, audience), told.sensitive(after, audience)
    if old != new:
        yield Change("sensitive", old, new, new, _("it becomes sensitive information") if new else _NARROWER)


def _recipients(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    old = {recipient["name"]: recipient for recipient in told.recipients(before)}
    new = {recipient["name"]: recipient for recipient in told.recipients(after)}
    for name, recipient in new.items():
        if name not in old:
            why = _("somebody more gets it; a recipient is known by the name")
            yield Change(f"recipients/{name}", None, recipient, True, why)
        else:
            yield from _role(name, told.role(old[name], before), told.role(recipient, after))
            yield from _recipient(name, old[name], recipient)
    for name, recipient in old.items():
        if name not in new:
            yield Change(f"recipients/{name}", recipient, None, False, _NARROWER)


def _role(name: str, before: str, after: str) -> Iterator[Change]:
    if before != after:
        own = after == "controller"
        why = _("the recipient decides what it does with it (PIPL 23)") if own else _NARROWER
        yield Change(f"recipients/{name}/role", before, after, own, why)


def _recipient(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    path = f"recipients/{name}"
    old, new = sorted(set(before["categories"])), sorted(set(after["categories"]))
    if old != new:
        added = not set(new) <= set(old)
        yield Change(f"{path}/categories", old, new, added, _("the recipient gets more") if added else _NARROWER)
    for text in ("purpose", "method"):
        if before[text] != after[text]:
            why = _("the recipient does something else with it (PIPL 23)")
            yield Change(f"{path}/{text}", before[text], after[text], True, why)
    was, will_be = before.get("country", told.HOME), after.get("country", told.HOME)
    if was != will_be:
        leaves = will_be != told.HOME
        yield Change(f"{path}/country", was, will_be, leaves, _("it goes to another country") if leaves else _NARROWER)
    lets, will_let = before.get("mechanism"), after.get("mechanism")
    if lets != will_let:
        why = _("by what it may go abroad; not what becomes of it")
        yield Change(f"{path}/mechanism", lets, will_let, False, why)
    yield from (
        Change(f"{path}/{change.field}", change.before, change.after, False, change.why)
        for change in _words(("contact", "rights"), before, after)
    )


def _words(names: tuple[str, ...], before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for name in names:
        if before.get(name) != after.get(name):
            yield Change(name, before.get(name), after.get(name), False, _EDITORIAL)
