"""One file a metric; importing this package registers them all."""

from reports.metrics import activity, retention, sessions

__all__ = ["activity", "retention", "sessions"]
