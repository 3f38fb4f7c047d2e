"""A catalogue as YAML text."""

import msgspec
import yaml


class _Dumper(yaml.SafeDumper):
    """PyYAML writes some line ends and control characters plainly, and does not read them back: they are escaped."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if text.replace("\n", "").isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def dump(catalogue: msgspec.Struct) -> str:
    """YAML that `tracking.catalogue.parse` reads back to the same catalogue; events and properties in order of names."""
    told = msgspec.to_builtins(catalogue, order="sorted")
    return yaml.dump(told, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=120)
