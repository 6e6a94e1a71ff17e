"""A value written into a section's front matter; every other byte of the file stays as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from noisebook.report.parse import Loc

Node = Any
"""Of the YAML tree: its stubs do not say that a collection knows its style."""
_FENCE = re.compile(r"^---[ \t]*\r?$", re.MULTILINE)


def written(text: str, figure: Loc, values: Mapping[tuple[str, ...], str]) -> str:
    """The text of a section's file with ``values`` in the figure that stands at ``figure``.

    Args:
        text: of the whole file: valid front matter, and whatever follows it.
        figure: ``("figures", 2)``, or () for a figure in short form.
        values: path within the figure → YAML of one line. What is there is replaced; what is not is added,
            and so is a mapping around it.
    """
    for path, value in values.items():
        text = _put(text, (*figure, *path), value)
    return text


def _put(text: str, loc: Loc, value: str) -> str:
    opening = _FENCE.search(text)
    closing = opening and _FENCE.search(text, opening.end())
    if not (opening and closing):
        raise ValueError("this text has no front matter")
    start = opening.end() + 1
    front = text[start : closing.start()]
    key: Node = None
    node: Node = yaml.compose(front, Loader=yaml.SafeLoader)
    depth = 0
    while depth < len(loc) and (inner := _child(node, loc[depth])) is not None:
        (key, node), depth = inner, depth + 1
    if key and (depth == len(loc) or _empty(node)):
        new = "".join(f"{{{name}: " for name in loc[depth:]) + value + "}" * (len(loc) - depth)
        colon = front.index(":", key.end_mark.index) + 1
        between = front[colon : node.start_mark.index].rstrip()  # a comment, if anything
        front = f"{front[:colon]} {new}{between}{front[max(colon, _end(front, node)) :]}"
    else:
        first, *inner_names = loc[depth:]
        new = "".join(f"{{{name}: " for name in inner_names) + value + "}" * len(inner_names)
        front = _added(front, node, f"{first}: {new}")
    return text[:start] + front + text[closing.start() :]


def _child(node: Node, step: str | int) -> tuple[Node | None, Node] | None:
    """A key and its value, or the item of a list."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        return None, node.value[step]
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == step), None)
    return None


def _empty(node: Node) -> bool:
    """Whether it is ``{}``, or nothing at all."""
    if isinstance(node, yaml.MappingNode):
        return not node.value
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _end(front: str, node: Node) -> int:
    """Where a value ends: the mark of a list or mapping in lines is where the next one begins."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style:
        return _end(front, node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[-1])
    end: int = max(node.start_mark.index, len(front[: node.end_mark.index].rstrip()))
    return end


def _added(front: str, node: Node, entry: str) -> str:
    """The front matter with one more entry in a mapping that has some."""
    if node.flow_style:
        at = _end(front, node.value[-1][1])
        return f"{front[:at]}, {entry}{front[at:]}"
    first: Node = node.value[0][0]
    line = front.rfind("\n", 0, first.start_mark.index) + 1
    indent = re.sub(r"[^ ]", " ", front[line : first.start_mark.index])
    at = front.find("\n", _end(front, node))
    ending = "\r\n" if front[:at].endswith("\r") else "\n"
    return f"{front[: at + 1]}{indent}{entry}{ending}{front[at + 1 :]}"
