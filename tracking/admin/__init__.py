"""What officers see of events: the catalogue of what may be recorded."""

from tracking.admin import catalogue

__all__ = ["catalogue"]
