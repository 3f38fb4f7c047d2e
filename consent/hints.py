"""How many hints wait for the workers. While some do, a sweep hands out no more: what is due already would be handed out
again each time, and the workers would spend their time on finding that another has it."""

from typing import Any

from celery import Task, current_app
from kombu.exceptions import OperationalError


def waiting(task: "Task[..., Any]") -> int:
    """Messages in the queue of the task, others' among them; 0 where the broker is away: whoever hands out will see."""
    queue = current_app.amqp.router.route({}, task.name)["queue"].name
    try:
        with current_app.connection_or_acquire() as link:
            return int(link.default_channel.queue_declare(queue).message_count)
    except (OperationalError, OSError):
        return 0
