"""Sets up, lists, rotates, switches, removes and replays webhook endpoints."""

import uuid
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from consent import edge
from consent.management.base import OperatorCommand, moment, program_argument, program_named
from consent.programs.models import MiniProgram
from consent.programs.tenancy import tenant
from consent.webhooks import endpoints, queries
from consent.webhooks.models import Event, WebhookEndpoint, WebhookMessage

NEEDED = {
    "add": ("url", "events"),
    "list": (),
    "rotate": ("endpoint",),
    "on": ("endpoint",),
    "off": ("endpoint",),
    "remove": ("endpoint",),
    "replay": ("endpoint", "since"),
}
ONCE = "next: keep it now, it is not shown again; docs/webhooks.md shows how to verify a signature"
WAIT = "{} erasures wait for it and would go on without: remove it once you know that it has erased"
WAITED = "{} erasures waited for it and go on without: see to it that it has erased"
BY = "operator"


class Command(OperatorCommand):
    help = (
        "Have a backend told of changes by signed HTTP POST (docs/webhooks.md): add an endpoint, list them, rotate a secret,"
        " switch an endpoint off or on, remove it with what waits for it, or send again what was given up."
        f" Events: {', '.join(Event.values)}."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=tuple(NEEDED), help="list changes nothing")
        program_argument(parser)
        parser.add_argument("--endpoint", type=uuid.UUID, metavar="ID", help="all but add and list: as list prints it")
        parser.add_argument("--url", help="with add: where to POST, https")
        parser.add_argument("--events", help="with add: which events, separated by commas")
        parser.add_argument(
            "--acknowledges",
            action="store_true",
            help="with add: who answers there holds personal data, so an erasure is complete only after its 2xx",
        )
        parser.add_argument("--since", type=moment, metavar="TIME", help="with replay: what was made since then")
        parser.add_argument(
            "--delivered", action="store_true", help="with replay: what was delivered too, not only what was given up"
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="with remove: only say what would be deleted, and how many erasures wait for it",
        )
        super().add_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        action = options["action"]
        if missing := [f"--{name}" for name in NEEDED[action] if options[name] is None]:
            raise CommandError(f"give {', '.join(missing)} with {action}")
        if options["dry_run"] and action != "remove":
            raise CommandError("--dry-run goes with remove: nothing else deletes")
        getattr(self, f"_{action}")(program_named(options), options)

    def _add(self, program: MiniProgram, options: dict[str, Any]) -> None:
        made, secret = endpoints.add(
            vault=edge.vault(),
            program_id=program.pk,
            url=options["url"],
            events={event.strip() for event in options["events"].split(",") if event.strip()},
            acknowledges=options["acknowledges"],
            plain=not settings.TLS,
            by=BY,
        )
        result = {**_row(made), "secret": secret}
        self.answer(options, result, secret, then=(f"endpoint {made.id} added, told of {', '.join(made.events)}", ONCE))

    def _list(self, program: MiniProgram, options: dict[str, Any]) -> None:
        with tenant(program.pk):
            found = [_row(endpoint) for endpoint in queries.endpoints(program.pk)]
        lines = [
            f"{row['endpoint']}  {'on ' if row['active'] else 'off'}"
            f"{'  acknowledges' if row['acknowledges'] else ''}  {row['url']}  {','.join(row['events'])}"
            for row in found
        ]
        self.answer(options, {"endpoints": found}, *lines)

    def _rotate(self, program: MiniProgram, options: dict[str, Any]) -> None:
        endpoint_id = options["endpoint"]
        secret = endpoints.rotate(vault=edge.vault(), program_id=program.pk, endpoint_id=endpoint_id, by=BY)
        until = edge.now() + endpoints.OVERLAP
        result = {"endpoint": str(endpoint_id), "secret": secret, "previous_until": until}
        told = f"the secret before it signs too, until {until:%Y-%m-%d %H:%M} UTC"
        self.answer(options, result, secret, then=(told, ONCE))

    def _on(self, program: MiniProgram, options: dict[str, Any]) -> None:
        self._switch(program, options, on=True)

    def _off(self, program: MiniProgram, options: dict[str, Any]) -> None:
        self._switch(program, options, on=False)

    def _switch(self, program: MiniProgram, options: dict[str, Any], *, on: bool) -> None:
        waited = 0 if on else _waiting(program, options)
        changed = endpoints.switch(program_id=program.pk, endpoint_id=options["endpoint"], on=on, by=BY)
        result = {"endpoint": str(options["endpoint"]), "active": on, "changed": changed, "erasures_waited": waited}
        told = f"switched {'on' if on else 'off'}" if changed else "nothing to change"
        self.answer(options, result, then=(told, *([WAITED.format(waited)] if waited else [])))

    def _remove(self, program: MiniProgram, options: dict[str, Any]) -> None:
        endpoint_id, waited = options["endpoint"], _waiting(program, options)
        if options["dry_run"]:
            with tenant(program.pk):
                if not any(endpoint.id == endpoint_id for endpoint in queries.endpoints(program.pk)):
                    raise CommandError("this mini-program has no webhook endpoint of this id: list prints them")
                messages = WebhookMessage.objects.filter(program_id=program.pk, endpoint_id=endpoint_id).count()
            told, wait = f"the endpoint and {messages} messages would be deleted; nothing was deleted", WAIT
        else:
            messages = endpoints.remove(program_id=program.pk, endpoint_id=endpoint_id, by=BY)
            told, wait = f"the endpoint and {messages} messages are deleted", WAITED
        result = {
            "endpoint": str(endpoint_id),
            "messages": messages,
            "removed": not options["dry_run"],
            "erasures_waited": waited,
        }
        self.answer(options, result, then=(told, *([wait.format(waited)] if waited else [])))

    def _replay(self, program: MiniProgram, options: dict[str, Any]) -> None:
        count = endpoints.replay(
            program_id=program.pk,
            endpoint_id=options["endpoint"],
            since=options["since"],
            delivered=options["delivered"],
            by=BY,
        )
        result = {"endpoint": str(options["endpoint"]), "messages": count}
        self.answer(options, result, then=(f"{count} messages are sent again, under the ids they had",))


def _waiting(program: MiniProgram, options: dict[str, Any]) -> int:
    with tenant(program.pk):
        return queries.waiting_for(options["endpoint"])


def _row(endpoint: WebhookEndpoint) -> dict[str, Any]:
    return {
        "endpoint": str(endpoint.id),
        "url": endpoint.url,
        "events": endpoint.events,
        "active": endpoint.active,
        "acknowledges": endpoint.acknowledges,
        "released": endpoint.released,
        "created_at": endpoint.created_at,
    }
