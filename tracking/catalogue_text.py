"""A catalogue as YAML text."""

from typing import Any

import msgspec
import yaml

_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """As YAML 1.1 has it, but a name that stands twice is an error: PyYAML would take the last and say nothing."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, "a name stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read(text: str) -> Any:
    """What the YAML says. Raises yaml.YAMLError."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506  # it is a SafeLoader
    except (ValueError, RecursionError):
        raise yaml.YAMLError from None  # a date that is none, or nested beyond reading


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
