"""One file a metric; importing this package registers them all."""

from reports.metrics import activity, distributions, pages, quality, retention, sessions, trends

__all__ = ["activity", "distributions", "pages", "quality", "retention", "sessions", "trends"]
