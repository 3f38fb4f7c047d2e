"""A fresh login code of a mini-program for who it is of, asked of the platform itself."""

import logging
from datetime import datetime

from consent.errors import Conflict, Unavailable
from consent.platforms import alipay, wechat
from consent.platforms.calls import PlatformIdentity, login_code_invalid
from consent.platforms.credentials import Credentials
from consent.programs.models import Platform

MAX_CODE_CHARS = 256
logger = logging.getLogger("zhiqing.platforms")


def exchange(*, credentials: Credentials, code: str, now: datetime) -> PlatformIdentity:
    """Uses the code up, whatever comes of it. Takes 5 s at most, in which no transaction should be open.

    Raises Invalid `login_code_invalid`, `login_code_used`; Unavailable `platform_busy`; Conflict `platform_refused`. None of
    them, and no log line, holds the code, a secret or who it is of.
    """
    if not (0 < len(code) <= MAX_CODE_CHARS and code.isascii() and code.isprintable()):
        raise login_code_invalid()
    try:
        if credentials.platform == Platform.ALIPAY:
            return alipay.exchange(
                credentials.address, credentials.app_id, credentials.secret, credentials.platform_key, code, now=now
            )
        return wechat.exchange(credentials.address, credentials.app_id, credentials.secret, code)
    except (Conflict, Unavailable) as problem:
        # The caller can do nothing about these; the operator may.
        fields = {"platform": credentials.platform, "code": problem.code, "detail": problem.detail}
        logger.warning("a login code was not exchanged", extra={"fields": fields | {"app_id": credentials.app_id}})
        raise
