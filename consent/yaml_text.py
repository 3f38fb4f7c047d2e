"""What operators write by hand, read strictly."""

from itertools import chain
from typing import Any

import yaml

MOST_REPEATED = 200_000
"""Characters that the aliases of a file may stand for: a few lines of them could otherwise stand for gigabytes."""
_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """As YAML 1.1 has it, but a name that stands twice is an error: PyYAML would take the last and say nothing.

    What aliases repeat is counted before anything is made of it.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._sizes: dict[yaml.Node, int] = {}
        self._repeated = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        if node is None:
            return None
        if not isinstance(event, yaml.AliasEvent):
            self._sizes[node] = self._size(node)
            return node
        if node not in self._sizes:
            raise _refused("an alias stands for what it is part of", event)
        self._repeated += self._sizes[node]
        if self._repeated > MOST_REPEATED:
            raise _refused(f"aliases repeat more than {MOST_REPEATED} characters: repeat less", event)
        return node

    def _size(self, node: yaml.Node) -> int:
        """In characters and a few for each value, with all that aliases in it stand for; of its children it is known."""
        if isinstance(node, yaml.ScalarNode):
            return len(node.value) + 4
        parts = chain.from_iterable(node.value) if isinstance(node, yaml.MappingNode) else node.value
        return 4 + sum(self._sizes[part] for part in parts)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, "a name stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _refused(problem: str, event: yaml.Event) -> yaml.YAMLError:
    return yaml.composer.ComposerError(None, None, problem, event.start_mark)  # type: ignore[arg-type]  # or libyaml's


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
