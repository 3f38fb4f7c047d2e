"""What officers may do, by role: each is a group of Django's with the permissions that stand here and no others.

docs/roles.md says the same by page, and a test holds both to it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.db import models
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

PREFIX = "role:"
"""How a role's group is named, so that it is no group that an installation made itself."""

SETTINGS = frozenset(
    f"consent.view_{model}"
    for model in (
        "controller",
        "miniprogram",
        "notice",
        "noticedraft",
        "purpose",
        "reviewrule",
        "processor",
        "mechanism",
    )
) | {"tracking.view_eventtype", "consent.view_consent_statistics", "consent.view_request_statistics"}
REPORTS = frozenset({"reports.view_report"})
REFUSALS = frozenset({"reports.view_quality"})
"""Whoever answers for the processing sees which events it refused and why, as the one report of it tells, and no other report."""
PEOPLE = frozenset(
    f"consent.view_{model}"
    for model in (
        "subjectrequest",
        "consentrecord",
        "legalhold",
        "auditentry",
        "audit_report",
        "disclosure",
        "incident",
        "riskrun",
        "apiclient",
        "apikey",
        "webhookendpoint",
        "webhookmessage",
        "datakey",
    )
)
REQUESTS = frozenset(
    {
        "consent.change_subjectrequest",
        "consent.change_holderrun",
        "consent.find_subject",
        "consent.add_riskremark",
    }
)
DECISIONS = frozenset(
    {
        "consent.approve_erasure",
        "consent.view_package",
        "consent.reveal_subject",
        "consent.view_minoraccess",
        "consent.change_minoraccess",
        "consent.add_legalhold",
        "consent.change_legalhold",
        "consent.add_reviewrule",
        "consent.delete_reviewrule",
        "consent.add_noticedraft",
        "consent.change_noticedraft",
        "consent.delete_noticedraft",
        "consent.add_notice",
        "consent.add_impactassessment",
        "consent.change_purpose",
        "consent.add_processor",
        "consent.change_processor",
        "consent.add_mechanism",
        "consent.change_mechanism",
        "consent.add_incident",
        "consent.download_affected",
        "tracking.change_eventtype",
    }
)
ACCOUNTS = frozenset(
    {
        "auth.view_user",
        "auth.add_user",
        "auth.change_user",
        "auth.view_group",
        "consent.view_officerassignment",
        "consent.add_officerassignment",
        "consent.delete_officerassignment",
        "consent.view_accountentry",
        "consent.view_controller",
        "consent.view_miniprogram",
        "consent.view_apiclient",
        "consent.view_apikey",
        "consent.view_webhookendpoint",
        "consent.add_webhookendpoint",
        "consent.change_webhookendpoint",
        "consent.view_webhookmessage",
        "consent.change_webhookmessage",
        "consent.view_datakey",
    }
)


@dataclass(frozen=True)
class Role:
    """`code` is for good. `alone`: whoever has it has no other; `ends`: an account with it ends on a day."""

    code: str
    title: "_StrPromise"
    description: "_StrPromise"
    permissions: frozenset[str]
    alone: bool = False
    ends: bool = False

    @property
    def group(self) -> str:
        return PREFIX + self.code


ROLES = (
    Role(
        "viewer",
        _("Viewer"),
        _("Reads settings, notices and how many requests and consents there are. Sees no person's data."),
        SETTINGS,
    ),
    Role(
        "analyst",
        _("Analyst"),
        _("Reads reports, saves them and has them made in the background. Sees nothing else."),
        REPORTS | {"reports.keep_report"},
    ),
    Role(
        "officer",
        _("Officer"),
        _(
            "Works on requests, finds people, and reads consents, holds, disclosures, why events were refused and the audit log."
        ),
        SETTINGS | PEOPLE | REFUSALS | REQUESTS,
    ),
    Role(
        "senior_officer",
        _("Senior officer"),
        _(
            "What an officer does; also approves erasures, opens what is sealed (packages, corrected values, identifiers"
            " and profiles; a minor's with another's approval), makes legal holds, keeps incidents, processors and cross-border"
            " mechanisms, and changes notices, purposes, the catalogue and what goes to review."
        ),
        SETTINGS | PEOPLE | REFUSALS | REQUESTS | DECISIONS,
    ),
    Role(
        "administrator",
        _("Administrator"),
        _(
            "Makes accounts, gives roles, assigns mini-programs, sets up webhooks and sees who calls the API. Sees no person's data."
        ),
        ACCOUNTS,
        alone=True,
    ),
    Role(
        "inspector",
        _("Inspector"),
        _(
            "Reads what viewers, analysts and officers read, with both audit logs. Changes nothing, and the account ends on a"
            " day."
        ),
        SETTINGS | REPORTS | PEOPLE | REFUSALS | {"consent.view_accountentry"},
        alone=True,
        ends=True,
    ),
)
BY_GROUP = {role.group: role for role in ROLES}


def put_in_place(apps: Any = installed, **signalled: Any) -> None:
    """Every role's group, with its permissions and no others; after each migration, and as often as one likes.

    Django makes an app's permissions when its turn comes, so those that roles are made of are asked for here. Where the schema
    has none of accounts, or not yet all it comes to (`apps`: what it has), a later migration gives the rest.
    """
    if not any(config.label == "auth" for config in apps.get_app_configs()):
        return
    for label in sorted({name.partition(".")[0] for role in ROLES for name in role.permissions}):
        create_permissions(installed.get_app_config(label), verbosity=0, apps=apps)
    for role in ROLES:
        group, _made = Group.objects.get_or_create(name=role.group)
        group.permissions.set(_permissions(role))


def _permissions(role: Role) -> list[Permission]:
    wanted = models.Q(pk__in=[])
    for name in role.permissions:
        label, _dot, codename = name.partition(".")
        wanted |= models.Q(content_type__app_label=label, codename=codename)
    return list(Permission.objects.filter(wanted))
