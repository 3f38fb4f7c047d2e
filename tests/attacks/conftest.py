"""The histories of tests/reports."""

from tests.reports.conftest import history

__all__ = ["history"]
