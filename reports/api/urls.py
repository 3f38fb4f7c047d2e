"""The REST calls of reports."""

from django.urls import path

from reports.api import reports

urlpatterns = [path("reports/<str:metric>", reports.Reports.as_view())]
