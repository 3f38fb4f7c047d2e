"""The REST calls of reports."""

from django.urls import path

from reports.api import reports, runs, saved

urlpatterns = [
    path("reports/<str:metric>", reports.Reports.as_view()),
    path("saved-reports", saved.SavedReports.as_view()),
    path("saved-reports/<uuid:saved_id>", saved.OneSavedReport.as_view()),
    path("saved-reports/<uuid:saved_id>/run", saved.SavedReportRun.as_view()),
    path("report-runs", runs.ReportRuns.as_view()),
    path("report-runs/<uuid:run_id>", runs.OneReportRun.as_view()),
    path("report-runs/<uuid:run_id>/cancel", runs.ReportRunCancelled.as_view()),
]
