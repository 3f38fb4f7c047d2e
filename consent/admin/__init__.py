"""The compliance officer's desk, on django-unfold. Served below /admin/ and, until it asks for a second factor, on
loopback only.

An officer is a staff account (`is_staff`) with an OfficerAssignment for each mini-program they work on, and these
permissions, best given through a group:

    consent.view_subjectrequest   requests, with the progress of each holder of personal data
    consent.find_by_phone         with it, the requests of whoever has a telephone number; each search is counted and audited
    consent.change_subjectrequest verify, approve, reject and extend them; nothing else of them can be changed
    consent.view_reviewrule       which kinds go to review; consent.add_reviewrule, consent.delete_reviewrule: set it
    consent.view_legalhold        legal holds; consent.add_legalhold, consent.change_legalhold: make and lift them
    consent.view_package          download the package of an access request
    consent.view_consentrecord    consent records
    consent.view_notice, consent.view_purpose, tracking.view_eventtype
    consent.view_noticedraft      drafts of notices; consent.add_…, consent.change_…, consent.delete_noticedraft: write them
    consent.add_notice            publish a draft
    consent.add_impactassessment  record on a purpose's page that its impact was assessed
    consent.change_purpose        activate or end a purpose; nothing else of it can be changed
    consent.view_apiclient, consent.view_apikey
    consent.view_auditentry       the audit log
    consent.view_disclosure       the log of disclosures: what was given to whom
    consent.view_webhookendpoint  where webhooks go; consent.add_webhookendpoint, consent.change_webhookendpoint: set up and rotate
    consent.view_webhookmessage   what is told; consent.change_webhookmessage: send again what was given up
    reports.view_report           reports: charts, tables and CSV

Controllers, mini-programs, accounts, groups and assignments are a superuser's, whatever permissions others hold.
"""

from consent.admin import drafts, holds, ledger, notices, people, programs, records, requests, review, webhooks

__all__ = ["drafts", "holds", "ledger", "notices", "people", "programs", "records", "requests", "review", "webhooks"]
