"""What a purpose amounts to, as a notice tells of it: in a file of any shape, or in a body published by any release."""

from collections.abc import Mapping
from typing import Any

HOME = "CN"
SENSITIVE, SHARING, AUTOMATED, CROSS_BORDER = "sensitive", "sharing", "automated_decision", "cross_border"


def entries(purpose: Mapping[str, Any], name: str) -> list[Any]:
    """A list of the purpose; empty where it has none."""
    value = purpose.get(name)
    return value if isinstance(value, list) else []


def recipients(purpose: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [recipient for recipient in entries(purpose, "recipients") if isinstance(recipient, dict)]


def said(value: Mapping[str, Any]) -> list[Any]:
    """What a mapping says, by name: as the database keeps a body its names have no order."""
    return [item for _, item in sorted(value.items()) if item is not None]


def kept_in(purpose: Mapping[str, Any]) -> list[Any]:
    """The countries in which the information is kept, one for each place told; none where the notice tells no place."""
    return [place.get("country") for place in entries(purpose, "storage") if isinstance(place, dict)]


def abroad(recipient: Mapping[str, Any]) -> bool:
    country = recipient.get("country", HOME)
    return isinstance(country, str) and country != HOME


def going_to(purpose: Mapping[str, Any]) -> list[str]:
    """The names of its recipients abroad."""
    return sorted({str(recipient.get("name")) for recipient in recipients(purpose) if abroad(recipient)})


def role(recipient: Mapping[str, Any], purpose: Mapping[str, Any]) -> str:
    """What the recipient was told to be; by the article where a release before told no roles."""
    said = recipient.get("role")
    return said if isinstance(said, str) else "controller" if purpose.get("separate_consent") == "23" else "processor"


def separate(purpose: Mapping[str, Any]) -> str | None:
    """The article that asks for a consent of its own, by recipients and methods; of several the one that asks for most."""
    if any(abroad(recipient) for recipient in recipients(purpose)):
        return "39"
    if "disclosure" in entries(purpose, "methods"):
        return "25"
    return "23" if any(recipient.get("role") == "controller" for recipient in recipients(purpose)) else None


def sensitive(purpose: Mapping[str, Any], audience: Any) -> bool:
    """PIPL 28: also whatever is collected of those under fourteen, whom the minors' notice informs."""
    return purpose.get("sensitive") is True or purpose.get("separate_consent") == "29" or audience == "minor"


def grounds(purpose: Mapping[str, Any], audience: Any) -> frozenset[str]:
    """Why the purpose needs an impact assessment (PIPL 55); empty where it does not."""
    methods, article = entries(purpose, "methods"), purpose.get("separate_consent")
    shares = bool(recipients(purpose)) or article in ("23", "25") or "provision" in methods or "disclosure" in methods
    found = {
        SENSITIVE: sensitive(purpose, audience),
        SHARING: shares,
        AUTOMATED: "automated_decision" in methods,
        CROSS_BORDER: article == "39" or any(abroad(recipient) for recipient in recipients(purpose)),
    }
    return frozenset(ground for ground, applies in found.items() if applies)


def without_mechanism(purpose: Mapping[str, Any]) -> bool:
    """Whether the purpose crosses the border by nothing that lets it (PIPL 38)."""
    if CROSS_BORDER not in grounds(purpose, None):
        return False
    foreign = [recipient for recipient in recipients(purpose) if abroad(recipient)]
    return not foreign or any(not recipient.get("mechanism") for recipient in foreign)
