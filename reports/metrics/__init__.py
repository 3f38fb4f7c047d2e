"""One file a metric; importing this package registers them all."""

from reports.metrics import activity, quality, retention, sessions

__all__ = ["activity", "quality", "retention", "sessions"]
