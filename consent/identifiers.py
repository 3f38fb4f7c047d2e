"""Texts that look like an identifier of a person: what they are, told by shape and check digit alone.

Borders. Digits count where they stand alone: no digit and no letter a-f beside them, since runs of digits occur in every
hexadecimal id; a word of other letters may precede them (`tel13800138000`, `uid…`). Digits after a decimal point are a
fraction. An openid begins where no letter or digit precedes it.

Sources: GB 11643-1999 (resident identity number: ISO 7064 MOD 11-2), ISO/IEC 7812-1 (cards: Luhn), the issuers' published
ranges, and the platforms' own examples of their ids; they promise no format.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from itertools import accumulate
from typing import Literal
from urllib.parse import unquote

from consent.errors import Fault, Invalid

Kind = Literal["mobile", "resident_id", "bank_card", "email", "openid"]

# NFKC makes ASCII of full-width forms, and leaves dashes and the minus sign as they are.
_GAPS = "- \u2010\u2012\u2013\u2014\u2015\u2212"
# A word may end with letters that are hexadecimal too: "uid", "phone", "code".
_LEFT = r"(?:(?<![0-9A-Fa-f])|(?<=[G-Zg-z][A-Fa-f])|(?<=[G-Zg-z][A-Fa-f]{2}))(?<!\d\.)"
_RIGHT = r"(?![0-9A-Fa-f])"
_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)
_ELEVEN = b"0" * 11
_GAP_BYTES = _GAPS.encode()
# Eleven digits behind such a border, which stands after the first digit here: quicker to search.
_NUMBER = re.compile(
    r"\d(?<!\d.)(?:(?<![A-Fa-f].)|(?<=[G-Zg-z][A-Fa-f].)|(?<=[G-Zg-z][A-Fa-f]{2}.))(?<!\d\..)"
    rf"(?:[{_GAPS}]?\d){{10}}",
    re.ASCII | re.DOTALL,
)
_AT = re.compile("@")
# Without borders: the literal at its beginning makes either quick to search.
_WECHAT = re.compile(r"o[A-Za-z0-9_-]{27}")
_ALIPAY = re.compile(r"0[0-9A-Za-z]{46}")

_CLOSED = dict.fromkeys(map(ord, _GAPS))
_PROVINCE = re.compile(r"9?(?:1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3])")
_WEIGHTS = tuple(pow(2, 17 - place, 11) for place in range(17))
_ISSUERS = re.compile(
    r"(?:62|81)\d{14,17}"  # UnionPay
    r"|4\d{15}(?:\d{3})?"  # Visa
    r"|5[1-5]\d{14}|(?:222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|35(?:2[89]|[3-8]\d)\d{12}"  # JCB
    r"|3[47]\d{13}"  # American Express
    r"|6[05]\d{14}(?:\d{3})?|9558\d{12}(?:\d{3})?",  # Discover; older cards of Chinese banks
    re.ASCII,
)
_WORDS = re.compile(r"[a-z]++(?:[A-Z]?[a-z]{2,}+|[A-Z]{2,}+|\d++|[-_])*+")


def may_hold(text: str) -> bool:
    """Whether `kind_of` is worth asking: of every text that holds one, and of few others. A microsecond per 100 characters.

    Texts joined by newlines may be asked about together. They hold no lone surrogates.
    """
    text = _read(text)
    return (
        "@" in text
        or _WECHAT.search(text) is not None
        or _ALIPAY.search(text) is not None
        or (_ELEVEN in text.encode().translate(_ZEROS, _GAP_BYTES) and _NUMBER.search(text) is not None)
    )


def suspects(texts: Sequence[str]) -> set[int]:
    """The places of those texts that `may_hold` one, found in one look at all of them. None holds NUL."""
    whole = "\0".join(texts)
    if "%" in whole or not whole.isascii():
        return {place for place, text in enumerate(texts) if may_hold(text)}
    starts = [found.start() for pattern in (_AT, _WECHAT, _ALIPAY) for found in pattern.finditer(whole)]
    ends = list(accumulate(len(text) + 1 for text in texts)) if starts else []
    return {bisect_right(ends, start) for start in starts} | set(_with_number(texts, whole.encode()))


def _with_number(texts: Sequence[str], whole: bytes) -> Iterator[int]:
    """Few texts have eleven digits in a row, and only those are searched."""
    digits = whole.translate(_ZEROS, _GAP_BYTES)
    place = seen = 0
    at = digits.find(_ELEVEN)
    while at >= 0:
        place += digits.count(b"\0", seen, at)
        if _NUMBER.search(texts[place]) is not None:
            yield place
        seen = digits.find(b"\0", at)
        at = digits.find(_ELEVEN, seen) if seen >= 0 else -1


def kind_of(text: str) -> Kind | None:
    """What the text holds somewhere, or None."""
    if not may_hold(text):
        return None
    text = _read(text)
    for kind, pattern, is_one in _KINDS:
        if any(is_one(found[1]) for found in pattern.finditer(text)):
            return kind
    return None


def refuse_in(**texts: str) -> None:
    """Of free texts that are kept for good, by the names of their fields. Raises Invalid `identifier_in_text`, without any."""
    detail = "this looks like a person's number or address; write it without"
    faults = [
        Fault("identifier_in_text", detail, f"/{name}") for name, text in texts.items() if kind_of(text) is not None
    ]
    if faults:
        raise Invalid("identifier_in_text", detail, faults)


def _read(text: str) -> str:
    """Percent-decoded, since paths are encoded and some twice; full-width forms as ASCII."""
    if "%" in text:
        text = unquote(unquote(text))
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def _is_resident_id(found: str) -> bool:
    """17 digits and the check digit: province, county (6), date of birth (8), sequence (3); 9 precedes the province of foreigners."""
    number = found.translate(_CLOSED).upper()
    if _PROVINCE.match(number) is None or number[6:8] not in ("19", "20"):
        return False
    try:
        date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    weighed = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, number[:17], strict=True))
    return number[17] == "10X98765432"[weighed % 11]


def _is_bank_card(found: str) -> bool:
    number = found.translate(_CLOSED)
    if _ISSUERS.fullmatch(number) is None:
        return False
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in number[-2::-2]]
    return (sum(doubled) + sum(map(int, number[-1::-2]))) % 10 == 0


def _is_openid(found: str) -> bool:
    """Random characters rather than words: `orderConfirm-…`. Of ids, one in five thousand lacks the letters asked for."""
    upper, lower = sum(map(str.isupper, found)), sum(map(str.islower, found[1:]))
    return upper >= 3 and lower >= 3 and _WORDS.fullmatch(found) is None


def _any(found: str) -> bool:
    return True


def _number(pattern: str) -> re.Pattern[str]:
    """A space stands for a gap. Within a lookahead, so that a number which begins inside another is found as well."""
    return re.compile(rf"{_LEFT}(?=({pattern.replace(' ', f'[{_GAPS}]')}){_RIGHT})", re.ASCII)


_KINDS: tuple[tuple[Kind, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("resident_id", _number(r"\d{6} ?\d{4} ?\d{4} ?\d{3}[\dXx]"), _is_resident_id),
    ("mobile", _number(r"(?:(?:00)?86 ?)?1[3-9](?:\d ?\d{4} ?\d{4}|\d\d \d{3} \d{4})"), _any),
    ("bank_card", _number(r"\d{15,19}|\d{6} \d{13}|\d{4} \d{6} \d{5}|\d{4} \d{4} \d{4} \d{4}"), _is_bank_card),
    ("bank_card", _number(r"\d{4} \d{4} \d{4} \d{4} \d{1,3}"), _is_bank_card),
    (
        "email",
        # Neither `logo@2x.png` nor `package@1.2.3-rc.one`.
        re.compile(
            r"([\w.+-]@(?!\d(?:\.\d)?x\b|\d+\.\d+\.\d)(?:[A-Za-z0-9-]+\.)+"
            r"(?!(?:png|jpe?g|gif|webp|svg|js|json|css|html?|wxml|wxss)\b)[A-Za-z]{2,24}(?![A-Za-z0-9]|-[A-Za-z]|\.[A-Za-z0-9]))"
        ),
        _any,
    ),
    # WeChat's openids are 28 characters, o and 27 of base64url; unionids 28 or, in its documentation, 29.
    (
        "openid",
        re.compile(r"(?<![0-9A-Za-z])(?=(o[\w-]{27}(?![0-9A-Za-z])|(?<![-_])o[\w-]{28}(?![\w-])))", re.ASCII),
        _is_openid,
    ),
    # Alipay's user_id is 2088 and 12 digits, its first openid was 2088 and 28; its open_id is 0 and 46 letters and digits.
    ("openid", _number(r"2088\d{12}(?:\d{16})?"), _any),
    ("openid", re.compile(r"(?<![0-9A-Za-z])(0[0-9A-Za-z]{46})(?![0-9A-Za-z])"), _any),
)
