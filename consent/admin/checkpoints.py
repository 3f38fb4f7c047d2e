"""The log's newest checkpoints, as they are published: what the first page's figures of the ledger lead to."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from consent.admin.base import picked
from consent.admin.figures import MOST, as_text
from consent.ledger import log
from consent.ledger.tasks import in_order

PERMISSION = "consent.view_auditentry"
SHOWN = 50


@require_safe
def ledger_page(request: HttpRequest) -> HttpResponseBase:
    """The log is of all mini-programs; what waits for a place in it is the picked one's."""
    program = picked(request)
    if program is None:
        return redirect("admin_program")
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied
    left = log.waiting(limit=MOST, program_id=program.pk)
    told = [f"{gettext('Records and entries that have no place in it yet')}: {as_text(left)}"]
    if not in_order():
        told.append(gettext("The log is not what was published of it"))
    origin = log.current()
    newest = log.latest(origin.number, limit=SHOWN) if origin else []
    context = {
        **admin.site.each_context(request),
        "title": gettext("Checkpoints of the log"),
        "told": told,
        "heads": [gettext("minute"), gettext("leaves"), gettext("root")],
        "rows": [(date_format(localtime(one.at), "Y-m-d H:i"), one.size, bytes(one.root).hex()) for one in newest],
    }
    return TemplateResponse(request, "consent/admin/rows.html", context)
