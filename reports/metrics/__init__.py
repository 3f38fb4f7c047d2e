"""One file a metric; importing this package registers them all."""

from reports.metrics import activity, distributions, funnel, pages, quality, retention, sessions, trends

__all__ = ["activity", "distributions", "funnel", "pages", "quality", "retention", "sessions", "trends"]
