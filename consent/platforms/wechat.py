"""WeChat's `code2Session`: the openid, and the unionid where it gives one, for a code of `wx.login`.

Source: developers.weixin.qq.com, "code2Session"; 40163, which it leaves out, as the interface answers it.
"""

import re

import msgspec

from consent.errors import Problem, invalid
from consent.platforms.calls import (
    MINUTE_S,
    PlatformIdentity,
    answered,
    busy,
    decoded,
    login_code_invalid,
    login_code_used,
    refused,
)

PATH = "/sns/jscode2session"
_APP_SECRET = re.compile(r"[0-9A-Za-z]{16,128}", re.ASCII)


class _Said(msgspec.Struct):
    """What is read of an answer. `session_key` is not: nothing here needs it."""

    errcode: int = 0
    openid: str = ""
    unionid: str = ""


def checked(secret: str) -> str:
    """An AppSecret. Raises Invalid."""
    if not _APP_SECRET.fullmatch(secret):
        raise invalid("invalid_secret", "an AppSecret is letters and digits, as WeChat shows it (32)", "/secret")
    return secret


def exchange(address: str, app_id: str, secret: str, code: str) -> PlatformIdentity:
    """Raises Invalid, Unavailable, Conflict."""
    query = {"appid": app_id, "secret": secret, "js_code": code, "grant_type": "authorization_code"}
    said = decoded(answered("GET", f"{address}{PATH}", params=query), _Said)
    if said.errcode:
        raise _problem(said.errcode)
    if not said.openid:
        raise busy()
    return PlatformIdentity(said.openid, said.unionid or None)


def _problem(errcode: int) -> Problem:
    known: dict[int, Problem] = {
        -1: busy(),
        40029: login_code_invalid(),
        40163: login_code_used(),
        45011: busy(MINUTE_S),
    }
    return known.get(errcode) or refused(f"errcode {errcode}")
