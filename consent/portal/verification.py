"""The file by which a platform sees that a domain is ours: a web-view opens no other (WeChat: 业务域名; Alipay: H5 域名)."""

from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

LONGEST = 1024


@require_safe
def verification(request: HttpRequest, name: str) -> HttpResponse:
    """A file of ZHIQING_VERIFICATION_FOLDER, at the root of the site, as the platform made it."""
    folder: Path = settings.ZHIQING_VERIFICATION_FOLDER
    file = folder / name
    if not file.is_file() or file.stat().st_size > LONGEST:
        raise Http404
    return HttpResponse(file.read_bytes(), content_type="text/plain; charset=utf-8")
