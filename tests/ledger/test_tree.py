"""The tree against RFC 9162's own words: a naive reading of its recursive definitions, and its published vectors."""

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.ledger import tree
from consent.ledger.tree import Leaves, Subtree

sizes = st.integers(min_value=1, max_value=70)
# RFC 6962's test data, as Certificate Transparency's reference implementation has them.
DATA = [
    b"", b"\x00", b"\x10", b"\x20\x21", b"\x30\x31", b"\x40\x41\x42\x43",
    bytes.fromhex("5051525354555657"), bytes.fromhex("606162636465666768696a6b6c6d6e6f"),
]  # fmt: skip
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def leaf(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def hashes(size: int) -> list[bytes]:
    return [leaf(str(number).encode()) for number in range(size)]


def naive_root(leaves: list[bytes]) -> bytes:
    """2.1.1"""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def split(n: int) -> int:
    return max(1 << power for power in range(n) if 1 << power < n)


def naive_path(m: int, leaves: list[bytes]) -> list[bytes]:
    """2.1.3.1"""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """2.1.4.1"""
    n = len(leaves)
    if m == n:
        return [] if whole else [naive_root(leaves)]
    k = split(n)
    if m <= k:
        return [*naive_subproof(m, leaves[:k], whole), naive_root(leaves[k:])]
    return [*naive_subproof(m - k, leaves[k:], False), naive_root(leaves[:k])]


def stored(leaves: list[bytes]) -> dict[Subtree, bytes]:
    """What a growing log has written down."""
    grown, kept = tree.Growing(), {}
    for index, one in enumerate(leaves):
        kept[Subtree(0, index)] = one
        kept |= dict(grown.append(one))
    return kept


def proof(steps: list[Leaves], leaves: list[bytes]) -> list[bytes]:
    kept = stored(leaves)
    return [tree.hash_of(step, kept) for step in steps]


@pytest.mark.parametrize("size", sorted(ROOTS))
def test_roots_are_the_published_ones(size: int) -> None:
    leaves = [leaf(data) for data in DATA[:size]]
    grown = tree.Growing()
    for one in leaves:
        grown.append(one)
    assert grown.root().hex() == naive_root(leaves).hex() == ROOTS[size]


@given(sizes)
def test_a_tree_that_grows_has_the_root_of_all_its_leaves(size: int) -> None:
    leaves, grown = hashes(size), tree.Growing()
    for count, one in enumerate(leaves, 1):
        for subtree, found in grown.append(one):
            begin = subtree.position << subtree.level
            assert found == naive_root(leaves[begin : begin + (1 << subtree.level)])
        assert (grown.size, grown.root()) == (count, naive_root(leaves[:count]))


@given(sizes, sizes)
def test_it_goes_on_from_what_is_stored(before: int, after: int) -> None:
    leaves = hashes(before + after)
    kept = stored(leaves[:before])
    grown = tree.Growing(before, [kept[subtree] for subtree in tree.subtrees(Leaves(0, before))])
    for one in leaves[before:]:
        grown.append(one)
    assert grown.root() == naive_root(leaves)


@given(st.data(), sizes)
def test_inclusion_is_proved_as_the_rfc_says(data: st.DataObject, size: int) -> None:
    index, leaves = data.draw(st.integers(0, size - 1)), hashes(size)
    path = proof(tree.inclusion(index, size), leaves)
    assert path == naive_path(index, leaves)
    assert tree.includes(naive_root(leaves), size, index, leaves[index], path)


@given(st.data(), sizes)
def test_consistency_is_proved_as_the_rfc_says(data: st.DataObject, new: int) -> None:
    old, leaves = data.draw(st.integers(1, new)), hashes(new)
    path = proof(tree.consistency(old, new), leaves)
    assert path == naive_subproof(old, leaves, True)
    assert tree.extends(naive_root(leaves[:old]), old, naive_root(leaves), new, path)


def flipped(one: bytes) -> bytes:
    return bytes([one[0] ^ 1]) + one[1:]


@given(st.data(), sizes)
def test_no_other_leaf_index_size_root_or_step_passes_for_inclusion(data: st.DataObject, size: int) -> None:
    index, leaves = data.draw(st.integers(0, size - 1)), hashes(size)
    path, root, own = proof(tree.inclusion(index, size), leaves), naive_root(leaves), leaves[index]
    assert not tree.includes(flipped(root), size, index, own, path)
    assert not tree.includes(root, size, index, flipped(own), path)
    assert not tree.includes(root, size, index, own, [*path, root])
    for wrong in {-1, size, (index + 1) % size} - {index}:
        assert not tree.includes(root, size, wrong, own, path)
    for place in range(len(path)):
        assert not tree.includes(root, size, index, own, path[:place] + path[place + 1 :])
        changed = [flipped(one) if number == place else one for number, one in enumerate(path)]
        assert not tree.includes(root, size, index, own, changed)


@given(st.data(), st.integers(2, 70))
def test_no_other_beginning_passes_for_consistency(data: st.DataObject, new: int) -> None:
    old, leaves = data.draw(st.integers(1, new - 1)), hashes(new)
    path = proof(tree.consistency(old, new), leaves)
    before, after = naive_root(leaves[:old]), naive_root(leaves)
    assert not tree.extends(flipped(before), old, after, new, path)
    assert not tree.extends(before, old, flipped(after), new, path)
    assert not tree.extends(after, new, before, old, path)
    assert not tree.extends(before, old, after, new, [*path, after])
    for place in range(len(path)):
        assert not tree.extends(before, old, after, new, path[:place] + path[place + 1 :])
        changed = [flipped(one) if number == place else one for number, one in enumerate(path)]
        assert not tree.extends(before, old, after, new, changed)


def test_nothing_is_the_beginning_of_everything_and_proves_nothing() -> None:
    root = naive_root(hashes(3))
    assert tree.consistency(0, 3) == tree.consistency(3, 3) == []
    assert tree.extends(tree.EMPTY_ROOT, 0, root, 3, [])
    assert not tree.extends(root, 0, root, 3, [])
    assert not tree.extends(tree.EMPTY_ROOT, 0, root, 3, [root])
    assert tree.extends(root, 3, root, 3, [])
    assert not tree.extends(root, 3, root, 3, [root])
    assert not tree.extends(naive_root(hashes(2)), 2, root, 3, [])
    assert not tree.includes(root, 0, 0, root, [])


@given(st.integers(0, 5000))
def test_the_subtrees_of_a_tree_are_few_and_cover_it(size: int) -> None:
    found = tree.subtrees(Leaves(0, size))
    assert len(found) == size.bit_count()
    edges = [(one.position << one.level, one.position + 1 << one.level) for one in found]
    assert [edge for pair in pairwise(edges) for edge in (pair[0][1] - pair[1][0],)] == [0] * max(0, len(found) - 1)
    assert not edges or (edges[0][0], edges[-1][1]) == (0, size)
