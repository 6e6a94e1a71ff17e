"""Blocks of code, coloured by Pygments: those that a text has, and pieces of Noisebook's own."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Collection
from contextlib import suppress
from functools import lru_cache
from importlib import import_module, metadata
from pathlib import Path
from textwrap import dedent
from xml.etree.ElementTree import Element, SubElement

from noisebook.cells.folders import read_regular
from noisebook.cells.names import SHIPPED, near
from noisebook.render.marks import without
from noisebook.report.body import TAB, Span
from noisebook.report.reader import LARGEST_TEXT

_OPENING = re.compile(r"\s*(?:\{\s*)?\.?([\w+#-]*)")
_LINES = re.compile(r"hl_lines\s*=\s*[\"']?([\d\s-]+)")
_LINE = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?")
_ID = re.compile(r"#([\w:.-]+)|id\s*=\s*[\"']?([\w:.-]+)")


def fenced(body: str, span: Span) -> Element:
    """The block of a fence: ``` python hl_lines="2-3", or in braces with a #name."""
    opening = body[span.start : span.inner].lstrip("`~")
    before = body[body.rfind("\n", 0, span.start) + 1 : span.start].expandtabs(TAB)
    mark = re.compile(rf"(?:[ ]{{0,3}}>[ ]?){{0,{before.count('>')}}}")
    indent = len(before) if ">" not in before else max(len(before) - before.rindex(">") - 2, 0)
    lines = []
    for line in span.value.split("\n")[1:]:
        found = mark.match(line)
        inner = found.end() if found else 0
        quoted = inner + (
            line[max(inner - 1, 0) : inner + 1] == ">\t"
        )  # the tab's first column is the mark's
        white = len(line[: len(line) - len(line[inner:].lstrip(" \t"))].expandtabs(TAB))
        lines.append(without(line, min(quoted + indent, white)))
    if lines and re.fullmatch(r"\s*[`~]{3,}\s*", lines[-1]):
        del lines[-1]
    language = _OPENING.match(opening)
    name = language[1] if language else ""
    marked = _marked(opening, len(lines))
    block = _block("\n".join(lines) + "\n" if lines else "", name, marked)
    if named := _ID.search(opening):
        block.set("id", named[1] or named[2])
    return block


def _block(code: str, language: str, marked: Collection[int] = ()) -> Element:
    block = Element("div", {"class": "highlight"})
    pre = SubElement(block, "pre", tabindex="0")
    held = SubElement(pre, "code")
    for number, parts in enumerate(_coloured(code, language), 1):
        parent = SubElement(held, "span", {"class": "hll"}) if number in marked else held
        for kind, words in parts:
            if kind:
                SubElement(parent, "span", {"class": kind}).text = words
            elif len(parent):
                parent[-1].tail = (parent[-1].tail or "") + words
            else:
                parent.text = (parent.text or "") + words
    return block


class NoSource(LookupError):
    """No such piece of code: ``hint`` says what is like it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def source(root: Path, file: str, name: str) -> Element:
    """A function or class of a Python file as it stands now, folded, with where it is from.

    ``file`` is ``noisebook/…`` or ``generators/…`` of the installed Noisebook, or of the report's own
    ``generators/``; ``name`` may be that of a method, ``Class.method``. Raises NoSource.
    """
    path = _path(root, file)
    if path is None:
        raise NoSource(
            f"there is no file {file!r} of Noisebook's or of the report's generators", _like(root, file)
        )
    try:
        data = read_regular(path, LARGEST_TEXT)
        code, first, last = _cut(data.decode("utf-8"), file, name)
    except (OSError, UnicodeDecodeError) as error:
        raise NoSource(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    details = Element("details", {"class": "source"})
    summary = SubElement(details, "summary")
    SubElement(summary, "code").text = name
    summary[-1].tail = " in "
    SubElement(summary, "code").text = file
    whence = SubElement(details, "p", {"class": "whence"})
    version, digest = metadata.version("noisebook"), hashlib.sha256(data).hexdigest()
    whence.text = f"Lines {first} to {last}, Noisebook {version}, sha256 {digest[:12]}"
    details.append(_block(code, "python"))
    return details


def _path(root: Path, file: str) -> Path | None:
    folder, _, rest = file.partition("/")
    if folder not in ("noisebook", "generators") or ".." in rest.split("/") or not rest.endswith(".py"):
        return None
    for path in (place / rest for place in _places(root, folder)):
        with suppress(OSError):  # a name that is too long
            if path.is_file():
                return path
    return None


def _places(root: Path, folder: str) -> list[Path]:
    """Where the files of ``noisebook/`` or of ``generators/`` lie."""
    package = import_module("noisebook" if folder == "noisebook" else SHIPPED)
    return [*([root / folder] if folder == "generators" else []), *map(Path, package.__path__)]


def _like(root: Path, file: str) -> str:
    """Which file may be meant: the one of that name in its folder, else one with a name like it."""
    known = [
        f"{folder}/{path.relative_to(place).as_posix()}"
        for folder in ("generators", "noisebook")
        for place in _places(root, folder)
        for path in sorted(place.rglob("*.py"))
    ]
    named = [each for each in known if each.endswith(f"/{file}")]
    return f"did you mean {named[0]!r}?" if named else near(file, known)


@lru_cache(maxsize=64)
def _cut(text: str, file: str, name: str) -> tuple[str, int, int]:
    """The lines of a definition, with its decorators, and the numbers of the first and the last."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NoSource(f"{file} is no Python: {getattr(error, 'msg', error)}") from error
    found: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | None = None
    for part in name.split("."):
        known = {
            each.name: each
            for each in body
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        }
        if part not in known:
            raise NoSource(f"{file} defines no {name!r}; it defines {', '.join(known) or 'nothing'}")
        found, body = known[part], known[part].body
    assert found and found.end_lineno
    first = min((each.lineno for each in found.decorator_list), default=found.lineno)
    lines = re.split(r"\r\n?|\n", text)[first - 1 : found.end_lineno]  # as Python counts them
    return dedent("\n".join(lines)) + "\n", first, found.end_lineno


def _marked(opening: str, count: int) -> set[int]:
    found: set[int] = set()
    marked = _LINES.search(opening)
    for each in marked[1].split() if marked else ():
        if lines := _LINE.fullmatch(each):
            found.update(range(int(lines[1]), min(int(lines[2] or lines[1]), count) + 1))
    return found


def _coloured(code: str, language: str) -> list[list[tuple[str, str]]]:
    """Lines of (class, words); plain if the language is unknown."""
    if not language:
        return [[("", line)] for line in code.splitlines(keepends=True)]
    from pygments.lexers import get_lexer_by_name
    from pygments.token import STANDARD_TYPES
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return _coloured(code, "")
    lines: list[list[tuple[str, str]]] = [[]]
    for kind, words in lexer.get_tokens(code):
        while kind not in STANDARD_TYPES:
            kind = kind.parent
        for part in words.splitlines(keepends=True):
            lines[-1].append((STANDARD_TYPES[kind], part))
            if part.endswith("\n"):
                lines.append([])
    return [line for line in lines if line]
