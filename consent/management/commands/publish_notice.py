"""Publishes a notice with its purposes, or says what publishing it would change."""

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from consent import edge
from consent.management.base import OperatorCommand, moment, program_argument, program_named, read_text
from consent.notices import assessments, told
from consent.notices.actions import publish_notice
from consent.notices.difference import Change, Difference, PurposeDifference
from consent.notices.document import NoticeText
from consent.notices.linter import parse
from consent.notices.models import Notice, Purpose
from consent.notices.queries import compared
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant


class Command(OperatorCommand):
    help = (
        "Publish a version of a mini-program's notice with its purposes. It cannot be changed afterwards: a change is"
        " a new version. docs/formats.md describes the file, docs/examples/notice.yaml is one that works."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        program_argument(parser)
        parser.add_argument(
            "--effective-at",
            type=moment,
            metavar="TIME",
            help="when it takes effect, RFC 3339 with an offset: 2026-10-01T00:00:00+08:00 (default: as soon as it may:"
            " a first version now, a later one when no batch in flight goes by the one before);"
            " only a mini-program's first notice may be dated back",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="say what it would change, purpose by purpose; publish nothing"
        )
        parser.add_argument("file", metavar="FILE.yaml", help="the notice; - reads standard input")
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        program = program_named(options)
        text = parse(read_text(options["file"]))
        with tenant(program.pk):
            change = compared(program.pk, text)
            lacking = assessments.wanting(program.pk, text)
            unlet = assessments.wanting_mechanism(program.pk, text)
        if options["dry_run"]:
            result = {"published": False, **as_json(change), "lacking": lacking, "unlet": unlet}
            self.answer(options, result, *lines(change, lacking), *_unlet(unlet))
        else:
            self._publish(options, program, text, change)

    def _publish(self, options: dict[str, Any], program: MiniProgram, text: NoticeText, change: Difference) -> None:
        notice = publish_notice(
            program_id=program.pk,
            text=text,
            effective_at=options["effective_at"],
            lead=edge.notice_lead(),
            by="operator",
            now=edge.now(),
        )
        material, inactive = _outcome(notice)
        purposes = [purpose.code for purpose in text.purposes]
        result = {
            "published": True,
            "sha256": notice.sha256,
            "audience": notice.audience,
            "version": notice.version,
            "effective_at": notice.effective_at,
            "inactive": inactive,
            **as_json(change),
            "purposes": purposes,
            "material": material,
        }
        self.answer(
            options,
            result,
            notice.sha256,
            then=(
                f"notice version {notice.version} for audience {notice.audience} published, in force from"
                f" {notice.effective_at.isoformat(timespec='seconds')}, {len(purposes)} purposes: {', '.join(purposes)}",
                *(f"consents to {code} end then: the version broadens it" for code in material),
                *(
                    f"{code} is not active: manage.py purpose assess --program {program.pk} --purpose {code} …,"
                    f" a cross-border mechanism (manage.py mechanism) where it goes abroad, then purpose activate"
                    for code in inactive
                ),
                f"next, once and at each change of what is collected: manage.py catalogue import --program {program.pk} FILE.yaml"
                " (docs/examples/catalogue.yaml is one)",
            ),
        )


def _outcome(notice: Notice) -> tuple[list[str], list[str]]:
    """Codes of the purposes whose consents end, and of those that are not active."""
    with tenant(notice.program_id):
        told_of = Purpose.objects.filter(versions__notice=notice).order_by("id")
        material = list(told_of.filter(versions__material=True, versions__notice=notice).values_list("code", flat=True))
        return material, list(told_of.filter(active=False).values_list("code", flat=True))


def as_json(change: Difference) -> dict[str, Any]:
    return {
        "since": change.since,
        "material": change.material,
        "changes": [asdict(item) for item in change.changes],
        "differences": [asdict(purpose) | {"material": purpose.material} for purpose in change.purposes],
    }


def lines(change: Difference, lacking: dict[str, list[str]]) -> list[str]:
    """The difference as people read it, and which impact assessments are missing."""
    if change.since is None:
        shown = [f"the first version, of {len(change.purposes)} purposes"]
    else:
        shown = [f"against version {change.since}: {_verdict(change.material)}"]
        shown += [_line(item) for item in change.changes]
        for purpose in change.purposes:
            shown += _purpose(purpose)
    return shown + [f"{code}: no impact assessment covers {', '.join(grounds)}" for code, grounds in lacking.items()]


def _unlet(unlet: dict[str, list[str]]) -> list[str]:
    return [f"{code}: no cross-border mechanism is valid today for {', '.join(names)}" for code, names in unlet.items()]


def _verdict(material: list[str]) -> str:
    return f"consents end to {', '.join(material)}" if material else "no consent ends"


def _purpose(purpose: PurposeDifference) -> list[str]:
    head = f"{purpose.code}: {purpose.standing.replace('_', ' ')}{', material' if purpose.material else ''}"
    return [head, *(_line(item) for item in purpose.changes)]


def _line(change: Change) -> str:
    sign = "!" if change.material else " "
    return f"  {sign} {change.field}: {_value(change.before)} -> {_value(change.after)} ({change.why})"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("en") or value.get("name") or " ".join(map(_value, told.said(value))))
    return ", ".join(map(_value, value)) if isinstance(value, list) else "nothing" if value is None else str(value)
