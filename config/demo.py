"""`make demo`: the main job from nothing, on a stack of its own under VAR/demo, stopped at the end.

Sets a mini-program up by the operator's commands, then does over HTTP what its backend would: consents, events,
withdrawals, requests of data subjects, a report. What the service answers is checked against what the simulation
(config.simulation) says it must; a mismatch is an error exit.
"""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Table

from config import simulation
from config.embedded import EmbeddedError
from config.serve import LOOPBACK, ROOT, ServeError, Stack, interruptible, running
from config.simulation import Event, Person, Plan, number_of
from consent.management.progress import Report, progress
from tracking.client import Client, ClientError
from tracking.parallel import each

ZONE = "Asia/Shanghai"
BATCH = 500
RESENT_EVERY = 10
THREADS = 4
PATIENCE_S = 90.0
POLL_S = 0.3
EXAMPLES = "docs/examples"
SCOPES = "consents,events,requests,reports,import"
CLOSED = {"completed", "partially_completed", "completed_no_data", "rejected", "withdrawn", "failed"}


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


@dataclass
class Story:
    """What the service has answered so far, and where that is not what it had to be."""

    consents: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    stored: int = 0
    duplicates: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    completed: Counter[str] = field(default_factory=Counter)
    erased_events: int = 0
    activity: list[dict[str, Any]] = field(default_factory=list)
    mismatches: list[str] = field(default_factory=list)

    def expect(self, what: str, got: object, wanted: object) -> None:
        if got != wanted:
            self.mismatches.append(f"{what}: expected {wanted}, the service answered {got}")

    def line(self, seconds: float) -> str:
        """The demo's last line."""
        last = self.activity[-1]["dau"] if self.activity else 0
        return (
            f"demo: consents={self.consents} stored={self.stored} refused={self.refused.total()}"
            f" duplicates={self.duplicates} requests_completed={self.completed.total()}"
            f" erased_events={self.erased_events} dau_last_day={last} seconds={seconds:.0f}"
        )


class Screen:
    """Steps, tables and bars on a terminal; plain lines elsewhere."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self.fancy = self.console.is_terminal

    def say(self, text: str, style: str = "") -> None:
        if self.fancy:
            self.console.print(text, style=style, markup=False)
        else:
            print(text, flush=True)

    def step(self, text: str) -> None:
        self.say(f"\n{text}" if self.fancy else text, "bold")

    def table(self, title: str, rows: list[dict[str, Any]]) -> None:
        """Numbers to the right. `rows` share their names."""
        texts = [{name: _shown(value) for name, value in row.items()} for row in rows]
        if not self.fancy:
            for row in texts:
                self.say(f"{title}: " + " ".join(f"{name}={value}" for name, value in row.items()))
            return
        made = Table(title=title, title_justify="left", title_style="bold")
        for name, value in rows[0].items():
            made.add_column(name, justify="left" if isinstance(value, str) else "right")
        for row in texts:
            made.add_row(*row.values())
        self.console.print(made)

    @contextmanager
    def bars(self) -> Iterator[Report]:
        with progress(sys.stdout) as report:
            yield report


def _shown(value: object) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


@dataclass
class Demo:
    """One run: a mini-program of its own with its people."""

    stack: Stack
    screen: Screen
    plan: Plan
    run: str
    story: Story = field(default_factory=Story)

    def set_up(self) -> tuple[str, str]:
        """(the notice's sha256, the key), by the commands an operator types."""
        since = (self.plan.consented_at() - timedelta(days=30)).isoformat()
        program = self._command(
            *("create_program", "--name", "Demo shop", "--controller", "Example Retail Ltd", "--platform", "wechat"),
            *("--app-id", f"wx-demo-{self.run}", "--zone", ZONE, "--sandbox"),
        )
        notice = self._command(
            "publish_notice", "--program", program, "--effective-at", since, f"{EXAMPLES}/notice.yaml"
        )
        self._command("catalogue", "import", "--program", program, f"{EXAMPLES}/catalogue.yaml")
        key = self._command("create_client", "--program", program, "--scopes", SCOPES, shown=_masked)
        return notice, key

    def _command(self, *arguments: str, shown: Callable[[str], str] = str) -> str:
        """What the command prints on stdout."""
        self.screen.say(f"$ manage.py {' '.join(arguments)}")
        printed = self.stack.manage(*arguments, role="application").strip()
        self.screen.say(f"  {shown(printed)}", "cyan")
        return printed

    def consents(self, client: Client, notice: str) -> None:
        """Every person is asked once, under the notice, on the day before the first day of events."""

        def ask(person: Person) -> Any:
            return client.consent(
                {
                    "subject": {"openid": person.openid},
                    "notice": notice,
                    "locale": "zh-Hans",
                    "occurred_at": self.plan.consented_at(),
                    "method": "import",
                    "act": "bundled" if len(person.purposes) > 1 else "single",
                    "decisions": [{"purpose": name, "decision": person.decision} for name in person.purposes],
                }
            )

        states = {"given": "given", "refused": "refused", "deferred": "requested"}
        with self.screen.bars() as report:
            for done, (person, answer) in enumerate(each(ask, self.plan.people, threads=THREADS), start=1):
                found = [record["state"] for record in answer["records"]]
                self.story.expect("the states of a consent", found, [states[person.decision]] * len(person.purposes))
                self.story.consents += len(found)
                self.story.decisions[person.decision] += len(found)
                report("consents", done, len(self.plan.people))

    def events(self, client: Client) -> None:
        """All events in the order of their times; every tenth batch twice, as when its answer was lost."""
        events = self.plan.events
        with self.screen.bars() as report:
            for number, start in enumerate(range(0, len(events), BATCH)):
                batch = events[start : start + BATCH]
                self._send(client, batch, [self.plan.expected[event["event_id"]] for event in batch])
                if number % RESENT_EVERY == 0:
                    again = [self.plan.expected[event["event_id"]].replace("stored", "duplicate") for event in batch]
                    self._send(client, batch, again)
                report("events", start + len(batch), len(events))

    def _send(self, client: Client, batch: list[Event], expected: list[str]) -> None:
        sent = client.events(batch)
        self.story.stored += sent.count("stored")
        self.story.duplicates += sent.count("duplicate")
        self.story.refused += sent.refused()
        found = [result.get("code") or result["result"] for result in sent.results]
        if found != expected:
            wrong = Counter(pair for pair in zip(expected, found, strict=True) if pair[0] != pair[1])
            for (wanted, got), count in wrong.items():
                self.story.expect(f"{count} events", got, wanted)

    def withdrawals(self, client: Client) -> None:
        """Some take their consent back; their next event must be refused."""
        leaving = [person for person in self.plan.people if person.withdraws]
        decisions = [{"purpose": "analytics", "decision": "withdrawn"}]

        def withdraw(person: Person) -> Any:
            return client.consent({"subject": {"openid": person.openid}, "decisions": decisions})

        with self.screen.bars() as report:
            for done, (_, answer) in enumerate(each(withdraw, leaving, threads=THREADS), start=1):
                self.story.consents += len(answer["records"])
                self.story.decisions["withdrawn"] += len(answer["records"])
                report("withdrawals", done, len(leaving))
        after = [
            simulation.view(person.openid, f"{number_of(person.openid)}-after", datetime.now(UTC)) for person in leaving
        ]
        self._send(client, after, ["consent_withdrawn"] * len(after))

    def requests(self, client: Client) -> None:
        """Access, rectification, erasure: filed, then watched until the worker has completed every one."""
        asking = [person for person in self.plan.people if person.asks]
        for person in asking:
            if person.asks == "rectification":
                client.profile({"openid": person.openid}, {"nickname": "Lin", "city": "Shanghia"})
        filed = {client.request(_request(person))["request_id"]: person for person in asking}
        open_ids = list(filed)
        deadline = time.monotonic() + PATIENCE_S
        with self.screen.bars() as report:
            while open_ids:
                open_ids = [one for one in open_ids if not self._closed(client, one, filed[one])]
                report("requests", len(filed) - len(open_ids), len(filed))
                if open_ids and time.monotonic() > deadline:
                    raise DemoError(f"{len(open_ids)} requests are open after {PATIENCE_S:.0f} s; see log/worker.log")
                time.sleep(POLL_S if open_ids else 0)
        self._check_requests(client, asking)

    def _closed(self, client: Client, request_id: str, person: Person) -> bool:
        found = client.request_state(request_id)
        if found["state"] not in CLOSED:
            return False
        self.story.expect(f"the end of a request of kind {person.asks}", found["state"], "completed")
        self.story.completed[str(person.asks)] += found["state"] == "completed"
        if person.asks == "erasure":
            holders = {holder["holder"]: holder["affected"] for holder in found["holders"]}
            self.story.erased_events += holders.get("tracking.events", 0)
        return True

    def _check_requests(self, client: Client, asking: list[Person]) -> None:
        def state(openid: str) -> str:
            return str(client.status({"openid": openid}, ["analytics"])[0]["state"])

        erased = [person for person in asking if person.asks == "erasure"]
        for person in erased:
            self.story.expect("the state of an erased subject", state(person.openid), "unknown")
        for person in (person for person in asking if person.asks == "rectification"):
            self.story.expect("the state under a rectified openid", state(f"{number_of(person.openid)}-new"), "given")
            self.story.expect("the state under the openid before it", state(person.openid), "unknown")
        after = [
            simulation.view(person.openid, f"{number_of(person.openid)}-after", datetime.now(UTC)) for person in erased
        ]
        self._send(client, after, ["consent_missing"] * len(after))
        gone = {person.openid for person in erased}
        events = sum(found.get(openid, 0) for found in self.plan.visited.values() for openid in gone)
        self.story.expect("erased events", self.story.erased_events, events)

    def report(self, client: Client) -> None:
        """The activity of the days simulated: who withdrew or was erased is in none of them."""
        first, last = self.plan.days[0].isoformat(), self.plan.days[-1].isoformat()
        self.story.activity = client.report("activity", {"from": first, "to": last})["data"]
        gone = {person.openid for person in self.plan.people if person.withdraws or person.asks == "erasure"}
        found = {row["date"]: (row["dau"], row["events"]) for row in self.story.activity}
        self.story.expect("daily subjects and events", found, self.plan.activity(gone))


def _masked(key: str) -> str:
    return f"{key.rpartition('_')[0]}_…"


def _request(person: Person) -> dict[str, Any]:
    asked: dict[str, Any] = {"subject": {"openid": person.openid}, "kind": person.asks, "locale": "zh-Hans"}
    if person.asks == "rectification":
        asked["changes"] = {
            "attributes": {"city": "Shanghai"},
            "identifiers": {"openid": f"{number_of(person.openid)}-new"},
        }
    return asked


def tell(screen: Screen, story: Story) -> None:
    """The report."""
    screen.step("The report (a sandbox of simulated people shows every figure; others none below ten subjects)")
    names = ("date", "dau", "wau_rolling", "mau_rolling", "events", "sessions")
    screen.table("activity by local day", [{name: row[name] for name in names} for row in story.activity])
    outcomes = {"stored": story.stored, "duplicate": story.duplicates} | {
        f"refused: {code}": count for code, count in sorted(story.refused.items())
    }
    screen.table("answers to events", [{"answer": answer, "count": count} for answer, count in outcomes.items()])
    done = [{"what": f"consent {name}", "count": count} for name, count in sorted(story.decisions.items())]
    done += [{"what": f"{kind} completed", "count": count} for kind, count in sorted(story.completed.items())]
    screen.table("records and requests", done)


def play(stack: Stack, screen: Screen, arguments: argparse.Namespace) -> Story:
    """The whole story; raises DemoError, ClientError, ServeError."""
    zone = ZoneInfo(ZONE)
    now = datetime.now(UTC)
    plan = simulation.plan(
        subjects=arguments.subjects,
        requests=arguments.requests,
        seed=arguments.seed,
        today=now.astimezone(zone).date(),
        zone=zone,
    )
    demo = Demo(stack, screen, plan, f"{now:%Y%m%d%H%M%S%f}")
    screen.step("An operator sets a mini-program up")
    notice, key = demo.set_up()
    screen.step(
        f"Its backend asks {len(plan.people):,} simulated people, and sends {len(plan.events):,} events of five days"
    )
    with Client(stack.base_url, key) as client:
        demo.consents(client, notice)
        demo.events(client)
        demo.withdrawals(client)
        screen.step("Some ask for access, rectification or erasure, and the worker completes it")
        demo.requests(client)
        demo.report(client)
    return demo.story


def main() -> int:
    """The command line: 0, 1 where anything was not as it must be, 130 when interrupted."""
    arguments = _arguments()
    began, screen = time.monotonic(), Screen()
    var = arguments.var / "demo"
    try:
        with interruptible():
            screen.step(f"Starting PostgreSQL, Redis, web server, worker and beat under {var}")
            settings = {**LOOPBACK, "ZHIQING_ERASURE_UNDO_SECONDS": "0", "ZHIQING_SWEEP_SECONDS": "1"}
            with running(var, port=0, settings=settings, say=screen.say) as stack:
                screen.say(f"serving {stack.base_url}")
                story = play(stack, screen, arguments)
                tell(screen, story)
    except KeyboardInterrupt:
        print("demo: interrupted; everything it started is stopped", file=sys.stderr)
        return 130
    except (DemoError, ClientError, ServeError, EmbeddedError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for mismatch in story.mismatches[:20]:
        print(f"error: {mismatch}", file=sys.stderr)
    screen.say("")
    print(story.line(time.monotonic() - began), flush=True)
    return 1 if story.mismatches else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m config.demo", description="Start everything and do the main job.")
    parser.add_argument("--subjects", type=int, default=3000, help="simulated people (default: 3000)")
    parser.add_argument("--requests", type=int, default=15, help="requests of each kind (default: 15)")
    parser.add_argument("--seed", type=int, default=1, help="what they do follows from it (default: 1)")
    parser.add_argument(
        "--var",
        type=Path,
        default=Path(os.environ.get("VAR") or ROOT / "var"),
        help="its stack is in the folder demo below (default: ./var)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
