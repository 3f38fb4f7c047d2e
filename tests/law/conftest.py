"""The officer and the reviewed mini-program of consent's tests."""

from tests.consent.conftest import desk, reviewed

__all__ = ["desk", "reviewed"]
