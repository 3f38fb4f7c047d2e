"""The charts' script out of the installed package: one static file of plotly's, and nothing else of it."""

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.contrib.staticfiles.finders import BaseFinder
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage

PREFIX = "plotly"
SCRIPT = "plotly.min.js"


def folder() -> Path:
    """Where the package keeps it; found without importing the package, which takes a second.

    Raises ImproperlyConfigured.
    """
    spec = find_spec("plotly")
    if spec is None or not spec.submodule_search_locations:
        raise ImproperlyConfigured("the package plotly is not installed: install requirements.txt")
    return Path(spec.submodule_search_locations[0]) / "package_data"


class ChartScript(BaseFinder):
    """Finds static/plotly/plotly.min.js, for collectstatic and whitenoise."""

    def __init__(self, app_names: Any = None, *args: Any, **kwargs: Any) -> None:
        self.storage = FileSystemStorage(location=folder())
        self.storage.prefix = PREFIX  # type: ignore[attr-defined]  # as Django's own finders say where files go
        super().__init__(*args, **kwargs)

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        found = [self.storage.path(SCRIPT)] if path == f"{PREFIX}/{SCRIPT}" else []
        return found[0] if found and not find_all else found

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[Any]:
        yield SCRIPT, self.storage
