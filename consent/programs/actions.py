"""Setting up mini-programs."""

from zoneinfo import available_timezones

from django.db import transaction

from consent.errors import Conflict, Fault, Invalid
from consent.programs.models import Controller, MiniProgram, Platform, SuiteName
from consent.vault.suites import NAMED, ready


def create_program(
    *, name: str, controller: str, platform: str, app_id: str, zone: str, sandbox: bool, suite: str = SuiteName.AES
) -> MiniProgram:
    """A mini-program, and its controller where it is new. Raises Invalid, Conflict where platform and app id are taken, Unavailable
    `suite_unavailable` where this machine cannot do with its suite."""
    if platform not in Platform.values:
        raise Invalid("unknown_platform", f"platform is one of {', '.join(Platform.values)}")
    if zone not in available_timezones():
        raise Invalid(
            "unknown_zone", "zone is an IANA time zone, as Asia/Shanghai", [Fault("unknown_zone", "", "/zone")]
        )
    if suite not in SuiteName.values:
        raise Invalid("unknown_suite", f"suite is one of {', '.join(SuiteName.values)}")
    ready(NAMED[suite])
    with transaction.atomic():
        owner, _ = Controller.objects.get_or_create(name=controller)
        program, created = MiniProgram.objects.get_or_create(
            platform=platform,
            app_id=app_id,
            defaults={"controller": owner, "name": name, "zone": zone, "sandbox": sandbox, "suite": suite},
        )
    if not created:
        raise Conflict("program_exists", f"this app id is mini-program {program.pk} already")
    return program
