"""One file a metric; importing this package registers them all."""

from reports.metrics import activity

__all__ = ["activity"]
