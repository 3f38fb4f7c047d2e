"""Publishes a notice with its purposes."""

from typing import Any

from django.core.management.base import CommandParser

from consent import edge
from consent.management.base import OperatorCommand, moment, program_argument, program_named, read_text
from consent.notices.actions import publish_notice
from consent.notices.document import parse


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
            help="when it takes effect, RFC 3339 with an offset: 2026-10-01T00:00:00+08:00 (default: now);"
            " only a mini-program's first notice may be dated back",
        )
        parser.add_argument("file", metavar="FILE.yaml", help="the notice; - reads standard input")
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        program = program_named(options)
        text = parse(read_text(options["file"]))
        notice = publish_notice(
            program_id=program.pk, text=text, effective_at=options["effective_at"], by="operator", now=edge.now()
        )
        purposes = [purpose.code for purpose in text.purposes]
        result = {
            "sha256": notice.sha256,
            "audience": notice.audience,
            "version": notice.version,
            "effective_at": notice.effective_at,
            "purposes": purposes,
        }
        self.answer(
            options,
            result,
            notice.sha256,
            then=(
                f"notice version {notice.version} for audience {notice.audience} published, in force from"
                f" {notice.effective_at.isoformat(timespec='seconds')}, {len(purposes)} purposes: {', '.join(purposes)}",
                f"next: manage.py catalogue import --program {program.pk} docs/examples/catalogue.yaml",
            ),
        )
