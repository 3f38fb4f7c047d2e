"""What each report's page is asked with, as the form sends it and as REST takes it."""

from typing import Any

NEEDED: dict[str, dict[str, Any]] = {
    "contribution": {"breakdown": "os"},
    "conversion": {"goal": "order"},
    "funnel": {"steps": ["launch", "add_to_cart", "order", "payment"], "window_s": 86_400},
    "intervals": {"start_event": "add_to_cart", "end_event": "payment", "bound_s": 86_400},
}
"""What a form has to be filled with; the others are asked as they come."""


def body(asked: dict[str, Any]) -> dict[str, Any]:
    """The same for REST: an event of a list is an object there."""
    return {
        name: [{"event": one} for one in value] if isinstance(value, list) else value for name, value in asked.items()
    }
