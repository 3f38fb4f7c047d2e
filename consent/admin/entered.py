"""Every form of the officers' pages says beside its CSRF token in which mini-program it was shown (consent.admin.tenancy asks).

One of the template engine's own tags (settings.TEMPLATES) in the place of Django's, so that no form, Unfold's and Django's
included, is without it.
"""

from django import template
from django.template.base import Parser, Token
from django.template.context import Context
from django.template.defaulttags import CsrfTokenNode
from django.utils.html import format_html
from django.utils.safestring import SafeString

from consent.admin.base import FORM_FIELD, picked

register = template.Library()


class _Shown(CsrfTokenNode):
    def render(self, context: Context) -> SafeString:
        program = picked(getattr(context, "request", None))
        field = format_html('<input type="hidden" name="{}" value="{}">', FORM_FIELD, program.pk) if program else ""
        return format_html("{}{}", super().render(context), field)


@register.tag
def csrf_token(parser: Parser, token: Token) -> _Shown:
    """Django's token, and the mini-program where one is entered."""
    return _Shown()
