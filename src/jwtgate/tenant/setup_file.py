"""A setup as it is written down: plain values, each with the place where it stands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from .errors import Place, Rule, SetupError, Steps

YAML_TAGS = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Written:
    """What was written. marks: line and column of each value, by the way to it."""

    content: Any
    source: str = ""
    marks: Mapping[Steps, tuple[int, int]] = field(default_factory=dict)

    def place(self, steps: Steps) -> Place:
        """Of this value or, where that has none, of the nearest one around it."""
        nearest = next((steps[:end] for end in range(len(steps), -1, -1) if steps[:end] in self.marks), None)
        line, column = (0, 0) if nearest is None else self.marks[nearest]
        return Place(source=self.source, line=line, column=column, steps=steps)


def read_file(path: str | os.PathLike[str]) -> Written:
    """Raises SetupError for a file that cannot be read, or is not YAML in UTF-8."""
    source = os.fspath(path)
    try:
        content = Path(path).read_bytes()
    except OSError as fault:
        raise SetupError(Place(source=source), Rule.SETUP_FILE, limit=fault.strerror) from fault
    return read_yaml(content, source)


def read_yaml(content: bytes, source: str = "") -> Written:
    """Text, whole numbers, true and false, lists and mappings; every other value is the text that stands there.

    Raises SetupError for what is not YAML in UTF-8, and for a key that is there twice.
    """
    try:
        node = yaml.compose(content.decode("utf-8-sig"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError as fault:
        before = fault.object[: fault.start].decode("utf-8", "replace")
        raise _no_yaml(source, *_position(before), "these bytes are not UTF-8") from fault
    except yaml.reader.ReaderError as fault:
        before = content.decode("utf-8-sig")[: fault.position]
        raise _no_yaml(source, *_position(before), fault.reason) from fault
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise _no_yaml(source, line, column, fault.problem) from fault
    except RecursionError as fault:
        raise _no_yaml(source, 0, 0, "it is nested too deeply") from fault
    marks: dict[Steps, tuple[int, int]] = {}
    values = _Values(source, marks)
    return Written({} if node is None else values.read(node, ()), source, marks)


class _Values:
    """Makes values of YAML's nodes, and writes down where they stand."""

    def __init__(self, source: str, marks: dict[Steps, tuple[int, int]]) -> None:
        self._source = source
        self._marks = marks
        self._constructor = SafeConstructor()
        self._around: list[yaml.Node] = []

    def read(self, node: yaml.Node, steps: Steps) -> Any:
        # Of the member of a mapping, its key has been marked already: that is what a reader looks for.
        self._marks.setdefault(steps, _mark(node))
        if not node.tag.startswith(YAML_TAGS):
            raise self._wrong(node, steps, Rule.SETUP_TYPE, node.tag, "a value without a tag")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if any(node is outer for outer in self._around):
            raise self._wrong(node, steps, Rule.SETUP_TYPE, None, "a value that is not part of itself")
        self._around.append(node)
        value = self._mapping(node, steps) if isinstance(node, yaml.MappingNode) else self._list(node, steps)
        self._around.pop()
        return value

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        construct = {
            YAML_TAGS + "int": self._constructor.construct_yaml_int,
            YAML_TAGS + "bool": self._constructor.construct_yaml_bool,
            YAML_TAGS + "null": self._constructor.construct_yaml_null,
        }.get(node.tag, self._constructor.construct_scalar)
        try:
            return construct(node)
        except (ValueError, KeyError):  # such as `0b_`, or `!!bool` before what is none
            return node.value

    def _list(self, node: yaml.Node, steps: Steps) -> list[Any]:
        return [self.read(item, (*steps, position)) for position, item in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, steps: Steps) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._wrong(key, steps, Rule.SETUP_TYPE, None, "text")
            # As it is written: a permission may be called `on` without being taken for true.
            name: str = key.value
            if name in members:
                raise self._wrong(key, (*steps, name), Rule.SETUP_KEY_TWICE, name)
            self._marks[*steps, name] = _mark(key)
            members[name] = self.read(value, (*steps, name))
        return members

    def _wrong(self, node: yaml.Node, steps: Steps, rule: Rule, value: object, limit: object = None) -> SetupError:
        line, column = _mark(node)
        return SetupError(Place(source=self._source, line=line, column=column, steps=steps), rule, value, limit)


def _mark(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _position(before: str) -> tuple[int, int]:
    """Line and column of what follows this text."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _no_yaml(source: str, line: int, column: int, problem: str | None) -> SetupError:
    return SetupError(Place(source=source, line=line, column=column), Rule.SETUP_SYNTAX, limit=problem)
