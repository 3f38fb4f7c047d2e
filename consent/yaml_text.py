"""What operators write by hand, read strictly."""

from typing import Any

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


def unreadable(error: yaml.YAMLError) -> str:
    """Why a file is not YAML and where, as far as it is known; to follow "the file is not YAML"."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return ""
    return f" that can be read: line {error.problem_mark.line + 1}: {error.problem}"
