"""One file a metric; importing this package registers them all."""

from reports.metrics import activity, pages, retention, sessions

__all__ = ["activity", "pages", "retention", "sessions"]
