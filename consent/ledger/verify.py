"""Whether a log is what its checkpoints say: its rows, its tree, what it says itself. Streams; memory does not grow with it.

Nothing here trusts the database but for where to look: what counts are checkpoints published outside it, and public keys.
Only those of the database itself are left where none is given, and then a log that was rebuilt as a whole, and signed with
the service's own key, passes.
"""

import heapq
import json
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pyroaring import BitMap64

from consent.ledger import checkpoints
from consent.ledger.checkpoints import Head, NotACheckpoint
from consent.ledger.findings import Fault, Findings, readable, streamed
from consent.ledger.leaves import LeafType, leaf_hash
from consent.ledger.models import LogOrigin
from consent.ledger.statements import KEY_CHANGE
from consent.ledger.tree import Growing
from consent.vault import jws

_ROWS = 'SELECT "index", leaf_id, hash FROM log_leaf WHERE origin = %s AND "index" >= 0 ORDER BY "index"'
# The last column is the end of what a node covers, negative: no sum, which a row that somebody put in may be too large for.
_NODES = """
    SELECT level, position, hash, (~position) << level FROM log_node WHERE origin = %s
    ORDER BY (~position) << level DESC, level, position
"""
_CHECKPOINTS = f"""
    SELECT size, root, {readable("at")}, note FROM log_checkpoint WHERE origin = %s AND size >= 0 ORDER BY size
"""
_HEADS = "SELECT size, root FROM log_checkpoint WHERE origin = %s AND size >= 0 ORDER BY size"
_STATEMENTS = """
    SELECT said."index", said.type, said.salt, said.content::text, log_leaf.hash, log_leaf.leaf_id
    FROM log_statement said LEFT JOIN log_leaf USING (origin, "index") WHERE said.origin = %s AND said."index" >= 0 ORDER BY said."index"
"""
_BELOW_ZERO = """
    SELECT 'log_leaf', "index" FROM log_leaf WHERE origin = %(origin)s AND "index" < 0
    UNION ALL SELECT 'log_statement', "index" FROM log_statement WHERE origin = %(origin)s AND "index" < 0
    UNION ALL SELECT 'log_checkpoint', size FROM log_checkpoint WHERE origin = %(origin)s AND size < 0
"""
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True)
class Gap:
    """What a log's first leaf says of one before, after a loss: it had come to the checkpoint `before`, and `held` rows of it are
    left."""

    before: Head
    held: int

    def explains(self, size: int, root: bytes, *, left: int) -> bool:
        """Whether it tells that a checkpoint has no rows beyond those that are left."""
        return self.held == left and (size < self.before.size or (size, root) == (self.before.size, self.before.root))


@dataclass
class Log:
    """What a log came to. `times` and `sizes`: of its checkpoints, the published ones too, in their order; `said`: the places of its
    statements; `redacted`: the places it lists, by origin; `published`: the size of the largest checkpoint from outside;
    `beyond`: the largest checkpoints of more rows than there are, as (size, root, where it is); `gaps`: signed, and well told."""

    origin: LogOrigin
    size: int = 0
    checkpoints: int = 0
    published: int = 0
    last_good: int = 0
    times: list[datetime] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    present: BitMap64 = field(default_factory=BitMap64)
    said: BitMap64 = field(default_factory=BitMap64)
    unsaid: BitMap64 = field(default_factory=BitMap64)
    redacted: dict[str, BitMap64] = field(default_factory=dict)
    beyond: list[tuple[int, bytes, str]] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    def row(self, index: int) -> str:
        return f"log_leaf {self.origin.number}/{index}"

    def missed(self, index: int, promised: datetime) -> int | None:
        """The size of a checkpoint that was signed after that time and has not the leaf; None where there is none."""
        place = bisect_left(self.times, promised)
        return self.sizes[place] if place < len(self.times) and self.sizes[place] <= index else None

    def covered(self, index: int) -> datetime | None:
        """The minute of the first checkpoint that has the leaf."""
        place = bisect_right(self.sizes, index)
        return self.times[place] if place < len(self.times) else None


def verified(
    origin: LogOrigin, *, keys: Mapping[str, Ed25519PublicKey], published: Sequence[Head], findings: Findings
) -> Log:
    """Goes through one log. `published`: the heads that are known from outside, of this origin or others. Within a snapshot."""
    log = Log(origin)
    for table, number in streamed(_BELOW_ZERO, {"origin": origin.number}):
        findings.add(Fault.ROW_CHANGED, f"{table} {origin.number}/{number}", "no row has a number below zero")
    public = [key.public_bytes_raw() for key in keys.values()]
    known = {head for head in published if head.origin == origin.name}
    rows = _heads(log, public, known, findings)
    outside = sorted({(head.size, head.root) for head in known})
    log.published = outside[-1][0] if outside else 0
    _tree(log, outside, findings)
    for size in BitMap64(size for size, _ in outside if size <= log.size) - rows:
        findings.add(
            Fault.CHECKPOINT_GONE, f"log_checkpoint {origin.number}/{size}", "it was published, and its row is gone"
        )
    _statements(log, keys, findings)
    return log


def _heads(log: Log, public: Sequence[bytes], published: Iterable[Head], findings: Findings) -> BitMap64:
    """The database's own checkpoints: each signed, and each row what its note says. Answers their sizes."""
    rows, timed = BitMap64(), [(head.size, head.at) for head in published if head.at is not None]
    for size, root, at, note in streamed(_CHECKPOINTS, [log.origin.number]):
        log.checkpoints += 1
        rows.add(size)
        row = f"log_checkpoint {log.origin.number}/{size}"
        try:
            head = checkpoints.opened(note, public)
        except NotACheckpoint as error:
            findings.add(Fault.CHECKPOINT_NOT_SIGNED, row, str(error))
            continue
        if head != Head(log.origin.name, size, bytes(root), at):
            findings.add(Fault.CHECKPOINT_NOT_SIGNED, row, "the row says something else than the note that was signed")
        if head.at is not None:
            timed.append((size, head.at))
    for size, at in sorted(timed):
        if not log.times or log.times[-1] <= at:
            log.times.append(at)
            log.sizes.append(size)
    return rows


def _tree(log: Log, outside: Sequence[tuple[int, bytes]], findings: Findings) -> None:
    """Hash the rows in their order; compare with the stored hashes as subtrees are complete, and with each checkpoint."""
    grown, whole = Growing(), True
    nodes, heads = _Nodes(log, findings), _Heads(log, outside)
    for index, leaf_id, kept in streamed(_ROWS, [log.origin.number]):
        if index != grown.size and whole:
            gone = f"{log.row(grown.size)} to {index - 1}"
            findings.add(Fault.ROWS_GONE, gone, "these rows are gone", since=log.last_good)
            whole = False
        log.size = index + 1
        log.present.add(index)
        if leaf_id is None:
            log.unsaid.add(index)
        if not whole:
            continue
        for (level, position), found in grown.append(bytes(kept)):
            nodes.completed(level, position, found)
        heads.reached(grown, findings)
    if whole:
        nodes.beyond()
    heads.beyond()


class _Nodes:
    """The stored hashes, in the order in which a growing tree completes what they are of."""

    def __init__(self, log: Log, findings: Findings) -> None:
        self._log, self._findings, self._wrong = log, findings, _Wrong()
        self._rows = streamed(_NODES, [log.origin.number])
        self._next = next(self._rows, None)

    def completed(self, level: int, position: int, found: bytes) -> None:
        """What is stored of the subtree?"""
        stored = self._next
        if stored is None or stored[0] != level or stored[1] != position:
            stored = self._reached(level, position)
        if stored is None:
            self._tell(level, position, "this stored hash is gone")
            return
        self._next = next(self._rows, None)
        if bytes(stored[2]) != found and self._wrong.first(level, position):
            self._tell(level, position, "the rows that it covers, or the hash itself, are not what they were")

    def beyond(self) -> None:
        """Those of more rows than there are."""
        if self._next is not None:
            told = f"it is of rows that are not there, and so are {sum(1 for _ in self._rows)} after it"
            self._add(self._next, told)

    def _reached(self, level: int, position: int) -> tuple[Any, ...] | None:
        """What is stored of the subtree, past what no subtree before has."""
        order = ((position + 1) << level, level, position)
        while self._next is not None and (-self._next[3], self._next[0], self._next[1]) < order:
            self._add(self._next, "no rows complete what it is of")
            self._next = next(self._rows, None)
        return self._next if self._next is not None and self._next[:2] == (level, position) else None

    def _tell(self, level: int, position: int, told: str) -> None:
        covered = f"{self._log.row(position << level)} to {((position + 1) << level) - 1}"
        self._add((level, position), told, f" over {covered}")

    def _add(self, node: Sequence[Any], told: str, covered: str = "") -> None:
        row = f"log_node {self._log.origin.number}/{node[0]}/{node[1]}{covered}"
        self._findings.add(Fault.TREE_CHANGED, row, told, since=self._log.last_good)


class _Wrong:
    """Of one change all subtrees above it are wrong: only the smallest says where it is."""

    def __init__(self) -> None:
        self._ends = BitMap64()

    def first(self, level: int, position: int) -> bool:
        begin, end = position << level, (position + 1) << level
        known = self._ends.range_cardinality(begin, end) > 0
        self._ends.add(end - 1)
        return not known


class _Heads:
    """The checkpoints in the order of their sizes: of each size those from outside first."""

    def __init__(self, log: Log, outside: Sequence[tuple[int, bytes]]) -> None:
        rows = streamed(_HEADS, [log.origin.number])
        own = ((size, bytes(root), "in the database") for size, root in rows)
        known = ((size, root, "published outside it") for size, root in outside)
        self._log, self._contradicted = log, False
        self._merged = heapq.merge(known, own, key=itemgetter(0))
        self._next = next(self._merged, None)

    def reached(self, grown: Growing, findings: Findings) -> None:
        """The log has grown to a size: what do checkpoints of this size say?"""
        while self._next is not None and self._next[0] <= grown.size:
            size, root, where = self._next
            self._next = next(self._merged, None)
            if self._contradicted:
                continue
            if root == grown.root():
                self._log.last_good = size
            else:
                self._contradicted = True
                rows = f"{self._log.row(self._log.last_good)} to {size - 1}"
                told = f"these rows are not those of the checkpoint {where}, of size {size}"
                findings.add(Fault.CHECKPOINT_CONTRADICTED, rows, told, since=self._log.last_good)

    def beyond(self) -> None:
        """Those of more rows than there are."""
        known = self._log.beyond
        while self._next is not None:
            if self._next[0] > self._log.size:
                known[:] = [*(one for one in known if one[0] == self._next[0]), self._next]
            self._next = next(self._merged, None)


def gaps(logs: Iterable[Log]) -> dict[str, Gap]:
    """By the name of the log that was lost in part."""
    return {gap.before.origin: gap for log in logs for gap in log.gaps}


def rows_gone(logs: Collection[Log], findings: Findings) -> None:
    """After all logs: whose tail is gone. What a later log tells to be missing, and no more than that, is no finding."""
    told = gaps(logs)
    for log in logs:
        gap = told.get(log.origin.name)
        for size, root, where in log.beyond:
            if gap is None or not gap.explains(size, root, left=log.size):
                gone = f"{log.row(log.size)} to {size - 1}"
                words = f"the checkpoint {where} is of {size} rows, and there are {log.size}: the tail is gone"
                findings.add(Fault.ROWS_GONE, gone, words, since=log.last_good)
                break


def _statements(log: Log, keys: Mapping[str, Ed25519PublicKey], findings: Findings) -> None:
    """Each statement opens its row, each row without a leaf has a statement, and keys change by the word of a known one."""
    began: tuple[Any, Any] = (log.origin.name, None)
    gaps: list[Gap] = []
    for index, kind, salt, text, kept, leaf_id in streamed(_STATEMENTS, [log.origin.number]):
        row = f"log_statement {log.origin.number}/{index}"
        log.said.add(index)
        try:
            content = json.loads(text)
            if kept is None or leaf_id is not None or leaf_hash(LeafType(kind), bytes(salt), content) != bytes(kept):
                findings.add(Fault.STATEMENT_CHANGED, row, "it does not open its row of the log")
            elif kind == LeafType.REDACTION:
                _redacts(log, content)
            elif kind == LeafType.KEY_CHANGE:
                _key_told(row, content, keys, findings)
            elif kind == LeafType.ORIGIN and index == 0:
                began = content["origin"], content["previous"]
                gaps = _gaps(content, [key.public_bytes_raw() for key in keys.values()])
        except _MALFORMED:
            findings.add(Fault.STATEMENT_CHANGED, row, "it is in no form that a log's statements have")
    for index in log.unsaid - log.said:
        findings.add(Fault.STATEMENT_CHANGED, log.row(index), "what the log said here is gone")
    if began != (log.origin.name, log.origin.previous):
        told = "it goes on from another checkpoint than its first leaf says"
        findings.add(Fault.STATEMENT_CHANGED, f"log_origin {log.origin.number}", told)
    elif log.last_good:
        log.gaps = gaps


def _redacts(log: Log, content: Mapping[str, Any]) -> None:
    for item in content["redacted"]:
        log.redacted.setdefault(item["origin"], BitMap64()).update(item["indexes"])


def _gaps(content: Mapping[str, Any], keys: Sequence[bytes]) -> list[Gap]:
    """Those that it tells by a checkpoint that one of the keys signed."""
    return [gap for told in (content, *content.get("earlier", ())) if (gap := _gap(told, keys)) is not None]


def _gap(told: Mapping[str, Any], keys: Sequence[bytes]) -> Gap | None:
    """None where none of the keys signed the checkpoint."""
    try:
        before = checkpoints.opened(told["previous"], keys)
    except NotACheckpoint:
        return None
    return Gap(before, told["gap"]["held"]) if told["gap"]["published"] == before.size else None


def _key_told(row: str, content: Mapping[str, Any], keys: Mapping[str, Ed25519PublicKey], findings: Findings) -> None:
    """`keys`: the public ones by their kid, known from outside."""
    try:
        _, said = jws.verify(content["signed"].encode(), keys, typ=KEY_CHANGE)
    except jws.NotValid as error:
        findings.add(Fault.KEY_NOT_TOLD, row, f"the change of the signing key is not by a known key's word: {error}")
        return
    if said["key"]["kid"] != content["kid"] or content["kid"] not in keys:
        findings.add(Fault.KEY_NOT_TOLD, row, "it tells of a signing key that is none of the public ones")
