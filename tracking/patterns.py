"""Which regular expressions a catalogue may hold: those that no value keeps busy for long.

Python's engine tries one way to match after the other, and `([a-z]+)*` has more ways for thirty characters than anybody
waits for. So the ways are counted from the pattern alone, never too few, and a pattern with too many is refused. The
parser is the standard library's own (`re._parser`, which has no public name).
"""

import re
from collections.abc import Iterable
from re import _constants as kinds
from re import _parser as parser
from string import punctuation
from typing import Any

LONGEST = 200
"""Characters of a pattern."""
MOST_WAYS = 2**20
"""To match one value: some tenths of a second at worst. Two open repetitions of a character fit in 1,000 characters."""
GROUP = 16
"""A round of a repeated group takes the engine as long as so many characters."""

_ONE_CHARACTER = (kinds.LITERAL, kinds.NOT_LITERAL, kinds.ANY, kinds.IN)
_WORDS = (kinds.CATEGORY_DIGIT, kinds.CATEGORY_SPACE, kinds.CATEGORY_WORD)
_REPEATS = (kinds.MAX_REPEAT, kinds.MIN_REPEAT, kinds.POSSESSIVE_REPEAT)

Node = tuple[Any, Any]


def fault(pattern: str, longest: int) -> str | None:
    """What is wrong with a pattern for values of up to `longest` characters, in words for its author; or None."""
    if len(pattern) > LONGEST:
        return f"a pattern has {LONGEST} characters at most"
    try:
        parsed = list(parser.parse(pattern))
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return "the pattern is not a regular expression"
    ways = _ways(parsed, longest)
    if ways is None:
        return "a pattern has no back-references and does not look around"
    if ways > MOST_WAYS:
        return (
            "the pattern has too many ways to match: repeat nothing within a repetition, bound repetitions ({1,20}),"
            " or give a smaller max_length"
        )
    return None


def _ways(nodes: Iterable[Node], longest: int) -> int | None:
    """How often the engine may have to try these in sequence, at most; None for what is not taken."""
    product = 1
    for node in nodes:
        ways = _ways_of(node, longest)
        if ways is None:
            return None
        product *= ways
    return product


def _ways_of(node: Node, longest: int) -> int | None:
    kind, said = node
    if kind in _ONE_CHARACTER or kind == kinds.AT:
        return 1
    if kind == kinds.SUBPATTERN:
        return _ways(said[-1], longest)
    if kind == kinds.ATOMIC_GROUP:
        return _ways(said, longest)
    if kind == kinds.BRANCH:
        found = [_ways(branch, longest) for branch in said[1]]
        return None if None in found else sum(ways for ways in found if ways is not None)
    if kind in _REPEATS:
        least, most, item = said
        return _repeated(least, most, item, longest)
    return None


def _repeated(least: int, most: int, item: Iterable[Node], longest: int) -> int | None:
    nodes = _flat(item)
    ways = _ways(nodes, longest)
    times = min(int(most), longest)
    counts = max(times - least, 0) + 1
    # Delimited: where each round begins is told by its delimiter, so every place to end at is reached in one way.
    if ways is None or ways == 1 or _delimited(nodes):
        return None if ways is None else counts
    rounds: int = min(ways, MOST_WAYS + 1) ** min(times, MOST_WAYS.bit_length())
    return GROUP * counts * rounds


def _delimited(nodes: list[Node]) -> bool:
    """A mark that nothing else here matches, at the beginning or the end, and beside it one repeated character."""
    varying = [said for kind, said in nodes if kind in _REPEATS and said[0] != said[1]]
    if len(varying) != 1 or not all(_narrow(node) for node in nodes):
        return False
    return any(
        kind == kinds.LITERAL and chr(said) in punctuation and not any(_matches(node, chr(said)) for node in rest)
        for (kind, said), rest in ((nodes[0], nodes[1:]), (nodes[-1], nodes[:-1]))
    )


def _narrow(node: Node) -> bool:
    """One character, or one repeated."""
    kind, said = node
    if kind in _REPEATS:
        return len(said[2]) == 1 and said[2][0][0] in _ONE_CHARACTER
    return kind in _ONE_CHARACTER


def _matches(node: Node, mark: str) -> bool:
    """Whether a narrow node, or a member of a set, may take the mark; yes where that is not looked into."""
    kind, said = node
    if kind in _REPEATS:
        return _matches(said[2][0], mark)
    if kind == kinds.IN and said[0][0] == kinds.NEGATE:
        plain = all(kind in (kinds.LITERAL, kinds.RANGE) for kind, _ in said[1:])
        return not (plain and any(_matches(member, mark) for member in said[1:]))
    if kind == kinds.IN:
        return any(_matches(member, mark) for member in said)
    if kind in (kinds.LITERAL, kinds.NOT_LITERAL):
        return bool((said == ord(mark)) == (kind == kinds.LITERAL))
    if kind == kinds.RANGE:
        return bool(said[0] <= ord(mark) <= said[1])
    # These classes hold no mark but _; a dot and every other class may.
    return kind != kinds.CATEGORY or said not in _WORDS or (said == kinds.CATEGORY_WORD and mark == "_")


def _flat(item: Iterable[Node]) -> list[Node]:
    """A group around everything says nothing of its own."""
    nodes = list(item)
    while len(nodes) == 1 and nodes[0][0] == kinds.SUBPATTERN:
        nodes = list(nodes[0][1][-1])
    return nodes
