"""What teams commonly write: DRF serializers and bulk_create, no consent asked. A yardstick, not a goal.

The same body in, the same rows into the same table, the same four counters out. Served as an application of its own:
`gunicorn tests.benchmarks.yardstick:application`.
"""

import os
from typing import Any

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from rest_framework import parsers, renderers, serializers  # noqa: E402  after setup
from rest_framework.request import Request  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.views import APIView  # noqa: E402

from consent import edge  # noqa: E402
from consent.programs.authentication import caller  # noqa: E402
from consent.programs.tenancy import tenant  # noqa: E402
from consent.vault import identities  # noqa: E402
from tracking.models import Event, EventType, Page  # noqa: E402


class SubjectSerializer(serializers.Serializer[Any]):
    openid = serializers.CharField(max_length=128)


class EventSerializer(serializers.Serializer[Any]):
    event_id = serializers.CharField(max_length=64)
    name = serializers.CharField(max_length=64)
    subject = SubjectSerializer()
    occurred_at = serializers.DateTimeField()
    session_id = serializers.CharField(max_length=64, required=False)
    page = serializers.CharField(max_length=512, required=False)
    dwell_ms = serializers.IntegerField(min_value=0, required=False)
    scene = serializers.CharField(max_length=32, required=False)
    context = serializers.DictField(required=False)  # type: ignore[assignment]  # the name is taken by Field
    properties = serializers.DictField(required=False)


class BatchSerializer(serializers.Serializer[Any]):
    sent_at = serializers.DateTimeField(required=False)
    events = EventSerializer(many=True)


class Events(APIView):
    scope = "events"
    parser_classes = [parsers.JSONParser]
    renderer_classes = [renderers.JSONRenderer]

    def post(self, request: Request) -> Response:
        batch = BatchSerializer(data=request.data)
        batch.is_valid(raise_exception=True)
        events, program_id = batch.validated_data["events"], caller(request).program_id
        with tenant(program_id):
            types = dict(EventType.objects.filter(program_id=program_id).values_list("name", "id"))
            names = [{"openid": event["subject"]["openid"]} for event in events]
            subjects = identities.resolve_many(edge.vault(), program_id, names)
            paths = {event["page"] for event in events}
            Page.objects.bulk_create([Page(program_id=program_id, path=path) for path in paths], ignore_conflicts=True)
            pages = dict(Page.objects.filter(program_id=program_id, path__in=paths).values_list("path", "id"))
            now = edge.now()
            rows = [
                Event(
                    subject_id=subject_id, day=event["occurred_at"].date(), event_id=event["event_id"],
                    program_id=program_id, type_id=types[event["name"]], consent_record_id=0,
                    session_id=event.get("session_id"), page_id=pages[event["page"]], occurred_at=event["occurred_at"],
                    corrected_at=event["occurred_at"], received_at=now, dwell_ms=event.get("dwell_ms"),
                    scene=event.get("scene"), context=event.get("context"), properties=event.get("properties"),
                )
                for event, subject_id in zip(events, subjects, strict=True)
                if subject_id is not None
            ]  # fmt: skip
            Event.objects.bulk_create(rows, ignore_conflicts=True)
        results = [{"event_id": event["event_id"], "result": "stored"} for event in events]
        return Response({"stored": len(rows), "duplicate": 0, "refused": 0, "retry": 0, "results": results})


urlpatterns = [path("api/v1/events", Events.as_view()), path("healthz", lambda request: HttpResponse())]
settings.MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"]
settings.ROOT_URLCONF = "tests.benchmarks.yardstick"
application = get_wsgi_application()
