"""Who opens what is sealed: the functions that do it are called where this page says, and nowhere else (I3)."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APPS = ("consent", "tracking", "reports", "config")
OPENING = {
    "open_cell",
    "open_json",
    "open_own",
    "unwrap",
    "unwrapped",
    "opened",
    "data_key",
    "of_rows",
    "seal_own_again",
    "wrap_again",
}
"""Names of functions that answer plaintext, or the key to it."""

DOORS = {
    # The vault itself.
    "consent/vault/envelope.py": "opens cells and keys",
    "consent/vault/identities.py": "identifiers: for those below",
    "consent/vault/own.py": "seals secrets again; answers none",
    "consent/vault/rewrapping.py": "wraps data keys again; answers none",
    "consent/vault/reindexing.py": "from identifiers to their lookups; answers none",
    # An officer, with a reason and an audit entry.
    "consent/rights/reveal.py": "reveal(by=, reason=): identifiers and profile of a person",
    "consent/admin/rectified.py": "what a rectification changed: rectification.opened",
    "consent/admin/requests.py": "the page of that",
    "consent/rights/transfers.py": "to whom a portability goes: transfer.opened",
    # What the person themselves asked for.
    "consent/rights/own_holders.py": "the person's own copy",
    "consent/rights/packages.py": "the person's own copy, kept sealed",
    "consent/rights/content.py": "what a request asks",
    "consent/rights/fulfilment.py": "carrying a request out",
    "consent/rights/actions.py": "filing a request seals what it asks",
    "consent/rights/rectification.py": "putting right what a request names",
    "consent/rights/requesters.py": "how a requester was verified, and what they ask",
    "consent/rights/rejections.py": "a refusal's text, for the person",
    "consent/rights/queries.py": "the records of an objection",
    "consent/portal/views.py": "the person's own pages",
    "consent/platforms/login.py": "whether the person who signs in is the one of the link",
    # Written with a person's key, or compared with what is there.
    "consent/records/entries.py": "seals evidence",
    "consent/records/profile.py": "a profile: for those above",
    # Secrets of the service, which are nobody's.
    "consent/platforms/credentials.py": "a platform's secret, for one exchange",
    "consent/webhooks/endpoints.py": "a webhook's secret, to sign with",
    "consent/officers/second_factor.py": "an authenticator's secret",
    "consent/officers/references.py": "an address of the desk",
}
SPARED = {"migrations", "privacy"}
"""Where other things have these names: what is told of figures below k."""


OTHERS = ("consent.ledger", "consent.journal")
"""Where what is called opened is a signed note, a log's leaf or a way back, and nothing sealed."""


def calls(tree: ast.AST) -> Iterator[str]:
    come_from = dict(imported(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            by = node.func.value if isinstance(node.func, ast.Attribute) else node.func
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in OPENING and not come_from.get(getattr(by, "id", ""), "").startswith(OTHERS):
                yield name


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Each name, and the module that it is or comes from."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def test_nobody_else_opens_what_is_sealed() -> None:
    found = {
        str(path.relative_to(ROOT))
        for app in APPS
        for path in (ROOT / app).rglob("*.py")
        if not SPARED & set(path.parts) and any(calls(ast.parse(path.read_text())))
    }
    assert found == set(DOORS)
