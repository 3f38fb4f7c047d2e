"""Which kinds of requests wait for an officer's decision."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from consent.admin.base import Owned, officer, picked
from consent.rights import review
from consent.rights.models import RequestKind, ReviewRule


@admin.register(ReviewRule)
class ReviewRules(Owned):
    """Added and taken away, never changed; both stand in the audit log."""

    icon, rank = "rule", 15
    list_display = ["kind"]
    fields = ["kind"]
    ordering = ["kind"]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("consent.add_reviewrule")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("consent.delete_reviewrule")

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "kind":
            kwargs["choices"] = [(kind.value, RequestKind(kind).label) for kind in review.REVIEWABLE]
            kwargs["help_text"] = _(
                "Requests of this kind wait for an officer from now on. Taking the rule away approves nothing that waits."
            )
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: ReviewRule, form: Any, change: Any) -> None:
        program = picked(request)
        assert program is not None  # OfficersProgram asks for one before it shows an owned page
        review.set_review(program_id=program.pk, kind=obj.kind, on=True, by=officer(request))
        obj.program = program
        obj.pk = ReviewRule.objects.get(program=program, kind=obj.kind).pk

    def delete_model(self, request: HttpRequest, obj: ReviewRule) -> None:
        review.set_review(program_id=obj.program_id, kind=obj.kind, on=False, by=officer(request))
