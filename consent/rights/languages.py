"""In which of our two languages a person is answered."""

from collections.abc import Mapping


def language(locale: str) -> str:
    """Django's name of one we have texts in: every other that is activated would stay in the process's memory."""
    return "zh-hans" if locale.lower().partition("-")[0] == "zh" else "en"


def shown(locale: str) -> str:
    """In which of a notice's languages it is shown to somebody of this locale."""
    return "zh-Hans" if language(locale) == "zh-hans" else "en"


def localised(texts: Mapping[str, str], locale: str) -> str:
    """The text for this locale, of one that a notice gives in several."""
    return texts.get(shown(locale)) or next(iter(texts.values()), "")
