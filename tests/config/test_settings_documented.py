"""Every setting stands in docs/operations.md."""

from pathlib import Path

from django.conf import settings

from config import env

OPERATIONS = Path(settings.BASE_DIR) / "docs" / "operations.md"


def test_every_setting_is_documented_and_no_other() -> None:
    table = OPERATIONS.read_text().partition("## Settings")[2]
    documented = {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")}
    lines = {v.name: f"| `{v.name}` | {v.kind} | `{v.default}` | {v.about} |" for v in env.variables()}
    missing = [line for name, line in lines.items() if name not in documented]
    assert not missing, "add to docs/operations.md:\n" + "\n".join(missing)
    assert documented <= lines.keys(), "no longer read: take out of docs/operations.md"
