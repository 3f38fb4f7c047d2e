"""One file a metric; importing this package registers them all."""

from reports.metrics import (
    activity,
    conversion,
    distributions,
    frequency,
    funnel,
    intervals,
    lifecycle,
    overview,
    pages,
    paths,
    quality,
    retention,
    sessions,
    shares,
    stickiness,
    trends,
)

__all__ = [
    "activity",
    "conversion",
    "distributions",
    "frequency",
    "funnel",
    "intervals",
    "lifecycle",
    "overview",
    "pages",
    "paths",
    "quality",
    "retention",
    "sessions",
    "shares",
    "stickiness",
    "trends",
]
