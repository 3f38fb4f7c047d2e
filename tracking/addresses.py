"""From the address of a page, as sites and apps tell it, to the path that is stored."""

import re
from urllib.parse import quote


def page_path(page: str) -> str:
    """The path of a page: no scheme, host, query string or fragment; what cannot be printed is percent-encoded."""
    path = re.split(r"[?#]", page, maxsplit=1)[0]
    if found := re.match(r"[A-Za-z][A-Za-z0-9+.-]*://[^/]*", path):
        path = path[found.end() :]
    return "".join(c if c.isprintable() and not c.isspace() else quote(c) for c in path) or "/"
