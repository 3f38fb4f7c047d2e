"""What every page of the officers' admin rests on: who may do what, and whose rows are shown."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views import main
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.timezone import localtime
from django.utils.translation import get_language

from consent.admin.figures import Figure
from consent.ledger.audit import OFFICER
from consent.programs.models import MiniProgram
from consent.rights import languages

# Unfold carries no types; Django's classes, which it extends, stand in for it in the type checker.
if TYPE_CHECKING:
    ChangeList = main.ChangeList
    ModelAdmin = admin.ModelAdmin[Any]
    TabularInline = admin.TabularInline[Any, Any]
    UncountedPaginator = Paginator[Any]
else:
    from unfold import paginator, views
    from unfold.admin import ModelAdmin, TabularInline

    ChangeList = views.ChangeList
    UncountedPaginator = paginator.InfinitePaginator

REQUEST_ATTRIBUTE = FORM_FIELD = "zq_program"


def picked(request: HttpRequest | None) -> MiniProgram | None:
    """The mini-program this request runs under, verified by consent.admin.tenancy; None outside of it."""
    program = getattr(request, REQUEST_ATTRIBUTE, None)
    return program if isinstance(program, MiniProgram) else None


def officer(request: HttpRequest) -> str:
    """The acting officer, as audit entries name them."""
    return f"{OFFICER}{request.user.pk}"


def going_on(asked: str) -> str:
    """Where a form leads: an address of these pages, or their first."""
    first = reverse("admin:index")
    local = asked.startswith(first) and url_has_allowed_host_and_scheme(asked, allowed_hosts=None)
    return asked if local else first


def localised(texts: dict[str, str]) -> str:
    """The text in the reader's language, of one that a notice gives in several."""
    return languages.localised(texts, get_language() or "")


def at(field: str, description: Any) -> Callable[[Any], str]:
    """A list's column of moments, to the minute, in the mini-program's time zone."""

    @admin.display(description=description, ordering=field)
    def moment(row: Any) -> str:
        value = getattr(row, field)
        return "–" if value is None else date_format(localtime(value), "Y-m-d H:i")

    return moment


def own_page(model_admin: Any, view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """A page of a model's beside Django's, under the same rules; `view(request, object_id)`."""

    def page(request: HttpRequest, object_id: Any) -> HttpResponseBase:
        answered: HttpResponseBase = model_admin.admin_site.admin_view(view)(request, object_id)
        return answered

    page.model_admin = model_admin  # type: ignore[attr-defined]  # as Django marks its own, for OfficersProgram
    return page


class Rows(ChangeList):
    """Unfold offers to show all wherever the full count differs from the shown one; without a filter they are one."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.has_active_filters and not self.query:
            self.full_result_count = self.result_count


class Officers(ModelAdmin):
    """The house's defaults. In the side bar a model stands at its `rank` with its `icon` (a Material Symbol's name).

    No list has a search box but that of staff accounts: what is typed into one becomes part of the address, and an
    officer would type an identifier. Rows are filtered by the declared filters and by nothing else an address names.
    """

    icon, rank = "table_rows", 50
    sortable_by: ClassVar[Any] = ()
    list_per_page = 50
    list_max_show_all = 0
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def figures(self, request: HttpRequest, program: MiniProgram) -> Iterable[Figure]:
        """What the first page tells of these rows to this officer, by a bounded number of statements, each of them quick
        however many rows there are."""
        return ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[main.ChangeList]:
        return Rows

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        declared = self.get_list_filter(request)
        return lookup.split("__", 1)[0] in map(_named, declared)


def _named(declared: Any) -> Any:
    """What a filter of a list is asked by."""
    if isinstance(declared, tuple | list):
        return declared[0]
    return declared if isinstance(declared, str) else getattr(declared, "parameter_name", None)


class ViewOnly(Officers):
    """Nothing is added, changed or deleted here, whatever permissions an officer or a superuser holds."""

    actions = None

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        return super().changelist_view(request, extra_context)


class Owned(ViewOnly):
    """A table of a mini-program's rows: those of the picked one, and none where none is picked.

    Row-level security says the same once more in the database.
    """

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        program = picked(request)
        rows = super().get_queryset(request)
        return rows.none() if program is None else rows.filter(program_id=program.pk)


class OwnedInline(TabularInline):
    """Rows that belong to an owned one: seen by whoever sees that, and never changed. Say `fields`."""

    extra = 0
    hide_title = True
    can_delete = False
    show_change_link = False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields or ()

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        program = picked(request)
        rows = super().get_queryset(request)
        return rows.none() if program is None else rows.filter(program_id=program.pk)
