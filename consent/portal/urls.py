"""The addresses of the data subject's own pages."""

from django.urls import path

from consent.portal import views

app_name = "portal"
urlpatterns = [
    path("", views.home, name="home"),
    path("open/<str:link>", views.open_link, name="open"),
    path("consents", views.my_consents, name="consents"),
    path("consents/<slug:code>", views.one_consent, name="consent"),
    path("data", views.my_data, name="data"),
    path("requests", views.my_requests, name="requests"),
    path("requests/new/<slug:kind>", views.new_request, name="ask"),
    path("requests/<uuid:request_id>", views.one_request, name="request"),
    path("requests/<uuid:request_id>/take-back", views.take_back, name="take_back"),
    path("requests/<uuid:request_id>/at-once", views.waive_undo, name="waive_undo"),
    path("requests/<uuid:request_id>/package.<slug:form>", views.download, name="package"),
    path("notices", views.notices, name="notices"),
    path("notices/<slug:sha256>", views.one_notice, name="notice"),
    path("language", views.speak, name="language"),
    path("end", views.end, name="end"),
    path("claim/<uuid:request_id>", views.claim, name="claim"),
]
