"""The REST calls of consent."""

from django.urls import path

from consent.api import consents, history, identities, notices, portal, profile, receipts, requests

urlpatterns = [
    path("notices/current", notices.CurrentNotice.as_view()),
    path("notices/<str:sha256>", notices.NoticeBySha256.as_view()),
    path("consents", consents.Consents.as_view()),
    path("consents/status", consents.ConsentStatus.as_view()),
    path("consents/history", history.ConsentHistory.as_view()),
    path("identities", identities.Identities.as_view()),
    path("receipts/<uuid:record_id>", receipts.Receipt.as_view()),
    path("profile", profile.Profile.as_view()),
    path("portal-sessions", portal.PortalSessions.as_view()),
    path("requests", requests.Requests.as_view()),
    path("requests/<uuid:request_id>", requests.OneRequest.as_view()),
    path("requests/<uuid:request_id>/certificate", requests.Certificate.as_view()),
    path("requests/<uuid:request_id>/withdraw", requests.TakeBack.as_view()),
    path("requests/<uuid:request_id>/rejection-delivered", requests.RejectionDelivered.as_view()),
]
