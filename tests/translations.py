"""The Chinese catalogue without gettext's tools: what the code says, what the .po file says of it, and the .mo file.

    python -m tests.translations    says what is not translated, and writes the .mo file from the .po file

Sources: the format of .po and .mo files in the GNU gettext manual, chapters "PO Files" and "MO Files".
"""

import ast
import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import unfold
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
APPS = ("config", "consent", "tracking", "reports")
CATALOGUE = ROOT / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"
COMPILED = CATALOGUE.with_suffix(".mo")
MARKS = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy"}
DEFINITIONS = {"DEFINITION", "STANDS"}
"""What a report means is told by the API as it is, and by the reports' pages in the officer's language."""
IN_TEMPLATES = re.compile(r"""\b(?:n?gettext|_)\(u?("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")
MAGIC = 0x950412DE


def used(folder: Path) -> set[str]:
    """Every text that the code and the templates below a folder mark for translation, and every report's definition."""
    found: set[str] = set()
    for path in folder.rglob("*.py"):
        if "migrations" not in path.parts:
            found.update(_in_code(ast.parse(path.read_text())))
    for path in folder.rglob("*.html"):
        pseudo = templatize(path.read_text(), origin=str(path))
        found.update(ast.literal_eval(match[1]) for match in IN_TEMPLATES.finditer(pseudo))
    return found


def _in_code(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        said = None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKS and node.args:
            said = node.args[0]
        elif (
            isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in DEFINITIONS
        ):
            said = node.value
        if isinstance(said, ast.Constant) and isinstance(said.value, str):
            yield said.value


def ours() -> set[str]:
    return set().union(*(used(ROOT / app) for app in APPS))


def unfolds() -> set[str]:
    """Unfold has no Chinese of its own: what it says stands in our catalogue, where Django's does not say it."""
    return used(Path(unfold.__file__).parent)


def read(path: Path = CATALOGUE) -> dict[str, str]:
    """msgid -> msgstr. A plural's msgid is that of its singular, NUL, and its plural; Chinese has one form."""
    entries: dict[str, str] = {}
    fields: dict[str, str] = {}
    field = ""
    for line in [*path.read_text().splitlines(), ""]:
        if match := re.fullmatch(r'(msgid|msgid_plural|msgstr|msgstr\[0\]) (".*")', line):
            field = match[1].removesuffix("[0]")
            fields[field] = ast.literal_eval(match[2])
        elif line.startswith('"'):
            fields[field] += ast.literal_eval(line)
        elif not line.strip() and fields:
            key = "\0".join(fields[name] for name in ("msgid", "msgid_plural") if name in fields)
            entries[key] = fields["msgstr"]
            fields = {}
    return entries


def compiled(entries: dict[str, str]) -> bytes:
    """A .mo file: a header, two tables of (length, offset), and the texts, sorted and each ended by a NUL."""
    pairs = sorted((key.encode(), value.encode()) for key, value in entries.items() if value)
    header = 7 * 4
    offset = header + 16 * len(pairs)
    tables: list[bytes] = []
    texts = b""
    for side in (0, 1):
        for pair in pairs:
            tables.append(struct.pack("<2I", len(pair[side]), offset + len(texts)))
            texts += pair[side] + b"\0"
    start = struct.pack("<7I", MAGIC, 0, len(pairs), header, header + 8 * len(pairs), 0, offset)
    return start + b"".join(tables) + texts


def main() -> int:
    entries = read()
    told = {key.partition("\0")[0] for key, value in entries.items() if value}
    missing = sorted(ours() - told)
    for text in missing:
        sys.stdout.write(f"not translated: {text!r}\n")
    COMPILED.write_bytes(compiled(entries))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
