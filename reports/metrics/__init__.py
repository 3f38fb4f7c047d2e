"""One file a metric; importing this package registers them all."""

from reports.metrics import (
    activity,
    distributions,
    funnel,
    lifecycle,
    pages,
    quality,
    retention,
    sessions,
    stickiness,
    trends,
)

__all__ = [
    "activity",
    "distributions",
    "funnel",
    "lifecycle",
    "pages",
    "quality",
    "retention",
    "sessions",
    "stickiness",
    "trends",
]
