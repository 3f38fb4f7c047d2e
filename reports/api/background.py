"""What a run makes: the days that its report reads and that have no totals yet, then REST's answer."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from consent.api.bodies import JSONRenderer
from consent.programs.models import MiniProgram
from consent.programs.tenancy import without_tenant
from reports.api import questions
from reports.api.asking import answered
from reports.api.shapes import (
    ContributionAsked,
    ConversionAsked,
    FrequencyAsked,
    FunnelAsked,
    ReportAsked,
    RetentionAsked,
    TrendsAsked,
)
from reports.metrics.anomalies import WINDOW
from reports.metrics.registry import EARLIEST, MAX_DAYS, Reached
from reports.metrics.session import LOOK_BACK
from reports.metrics.trends import IN_COLUMNS
from reports.models import Counting
from reports.rollups.build import build, buildable, to_build
from reports.runs import Claimed

_MONTH = 31
_LOOKED_BACK = LOOK_BACK // timedelta(days=1)
READ_BEFORE = {
    "activity": 2 * _MONTH,
    "anomalies": WINDOW,
    "contribution": 2 * _MONTH,
    "conversion": 0,
    "distributions": _LOOKED_BACK,
    "forecast": 0,
    "frequency": 0,
    "funnel": 0,
    "lifecycle": 2 * _MONTH,
    "overview": 2 * _MONTH,
    "pages": _LOOKED_BACK,
    "paths": _LOOKED_BACK,
    "retention": MAX_DAYS,
    "sessions": _LOOKED_BACK,
    "shares": 2 * _MONTH,
    "stickiness": _MONTH,
    "trends": 0,
}
"""The reports that days' rollups answer, with how many days before the range they read at most."""


def made(run: Claimed, expect: Callable[[int], None], reached: Reached, *, now: datetime) -> str:
    """The JSON that REST would answer, as of when its days are counted. Raises Invalid, NotFound; what `reached` raises."""
    with without_tenant():
        program = MiniProgram.objects.get(id=run.program_id)
    asked = questions.asked(run.metric, run.question, zone=program.zone, now=now)
    zone = ZoneInfo(program.zone)
    missing = _missing(run, asked, zone, now)
    expect(len(missing) + len(Counting) - 1)
    for day in missing:
        reached(Counting.DAYS)
        build(run.program_id, zone, day, now=now)
    told = answered(
        run.metric,
        asked,
        program_id=run.program_id,
        zone=program.zone,
        sandbox=program.sandbox,
        now=now,
        csv=False,
        reached=reached,
    )
    return JSONRenderer().render(told).decode()


def _missing(run: Claimed, asked: ReportAsked, zone: ZoneInfo, now: datetime) -> list[date]:
    if run.metric not in READ_BEFORE or _from_events(asked):
        return []
    before = timedelta(days=READ_BEFORE[run.metric]) + min(_compared(asked), asked.from_ - EARLIEST)
    last = date.max if isinstance(asked, RetentionAsked) else asked.to + timedelta(days=_MONTH)
    return to_build(run.program_id, zone, buildable(run.program_id, zone, now).within(asked.from_ - before, last))


def _compared(asked: ReportAsked) -> timedelta:
    """How far before the range the earlier one begins that it is compared with."""
    length = asked.to - asked.from_ + timedelta(days=1)
    if isinstance(asked, ContributionAsked):
        return asked.from_ - asked.compare_from if asked.compare_from is not None else length
    return length + timedelta(days=_MONTH) if isinstance(asked, TrendsAsked) and asked.compare else timedelta(0)


def _from_events(asked: ReportAsked) -> bool:
    """Whether the report reads events also where days have a rollup."""
    if isinstance(asked, ContributionAsked):
        return asked.property is not None or asked.breakdown not in ("event", *IN_COLUMNS)
    if isinstance(asked, ConversionAsked):
        field, _ = asked.dimension()
        return field not in (None, "page")
    if isinstance(asked, FunnelAsked):
        return asked.breakdown not in (None, *IN_COLUMNS)
    if isinstance(asked, TrendsAsked):
        field, _ = asked.dimension()
        return asked.property is not None or field not in (None, "event", *IN_COLUMNS)
    if isinstance(asked, FrequencyAsked):
        return asked.property is not None
    return isinstance(asked, RetentionAsked) and asked.clock != "calendar"
