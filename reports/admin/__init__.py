"""The reports' pages in the officers' admin, for whoever has the permission reports.view_report; what is kept
(saved reports, runs) is made and changed with reports.keep_report.

A page's form asks what REST asks (`options`), gets REST's answer (reports.api.asking), and shows it (`showing`) as charts
(`pages`, `charts`) and as tables (`tables`). A question can be saved and asked again (`saved`), and
be answered by a worker (`runs`).
"""

from reports.admin import runs, saved, site

__all__ = ["runs", "saved", "site"]
