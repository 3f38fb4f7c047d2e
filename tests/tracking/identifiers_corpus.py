"""Texts of events, made from a seed: with an identifier of a person in them, and without one but much like it.

    python -m tests.tracking.identifiers_corpus

prints the tables of docs/screening.md.
"""

import base64
import string
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from urllib.parse import quote

from consent.identifiers import Kind, kind_of

SEED = 20261125
POSITIVES = 2_000
"""Texts of each kind."""
NEGATIVES = 1_000
"""Texts of each likeness."""

BASE64URL = string.ascii_letters + string.digits + "-_"
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
FULL_WIDTH = str.maketrans("0123456789@.-", "０１２３４５６７８９＠．－")
# Provinces are drawn evenly; 83 and 9 are the cards of residents from elsewhere.
PROVINCES = (11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 41, 42, 43, 44, 45, 46, 50, 51, 52, 53, 54, 61,
             62, 63, 64, 65, 81, 82, 83)  # fmt: skip
# (first digits, how many in all)
CARDS = (("62", 16), ("62", 19), ("62", 19), ("62", 17), ("62", 18), ("4", 16), ("52", 16), ("2221", 16), ("3530", 16),
         ("37", 15), ("9558", 19), ("601382", 19))  # fmt: skip


@dataclass(frozen=True)
class Sample:
    text: str
    kind: Kind | None
    form: str
    """How it is written, or what it is if it is no identifier."""


def digits(chance: Random, count: int) -> str:
    return "".join(chance.choices(string.digits, k=count))


def chars(chance: Random, alphabet: str, count: int) -> str:
    return "".join(chance.choices(alphabet, k=count))


def mobile(chance: Random) -> str:
    return f"1{chance.randint(3, 9)}{digits(chance, 9)}"


def check_digit(first: str) -> str:
    """The pure system's recursion: P = (P + digit) * 2 modulo 11; the check makes P + check = 1."""
    rest = 0
    for digit in first:
        rest = (rest + int(digit)) * 2 % 11
    return "0123456789X"[(1 - rest) % 11]


def resident_id(chance: Random) -> str:
    birth = date(1930, 1, 1) + timedelta(days=chance.randrange(95 * 365))
    province = chance.choice(PROVINCES)
    region = f"{province}0000" if province > 65 else f"{province}{chance.randrange(1, 30):02}{digits(chance, 2)}"
    if chance.random() < 0.03:
        region = f"9{chance.choice(PROVINCES[:31])}{digits(chance, 3)}"
    first = f"{region}{birth:%Y%m%d}{digits(chance, 3)}"
    return first + check_digit(first)


def luhn(first: str) -> str:
    table = "0246813579"
    total = sum(int(table[int(d)]) if place % 2 == 0 else int(d) for place, d in enumerate(reversed(first)))
    return str(-total % 10)


def bank_card(chance: Random) -> str:
    start, length = chance.choice(CARDS)
    first = start + digits(chance, length - 1 - len(start))
    return first + luhn(first)


def email(chance: Random) -> str:
    name = chance.choice((
        digits(chance, chance.randint(6, 10)), chars(chance, string.ascii_lowercase, chance.randint(3, 12)),
        f"{chars(chance, string.ascii_lowercase, 5)}.{chars(chance, string.ascii_lowercase, 6)}",
        f"{chars(chance, string.ascii_letters, 6)}_{chance.randrange(100)}", f"zhang+{chance.randrange(1000)}",
    ))  # fmt: skip
    company = f"mail.{chars(chance, string.ascii_lowercase, 7)}.com.cn"
    host = chance.choice(
        ("qq.com", "163.com", "126.com", "sina.cn", "gmail.com", company, "xn--fiq228c.com", "foo-bar.io")
    )
    return f"{name}@{host}"


def openid(chance: Random) -> str:
    draw = chance.random()
    if draw < 0.7:
        return "o" + chars(chance, BASE64URL, 27)
    if draw < 0.85:
        return "2088" + digits(chance, 12)
    return "0" + chars(chance, string.ascii_letters + string.digits, 46)


KINDS: dict[Kind, Callable[[Random], str]] = {
    "mobile": mobile, "resident_id": resident_id, "bank_card": bank_card, "email": email, "openid": openid,
}  # fmt: skip

Form = Callable[[str, Random], str]


def spaced(value: str, chance: Random) -> str:
    """Digits in the groups people write them in, with one kind of gap."""
    sizes = {11: (3, 4, 4), 15: (4, 6, 5), 18: (6, 8, 4)}.get(len(value), (4, 4, 4, 4, 3))
    gap, groups, rest = chance.choice(" -"), [], value
    for size in sizes:
        groups.append(rest[:size])
        rest = rest[size:]
    return gap.join(filter(None, [*groups, rest]))


FORMS: dict[str, Form] = {
    "by itself": lambda value, chance: value,
    "in a page path": lambda value, chance: f"pages/{chance.choice(('u', 'user/detail', 'call'))}/{value}/index",
    "in a Chinese sentence": lambda value, chance: chance.choice(("请联系{}谢谢", "我的号码是{},明天打", "用户({})已领取")).format(value),
    "in JSON": lambda value, chance: f'{{"a":{chance.randrange(99)},"v":"{value}"}}',
    "with a name": lambda value, chance: chance.choice(("id={}&x=1", "u_{}", "key:{}", "share_{}_2")).format(value),
    "after a date": lambda value, chance: f"2026-11-25 {value}",
    "with a number behind": lambda value, chance: f"{value}-{chance.randrange(10_000)}",
    "percent-encoded": lambda value, chance: quote(f"号={value}", safe=""),
    "full-width": lambda value, chance: value.translate(FULL_WIDTH),
}  # fmt: skip
OF_NUMBERS: dict[str, Form] = {
    "in groups": spaced,
    "glued to a word": lambda value, chance: chance.choice(("tel", "uid", "phone", "card", "u", "no")) + value,
}
OF_MOBILES: dict[str, Form] = {
    "with 86": lambda value, chance: chance.choice(("+86", "86", "0086", "+86 ", "+86-", "86-")) + value,
}


def positives(chance: Random) -> Iterator[Sample]:
    for kind, make in KINDS.items():
        forms = (
            FORMS | (OF_NUMBERS if kind not in ("email", "openid") else {}) | (OF_MOBILES if kind == "mobile" else {})
        )
        names = list(forms)
        for number in range(POSITIVES):
            name = names[number % len(names)]
            yield Sample(forms[name](make(chance), chance), kind, name)


def moment(chance: Random) -> datetime:
    return datetime(2023, 1, 1, tzinfo=UTC) + timedelta(seconds=chance.randrange(5 * 365 * 86_400))


def snowflake(chance: Random, epoch: datetime) -> str:
    since = int((moment(chance) + timedelta(days=700) - epoch).total_seconds() * 1000)
    return str(since << 22 | chance.getrandbits(22))


def _hex(count: int) -> Callable[[Random], str]:
    return lambda chance: f"{chance.getrandbits(4 * count):0{count}x}"


_WORDS = ("order", "confirm", "goods", "list", "outlet", "item", "detail", "coupon", "share", "home", "search", "cart")

LIKENESSES: dict[str, Callable[[Random], str]] = {
    "UUID": lambda chance: str(uuid.UUID(int=chance.getrandbits(128), version=4)),
    "hex id of 12": _hex(12),
    "hex id of 16 behind a letter": lambda chance: "s" + _hex(16)(chance),
    "hex id of 24 (ObjectId)": _hex(24),
    "hex id of 32": _hex(32),
    "hash of 64": _hex(64),
    "ULID": lambda chance: "01" + chars(chance, CROCKFORD, 24),
    "nanoid of 21": lambda chance: chars(chance, BASE64URL, 21),
    "base64url of 28": lambda chance: chars(chance, BASE64URL, 28),
    "base64 of 48 bytes": lambda chance: base64.b64encode(chance.randbytes(48)).decode(),
    "snowflake since 2010": lambda chance: snowflake(chance, datetime(2010, 11, 4, tzinfo=UTC)),
    "snowflake since 2020": lambda chance: snowflake(chance, datetime(2020, 1, 1, tzinfo=UTC)),
    "time in s, ms, µs": lambda chance: str(int(moment(chance).timestamp() * 10 ** chance.choice((0, 3, 6)))),
    "time of ISO 8601": lambda chance: moment(chance).isoformat(timespec="milliseconds"),
    "order number from a time": lambda chance: f"{moment(chance):%Y%m%d%H%M%S}{digits(chance, chance.randint(3, 6))}",
    "payment number of 28": lambda chance: f"42000{digits(chance, 5)}{moment(chance):%Y%m%d}{digits(chance, 10)}",
    "number of 8 to 10 digits": lambda chance: str(chance.randrange(10**7, 10**10)),
    "number of 11 digits": lambda chance: str(chance.randrange(10**10, 10**11)),
    "number of 12 to 15 digits": lambda chance: str(chance.randrange(10 ** (n := chance.randint(11, 14)), 10 ** (n + 1))),
    "number of 16 digits": lambda chance: str(chance.randrange(10**15, 10**16)),
    "number of 17 to 20 digits": lambda chance: str(chance.randrange(10 ** (n := chance.randint(16, 19)), 10 ** (n + 1))),
    "resident number, wrong check digit": lambda chance: _flipped(resident_id(chance)),
    "card number, wrong check digit": lambda chance: _flipped(bank_card(chance)),
    "landline": lambda chance: f"0{chance.choice(('10', '21', '755', '571'))}-{chance.randint(2, 8)}{digits(chance, 7)}",
    "coordinates": lambda chance: f"{chance.uniform(18, 53)!r},{chance.uniform(73, 135)!r}",
    "fraction": lambda chance: repr(chance.random()),
    "price": lambda chance: f"¥{chance.randrange(1, 10**7) / 100:.2f}",
    "version, IP address": lambda chance: ".".join(str(chance.randrange(256)) for _ in range(4)),
    "page path": lambda chance: f"packageA/pages/{chance.choice(('order', 'outlet', 'goods'))}-detail/{_words(chance)}",
    "names in code": lambda chance: "o" + "".join(chance.choices(_WORDS, k=5)).title(),
    "image": lambda chance: f"images/{_words(chance)}@{chance.choice(('2x', '3x', 'thumb'))}.png",
    "package": lambda chance: f"{_words(chance)}@{chance.randrange(9)}.{chance.randrange(20)}.{chance.randrange(20)}",
    "Chinese": lambda chance: "".join(chr(chance.randrange(0x4E00, 0x9000)) for _ in range(20)) + "@" + str(chance.randrange(100)),
}  # fmt: skip


def _words(chance: Random) -> str:
    return chance.choice("-_").join(chance.choices(_WORDS, k=chance.randint(2, 5)))


def _flipped(number: str) -> str:
    """With another check digit."""
    return number[:-1] + str((int(number[-1]) + 1) % 10 if number[-1] != "X" else 0)


def negatives(chance: Random) -> Iterator[Sample]:
    around = [
        FORMS["by itself"],
        FORMS["by itself"],
        FORMS["in a page path"],
        FORMS["with a number behind"],
        FORMS["in JSON"],
    ]
    for name, make in LIKENESSES.items():
        for number in range(NEGATIVES):
            yield Sample(around[number % len(around)](make(chance), chance), None, name)


@dataclass(frozen=True)
class Figures:
    made: dict[Kind, int]
    found: dict[Kind, int]
    """Of those, told to be what they are."""
    wrong: dict[Kind, int]
    """Told of texts that hold none, or another."""
    missed: Counter[tuple[Kind, str]]
    refused: Counter[str]
    """Likeness -> how many of NEGATIVES were taken for an identifier."""

    def recall(self, kind: Kind) -> float:
        return self.found[kind] / self.made[kind]

    def precision(self, kind: Kind) -> float:
        return self.found[kind] / (self.found[kind] + self.wrong[kind])


def measure() -> Figures:
    chance = Random(SEED)
    figures = Figures(dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0), Counter(), Counter())
    for sample in [*positives(chance), *negatives(chance)]:
        told = kind_of(sample.text)
        if sample.kind is not None:
            figures.made[sample.kind] += 1
            figures.found[sample.kind] += told == sample.kind
            figures.missed[sample.kind, sample.form] += told != sample.kind
        elif told is not None:
            figures.refused[sample.form] += 1
        if told is not None and told != sample.kind:
            figures.wrong[told] += 1
    return figures


def tables(figures: Figures) -> str:
    """Markdown."""
    lines = ["| | texts | recall | precision |", "|---|---|---|---|"]
    for kind in KINDS:
        lines.append(
            f"| `{kind}` | {figures.made[kind]:,} | {figures.recall(kind):.1%} | {figures.precision(kind):.1%} |"
        )
    lines += ["", "| likeness | refused |", "|---|---|"]
    lines += [f"| {name} | {figures.refused[name] / NEGATIVES:.1%} |" for name in LIKENESSES if figures.refused[name]]
    lines += ["", "Never refused: " + ", ".join(name for name in LIKENESSES if not figures.refused[name]) + "."]
    lines += ["", "Missed: " + ", ".join(f"{kind} {form} {n}" for (kind, form), n in figures.missed.items() if n)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(tables(measure()))
