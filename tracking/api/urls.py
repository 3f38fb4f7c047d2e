"""The REST calls of tracking."""

from django.urls import path

from tracking.api import events

urlpatterns = [path("events", events.Events.as_view())]
