"""The words of the reports' pages: REST's names of tables, columns, options and values, in the officer's language."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

Words = Mapping[str, "_StrPromise"]

COLUMNS: Words = {
    "active_days": _("active days"),
    "band": _("load time (ms)"),
    "bounce_rate": _("bounce rate"),
    "closed": _("state"),
    "cohort": _("cohort"),
    "compared": _("compared date"),
    "conversion": _("conversion"),
    "conversion_from_first": _("of the first step"),
    "conversion_from_previous": _("of the step before"),
    "converted": _("converted"),
    "count": _("pairs"),
    "cumulative_visitors": _("visitors ever"),
    "date": _("date"),
    "dau": _("daily active"),
    "days": _("active days"),
    "dimension": _("dimension"),
    "dormant": _("dormant"),
    "dwell_client_known": _("dwell known (client)"),
    "dwell_client_mean_s": _("mean dwell (client)"),
    "dwell_client_median_s": _("median dwell (client)"),
    "dwell_client_p90_s": _("p90 dwell (client)"),
    "dwell_gap_known": _("dwell known (gap)"),
    "dwell_gap_mean_s": _("mean dwell (gap)"),
    "dwell_gap_median_s": _("median dwell (gap)"),
    "dwell_gap_p90_s": _("p90 dwell (gap)"),
    "element": _("element"),
    "entries": _("entries"),
    "event": _("event"),
    "events": _("events"),
    "events_per_subject": _("events per subject"),
    "exit_rate": _("exit rate"),
    "exits": _("exits"),
    "exposed": _("exposed"),
    "exposures": _("exposures"),
    "goals": _("goals"),
    "goals_per_exposure": _("goals per exposure"),
    "interactions": _("interactions"),
    "interactions_per_view": _("interactions per view"),
    "known": _("events with the property"),
    "load_p50_ms": _("median load time"),
    "load_p90_ms": _("p90 load time"),
    "mau": _("monthly active"),
    "mau_rolling": _("active in 30 days"),
    "mean": _("mean"),
    "mean_depth": _("views per session"),
    "mean_duration_s": _("mean duration"),
    "mean_time_per_session_s": _("time per session"),
    "mean_time_per_visitor_s": _("time per visitor"),
    "median_s": _("median time"),
    "month": _("month"),
    "name": _("node"),
    "new": _("new"),
    "new_from_share": _("new from a share"),
    "new_visitors": _("new visitors"),
    "open_attempts": _("attempts still open"),
    "open_starts": _("starts still open"),
    "open_subjects": _("subjects with an open attempt"),
    "opens": _("opens"),
    "opens_per_visitor": _("opens per visitor"),
    "p10_s": _("p10"),
    "p25_s": _("p25"),
    "p75_s": _("p75"),
    "p90": _("p90"),
    "p90_s": _("p90 time"),
    "page": _("page"),
    "resurrected": _("resurrected"),
    "returning": _("returning"),
    "returns_per_share": _("sessions per share"),
    "scroll_depth_mean": _("mean scroll depth"),
    "sessions": _("sessions"),
    "sessions_from_share": _("sessions from a share"),
    "share": _("share of views"),
    "sharers": _("sharers"),
    "shares": _("shares"),
    "size": _("size"),
    "source": _("comes from"),
    "starts": _("starts"),
    "step": _("step"),
    "stickiness": _("stickiness"),
    "subjects": _("subjects"),
    "sum": _("sum"),
    "target": _("leads to"),
    "transitions": _("transitions"),
    "unknown": _("unknown whether new"),
    "value": _("group"),
    "views": _("views"),
    "visitors": _("visitors"),
    "wau": _("weekly active"),
    "wau_rolling": _("active in 7 days"),
    "week": _("week from"),
    "withdrawn_subjects": _("subjects who withdrew in the range"),
    # anomalies, contribution, forecast
    "anomalous": _("anomalous"),
    "better_than_naive": _("better than repeating the last week"),
    "calendar": _("kind of day"),
    "change": _("change"),
    "compare_from": _("earlier period from"),
    "compare_to": _("earlier period to"),
    "contribution": _("contribution"),
    "coverage": _("days within the interval"),
    "days_ahead": _("days ahead"),
    "denominator_after": _("denominator after"),
    "denominator_before": _("denominator before"),
    "expected": _("expected"),
    "expected_high": _("expected at most"),
    "expected_low": _("expected at least"),
    "fallbacks": _("fits that did not come out"),
    "filled": _("filled"),
    "filled_days": _("filled days"),
    "forecast": _("forecast"),
    "high": _("upper edge"),
    "history_days": _("days of the history"),
    "holiday": _("holiday"),
    "low": _("lower edge"),
    "mae": _("mean absolute error"),
    "mase": _("error in weekly changes (MASE)"),
    "mix_effect": _("mix effect"),
    "model": _("model"),
    "naive": _("the last week repeated"),
    "naive_mae": _("error of repeating the last week"),
    "note": _("note"),
    "numerator_after": _("numerator after"),
    "numerator_before": _("numerator before"),
    "origins": _("forecasts tried"),
    "rate_after": _("rate after"),
    "rate_before": _("rate before"),
    "rate_effect": _("rate effect"),
    "reason": _("why not judged"),
    "residual": _("residual (overlap)"),
    "score": _("score"),
    "scored": _("days scored"),
    "share_of_change": _("share of the change"),
    "skill": _("skill"),
    "value_after": _("after"),
    "value_before": _("before"),
    "weight_after": _("weight after"),
    "weight_before": _("weight before"),
    # quality
    "accepted": _("accepted"),
    "late": _("late"),
    "duplicate": _("duplicate"),
    "refused": _("refused"),
    "consent_missing": _("no consent"),
    "consent_refused": _("consent refused"),
    "consent_withdrawn": _("consent withdrawn"),
    "consent_expired": _("consent expired"),
    "outside_consent": _("outside the consent's time"),
    "renewal_required": _("consent to be renewed"),
    "guardian_required": _("guardian's consent needed"),
    "restricted": _("processing restricted"),
    "erasure_pending": _("erasure pending"),
    "unknown_event": _("not in the catalogue"),
    "undeclared_property": _("undeclared property"),
    "invalid_property": _("invalid property"),
    "identifier_in_property": _("identifier in a property"),
    "too_old": _("too old"),
    "in_the_future": _("in the future"),
    "invalid_event": _("invalid event"),
}

FIGURES: Words = {"value": _("figure")}
"""What is a key in some tables and a figure in others."""

TABLES: Words = {
    "data": _("Figures"),
    "weeks": _("Natural weeks"),
    "months": _("Natural months"),
    "elements": _("Elements of the pages"),
    "load_bands": _("Pages by load time"),
    "previous": _("Before"),
    "active_days": _("Subjects by number of active days"),
    "day_before": _("The day before"),
    "week_before": _("The week before"),
    "month_before": _("The month before"),
    "nodes": _("Nodes"),
    "links": _("Links"),
    "drop_offs": _("Where paths stop"),
    "history": _("The days it was made of"),
    "backtest": _("How well the same would have done, by days ahead"),
}

OPTIONS: Words = {
    "from": _("From"),
    "to": _("To"),
    "interval": _("By"),
    "event": _("Event"),
    "property": _("Property"),
    "compare": _("Compare"),
    "breakdown": _("Breakdown"),
    "cohort": _("Cohort"),
    "cohort_event": _("Cohort event"),
    "return_event": _("Return event"),
    "mode": _("Mode"),
    "clock": _("Clock"),
    "periods": _("Periods"),
    "steps": _("Steps"),
    "exclusions": _("Exclusions"),
    "window_s": _("Within"),
    "bound_s": _("Within"),
    "attribution": _("Attribution"),
    "goal": _("Goal"),
    "exposure": _("Exposure"),
    "start_event": _("Start event"),
    "end_event": _("End event"),
    "by": _("Count by"),
    "sequence": _("Sequence"),
    "measure": _("Measure"),
    "scale": _("Scale"),
    "horizon": _("Days ahead"),
    "per": _("Per"),
    "compare_from": _("Earlier period from"),
    "start": _("Start at"),
    "end": _("End at"),
    "filters": _("Filter"),
}

VALUES: Words = {
    # options
    "day": _("local day"),
    "week": _("week"),
    "month": _("month"),
    "previous": _("with the range before"),
    "first_time": _("by the first event ever"),
    "recurring": _("by the first event of each interval"),
    "on": _("on period N"),
    "on_or_after": _("on period N or after"),
    "calendar": _("calendar"),
    "rolling_24h": _("24 hours from the event"),
    "ordered": _("ordered, others between"),
    "strict": _("strict, none between"),
    "unordered": _("any order"),
    "first_touch": _("first touch"),
    "last_touch": _("last touch"),
    "next_after": _("from every start to the next end"),
    "first_to_first": _("from the first start to the first end"),
    "events": _("number of events"),
    "days": _("number of active days"),
    "property": _("sum of a property"),
    "subjects": _("subjects"),
    "sessions": _("sessions"),
    "sum": _("sum"),
    "mean": _("mean"),
    "ratio": _("ratio to another event"),
    "sqrt": _("square root"),
    "log": _("logarithm"),
    # days of saved questions
    "last_7_days": _("the last 7 closed days"),
    "last_28_days": _("the last 28 closed days"),
    "last_30_days": _("the last 30 closed days"),
    "last_90_days": _("the last 90 closed days"),
    "this_month": _("this month, up to today"),
    "last_month": _("the month before"),
    # words of answers
    "working_day": _("working day"),
    "adjusted_working_day": _("adjusted working day"),
    "weekend": _("weekend"),
    "holiday": _("holiday"),
    "unpublished": _("calendar not published"),
    "suppressed": _("suppressed"),
    "not_over": _("the day is not over"),
    "short_history": _("history too short"),
    "gaps": _("too many days not told"),
    "no_fit": _("the fit did not come out"),
    "ets": _("exponential smoothing"),
    "seasonal_naive": _("the last week repeated"),
    # dimensions and fields
    "event": _("event"),
    "page": _("page"),
    "element": _("element"),
    "scene": _("entry scene"),
    "os": _("operating system"),
    "app_version": _("app version"),
    "device_level": _("device level"),
    "network": _("network"),
    "channel": _("channel"),
    "dwell_band": _("duration of the session (s)"),
    "depth_band": _("views in the session"),
}

FAULTS: Words = {
    "invalid_range": _(
        "A range begins before it ends and has 400 days at most, 92 of anomalies; an earlier period ends before it begins."
    ),
    "unknown_event": _("Take an event of the catalogue."),
    "unknown_property": _("Take a property that the event declares as a number."),
    "unknown_field": _("This cannot be broken down by that; where it is a property, choose its event too."),
    "invalid_goal": _("Goal and exposure are two different events."),
    "invalid_exclusion": _("An exclusion is no step of the funnel."),
    "window_unavailable": _("Take one of the times in the list."),
    "start_or_end": _("Give a start or an end, not both."),
    "breakdown_needed": _("Choose what the change is broken down by."),
    "event_unavailable": _("Sessions are of all events; leave the event out."),
    "history_constant": _("The series is the same every day: there is nothing to foresee."),
    "history_suppressed": _("Too many days of the history are not told; take another measure or a later beginning."),
    "history_too_short": _("This takes more closed days than the range has; take an earlier beginning."),
    "invalid_ratio": _("A ratio has an event, and another or none that it is per."),
    "property_needed": _("Choose a property for a sum or a mean, and for nothing else."),
    "compare_unavailable": _("A CSV has the rows of the range itself only."),
    "invalid_name": _("A name has 1 to 100 characters."),
    "name_taken": _("Another saved report has this name."),
    "identifier_in_name": _("This looks like a person's number or address; take a name without."),
    "identifier_in_question": _("The question holds what looks like a person's number or address; ask without it."),
    "too_many_runs": _("Ten reports are being made in the background: wait for one, or cancel it."),
    "run_over": _("This is over already; there is nothing to cancel."),
    "worker_died": _("The workers that made this died: ask for less."),
    "too_long": _("This takes longer than half an hour: ask for fewer days."),
    "range_or_dates": _("A fixed earlier period goes with fixed dates only."),
}

_UNITS: Words = {"_s": _("s"), "_ms": _("ms")}


def column(name: str) -> str:
    """A column's title, with its unit."""
    if found := re.fullmatch(r"period_(\d+)", name):
        return gettext("period %(number)s") % {"number": found[1]}
    title = str(COLUMNS.get(name, name))
    unit = next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), None)
    return f"{title} ({unit})" if unit else title


def figure(name: str) -> str:
    """The same of a column of figures."""
    return str(FIGURES[name]) if name in FIGURES else column(name)


def table(name: str) -> str:
    return str(TABLES.get(name, name))


def option(name: str) -> str:
    return str(OPTIONS.get(name, name))


def value(name: str) -> str:
    return str(VALUES.get(name, name))


def fault(code: str) -> str:
    return str(FAULTS.get(code, gettext("The report does not take this.")))


def failure(code: str) -> str:
    """Why a run gave up: what the report refuses, or what is not of its question."""
    return fault(code) if code in FAULTS else gettext("It failed again and again: ask for less, or later.")


def seconds(number: int) -> str:
    """`86400` as 1 day."""
    for size, named in ((86400, "%(n)s d"), (3600, "%(n)s h"), (60, "%(n)s min")):
        if number % size == 0:
            return _TIMES[named] % {"n": number // size}
    return f"{number} {gettext('s')}"


_TIMES: Words = {"%(n)s d": _("%(n)s d"), "%(n)s h": _("%(n)s h"), "%(n)s min": _("%(n)s min")}
