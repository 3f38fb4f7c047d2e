"""Structured logs: one JSON object a line, without values of any row or body.

PostgreSQL's DETAIL and CONTEXT quote rows, and so do the messages of its errors: of a database error only the class
and the SQLSTATE are kept, of any other exception the class and where it was raised.
"""

import json
import logging
import re
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_LINK = re.compile(r"(/portal/open/)\S+")
"""A link to somebody's own pages opens them for five minutes."""


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": self._message(record),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            # No field takes the place of what every line says.
            line |= {name: value for name, value in fields.items() if name not in line}
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = described(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False, default=str)

    def _message(self, record: logging.LogRecord) -> str:
        return _LINK.sub(r"\1…", self._said(record))

    def _said(self, record: logging.LogRecord) -> str:
        # Arguments of a library's log call may be a body or a row; ours put what they say into `fields`.
        if isinstance(record.msg, BaseException):
            return type(record.msg).__qualname__
        arguments = record.args if isinstance(record.args, tuple) else ()
        if isinstance(record.args, Mapping) or any(isinstance(item, BaseException) for item in arguments):
            return str(record.msg)
        return record.getMessage()


def described(error: BaseException) -> dict[str, Any]:
    """Class, SQLSTATE and stack of an exception and of its causes, without their messages."""
    frames = traceback.extract_tb(error.__traceback__)
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return {
        "class": f"{type(error).__module__}.{type(error).__qualname__}",
        "sqlstate": getattr(error, "sqlstate", None),
        "stack": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-12:]],
        **({"cause": described(cause)} if cause is not None else {}),
    }
