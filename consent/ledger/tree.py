"""The Merkle tree of RFC 9162, section 2.1 (RFC 6962's, with SHA-256), as functions of hashes alone.

A complete subtree is named by its level and its position at that level: (0, i) is leaf i, (h, p) covers the leaves
p·2^h to (p+1)·2^h. These never change as the log grows, so they are stored; whatever else a proof or a root needs is
hashed from them.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


class Subtree(NamedTuple):
    """A complete subtree."""

    level: int
    position: int


class Leaves(NamedTuple):
    """The leaves begin ≤ i < end, as a proof's step has them: a complete subtree, or the tree's right edge."""

    begin: int
    end: int


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def subtrees(leaves: Leaves) -> list[Subtree]:
    """The complete subtrees that make up these leaves, the largest first."""
    begin, found = leaves.begin, []
    while begin < leaves.end:
        level = (leaves.end - begin).bit_length() - 1
        found.append(Subtree(level, begin >> level))
        begin += 1 << level
    return found


def joined(hashes: Sequence[bytes]) -> bytes:
    """The hash of neighbouring subtrees, the largest first."""
    if not hashes:
        return EMPTY_ROOT
    *left, last = hashes
    for one in reversed(left):
        last = node_hash(one, last)
    return last


def hash_of(leaves: Leaves, stored: Mapping[Subtree, bytes]) -> bytes:
    """Raises KeyError where a subtree is not stored."""
    return joined([stored[subtree] for subtree in subtrees(leaves)])


def inclusion(index: int, size: int) -> list[Leaves]:
    """What the proof that leaf `index` is in the tree of that size consists of (2.1.3.1), from the leaf up."""
    path, begin, end = [], 0, size
    while end - begin > 1:
        middle = begin + _left_part(end - begin)
        if index < middle:
            path.append(Leaves(middle, end))
            end = middle
        else:
            path.append(Leaves(begin, middle))
            begin = middle
    return path[::-1]


def consistency(old: int, new: int) -> list[Leaves]:
    """What the proof that the tree of size `old` is the beginning of that of size `new` consists of (2.1.4.1)."""
    path, begin, end, whole = [], 0, new, True
    if not 0 < old < new:
        return []
    while end > old:
        middle = begin + _left_part(end - begin)
        if old <= middle:
            path.append(Leaves(middle, end))
            end = middle
        else:
            path.append(Leaves(begin, middle))
            begin, whole = middle, False
    return ([] if whole else [Leaves(begin, end)]) + path[::-1]


def _left_part(size: int) -> int:
    """The largest power of two below a size of two or more."""
    return 1 << (size - 1).bit_length() - 1


def includes(root: bytes, size: int, index: int, leaf: bytes, path: Iterable[bytes]) -> bool:
    """Whether the proof leads from the leaf to the root (2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for step in path:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node_hash(step, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, step)
        place, last = place >> 1, last >> 1
    return last == 0 and found == root


def extends(old_root: bytes, old: int, new_root: bytes, new: int, path: Sequence[bytes]) -> bool:
    """Whether the proof shows that the tree of size `old` is the beginning of that of size `new` (2.1.4.2)."""
    if old == new:
        return old_root == new_root and not path
    if not 0 <= old < new or (old == 0 and (path or old_root != EMPTY_ROOT)):
        return False
    if old == 0:
        return True
    steps = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not steps:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    before = after = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            before, after = node_hash(step, before), node_hash(step, after)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            after = node_hash(after, step)
        place, last = place >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root


class Growing:
    """A tree that is added to: it keeps the hashes of its complete subtrees' roots, one a level at most."""

    def __init__(self, size: int = 0, edge: Sequence[bytes] = ()) -> None:
        """`edge`: the hashes of `subtrees(Leaves(0, size))`."""
        self.size = size
        self._edge = list(edge)

    def append(self, leaf: bytes) -> list[tuple[Subtree, bytes]]:
        """Add a leaf; answers the subtrees above it that are complete now, the smallest first."""
        completed: list[tuple[Subtree, bytes]] = []
        place, level, found = self.size, 0, leaf
        while place & 1:
            found = node_hash(self._edge.pop(), found)
            place, level = place >> 1, level + 1
            completed.append((Subtree(level, place), found))
        self._edge.append(found)
        self.size += 1
        return completed

    def root(self) -> bytes:
        return joined(self._edge)
