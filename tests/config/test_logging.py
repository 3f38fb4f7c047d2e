"""What a log line may hold: our words and fields; of an exception its class and place, never its message."""

import json
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from config.logging import JsonFormatter

CANARY = "canary-openid"


def line(message: object, *arguments: Any, error: BaseException | None = None, **more: Any) -> str:
    exc_info = (type(error), error, error.__traceback__) if error is not None else None
    record = logging.LogRecord("zhiqing.test", logging.ERROR, __file__, 1, message, arguments, exc_info)
    for name, value in more.items():
        setattr(record, name, value)
    return JsonFormatter().format(record)


def raised(make: Callable[[], Any]) -> BaseException:
    try:
        make()
    except BaseException as error:
        return error
    pytest.fail("nothing was raised")


def test_a_line_is_json_with_our_words_and_fields() -> None:
    found = json.loads(line("%s of %d done", "run", 3, fields={"request": "r-1"}))
    assert (found["message"], found["request"]) == ("run of 3 done", "r-1")
    assert {"at", "level", "logger"} <= set(found)


def test_an_exceptions_message_is_not_written_whichever_way_it_comes() -> None:
    error = ValueError(CANARY)
    lines = [
        line("it failed: %s", error),
        line("%s failed: %r", "run", error),
        line(error),
        line("it failed", error=error),
    ]
    assert not [text for text in lines if CANARY in text]
    assert json.loads(lines[0])["message"] == "it failed: %s"
    assert json.loads(lines[2])["message"] == "ValueError"
    assert json.loads(lines[3])["exception"]["class"] == "builtins.ValueError"


def test_named_arguments_are_not_written() -> None:
    text = line("body %(body)s", {"body": CANARY})
    assert json.loads(text)["message"] == "body %(body)s"
    assert CANARY not in text


def test_a_causes_message_is_not_written() -> None:
    def fail() -> None:
        try:
            raise KeyError(CANARY)
        except KeyError as error:
            raise RuntimeError(CANARY + "-2") from error

    text = line("it failed", error=raised(fail))
    assert CANARY not in text
    assert json.loads(text)["exception"]["cause"]["class"] == "builtins.KeyError"


def test_of_a_database_error_only_class_and_sqlstate_are_written() -> None:
    """PostgreSQL's DETAIL quotes the row."""

    def fail() -> None:
        with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as connection:
            connection.execute("CREATE TEMP TABLE held (openid text PRIMARY KEY)")
            for _ in range(2):
                connection.execute("INSERT INTO held VALUES (%s)", [CANARY])

    error = raised(fail)
    assert CANARY in str(error)
    text = line("it failed: %s", error, error=error)
    assert CANARY not in text
    assert json.loads(text)["exception"]["sqlstate"] == "23505"


def test_an_exception_under_way_is_told_without_its_message(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise LookupError(CANARY)
    except LookupError:
        logging.getLogger("zhiqing.test").exception("it failed")
    (record,) = caplog.records
    text = JsonFormatter().format(record)
    assert CANARY not in text
    assert sys.intern("builtins.LookupError") in text
