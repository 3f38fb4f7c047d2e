"""What waits in Redis for the workers of the tests, who are none: each test takes its hints itself."""

import queue
from collections.abc import Iterator
from contextlib import suppress

from config.celery import app


def taken() -> Iterator[tuple[str, list[str]]]:
    """The messages that wait in Redis: each a task's name and its arguments."""
    with app.connection_for_read() as link:
        for each in app.conf.task_queues:
            waiting = link.SimpleQueue(each.name)
            with suppress(queue.Empty):
                while True:
                    message = waiting.get(block=False)
                    message.ack()
                    yield message.headers["task"], message.payload[0]
