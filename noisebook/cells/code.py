"""The digest of the code that a cell's picture depends on.

Starting at a generator's ``run``, follow names: to the top-level statements that bind them, through
first-party imports into other modules, and so on. What is reached makes the digest; an edit elsewhere does
not. Comments, docstrings, positions, the names of first-party files and unused definitions are not in it.

Known limits: a name that is looked up at run time (``getattr``, ``importlib``) is not followed. A module
used as a whole value (passed on, not ``module.name``) is taken as a whole; statements that are neither
definitions, imports nor plain assignments run on import and are always taken.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from noisebook.cells.folders import read_memo, write_memo

FORMAT = 1
EXCLUDED = {
    "noisebook.cells.contract": "types; versioned by hand (CONTRACT_VERSION)",
    "noisebook.kernels": "the same numbers within rounding, sooner, where the machine can: tests prove it",
}
"""First-party modules, and packages with all in them, that no digest follows, each with the reason."""

REPORT_PACKAGE = "noisebook_report_"
"""How the packages of reports' own generators begin; the rest changes with their files."""

Finder = Callable[[str], Path | None]
"""Module name → its source file, or None for a module that is not first-party."""


def serialise(node: object) -> str:
    """The canonical text of a syntax tree, the same on Python 3.11 to 3.14.

    No positions, no docstrings, no empty fields (newer versions have more of them).
    """
    if isinstance(node, ast.Constant):
        return f"({type(node.value).__name__} {node.value!r})"
    if isinstance(node, ast.JoinedStr):
        # 3.12 leaves empty strings in f-strings where 3.11 and 3.13 leave none.
        node.values = [v for v in node.values if not (isinstance(v, ast.Constant) and v.value == "")]
    if isinstance(node, ast.AST):
        parts = []
        for name in sorted(node._fields):
            value = getattr(node, name, None)
            if name in ("ctx", "type_comment", "kind"):
                continue
            if name == "body" and isinstance(value, list):
                value = [statement for statement in value if not _is_docstring(statement)]
            if value is None or value == []:
                continue
            parts.append(f"{name}={serialise(value)}")
        return f"({type(node).__name__} {' '.join(parts)})"
    if isinstance(node, list):
        return "[" + " ".join(serialise(item) for item in node) + "]"
    return repr(node)


def _is_docstring(statement: object) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


@dataclass(frozen=True, slots=True)
class Statement:
    """One top-level statement: what it binds, which names it uses, what it imports itself."""

    binds: tuple[str, ...]
    uses: tuple[str, ...]
    imports: dict[str, tuple[str, str]]
    always: bool
    digest: str


@dataclass(frozen=True, slots=True)
class Summary:
    """A module as the walk needs it. ``imports``: bound name → (module, symbol or '')."""

    statements: tuple[Statement, ...]
    imports: dict[str, tuple[str, str]]


def summarise(source: str, module: str) -> Summary:
    """Read one module. Raises SyntaxError as the compiler would."""
    statements: list[Statement] = []
    imports: dict[str, tuple[str, str]] = {}

    def visit(body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                imports.update(_imports(node, module))
            elif _is_docstring(node) or _is_all(node):
                continue
            elif isinstance(node, ast.If) and "TYPE_CHECKING" in {
                name.id for name in ast.walk(node.test) if isinstance(name, ast.Name)
            }:
                visit(node.orelse)
            else:
                statements.append(_statement(node, module))

    visit(ast.parse(source).body)
    return Summary(tuple(statements), imports)


def _is_all(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and any(
        isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets
    )


def _imports(node: ast.Import | ast.ImportFrom, module: str) -> dict[str, tuple[str, str]]:
    if isinstance(node, ast.Import):
        return {
            alias.asname or alias.name.split(".")[0]: (
                alias.name if alias.asname else alias.name.split(".")[0],
                "",
            )
            for alias in node.names
        }
    origin = node.module or ""
    if node.level:
        package = module.split(".")[: -node.level]
        origin = ".".join([*package, *([node.module] if node.module else [])])
    return {
        f"*{origin}" if alias.name == "*" else alias.asname or alias.name: (origin, alias.name)
        for alias in node.names
    }


def _statement(node: ast.stmt, module: str) -> Statement:
    binds: list[str] = []
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        binds.append(node.name)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        binds.extend(target.id for target in targets if isinstance(target, ast.Name))
        if len(binds) != len(targets):
            binds = []
    elif type(node).__name__ == "TypeAlias":
        binds.append(node.name.id)  # type: ignore[attr-defined]
    local: dict[str, tuple[str, str]] = {}
    for child in ast.walk(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            local.update(_imports(child, module))
    uses = _free(node)
    stripped = _WithoutFirstPartyImports(module).visit(node)
    digest = hashlib.sha256(serialise(stripped).encode()).hexdigest()
    return Statement(tuple(binds), tuple(sorted(uses)), local, not binds, digest)


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def _free(node: ast.AST) -> set[str]:
    """Names ``node`` takes from outside, as ``name`` or ``name.attribute``: too many rather than too few."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return {f"{node.value.id}.{node.attr}"}
    if isinstance(node, ast.Name):
        return {node.id}
    if isinstance(node, _FUNCTIONS):
        body = node.body if isinstance(node.body, list) else [node.body]
        outside = [child for child in ast.iter_child_nodes(node) if child not in body]
        inside: set[str] = set().union(*map(_free, body))
        bound = {argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)}
        bound |= set().union(*map(_bound, body))
        bound -= {name for child in ast.walk(node) if isinstance(child, ast.Global) for name in child.names}
        return {name for name in inside if name.partition(".")[0] not in bound}.union(*map(_free, outside))
    names: set[str] = set().union(*map(_free, ast.iter_child_nodes(node)))
    if isinstance(node, _COMPREHENSIONS):
        bound = set().union(*(_bound(generator.target) for generator in node.generators))
        names = {name for name in names if name.partition(".")[0] not in bound}
    return names


def _bound(node: ast.AST) -> set[str]:
    """Names that ``node`` assigns in its own scope. Imports are left out: their names are followed."""
    if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
        return set() if isinstance(node, ast.Lambda) else {node.name}
    if isinstance(node, _COMPREHENSIONS):
        return set()
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Store) else set()
    names: set[str] = set().union(*map(_bound, ast.iter_child_nodes(node)))
    if isinstance(node, ast.ExceptHandler) and node.name:
        names.add(node.name)
    return names


class _WithoutFirstPartyImports(ast.NodeTransformer):
    """Local imports of first-party names are edges of the walk, not text: a moved helper changes nothing."""

    def __init__(self, module: str) -> None:
        self.module = module

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        origin = next(iter(_imports(node, self.module).values()))[0]
        return None if _first_party(origin) else node


def _first_party(module: str) -> bool:
    package = module.partition(".")[0]
    return package == "noisebook" or package.startswith(REPORT_PACKAGE)


def excluded(module: str) -> bool:
    """Whether ``module``, or a package that holds it, is in :data:`EXCLUDED`."""
    return any(module == name or module.startswith(f"{name}.") for name in EXCLUDED)


@dataclass(slots=True)
class Reach:
    """What a walk reached: its digest, and each statement by name for explanations."""

    digest: str
    statements: dict[str, str]


@dataclass(slots=True)
class CodeReader:
    """Reads modules once; keeps their summaries between builds in ``cache_file`` by source digest.

    ``find`` maps a module name to its file; only those modules are first-party.
    """

    find: Finder
    cache_file: Path | None = None
    _kept: dict[str, Any] = field(default_factory=dict)
    _used: dict[str, Any] = field(default_factory=dict)
    _modules: dict[str, Summary | None] = field(default_factory=dict)
    _reached: dict[tuple[str, str], Reach] = field(default_factory=dict)
    _loaded: bool = False

    def module(self, name: str) -> Summary | None:
        """The summary of a first-party module; None for any other."""
        if name not in self._modules:
            path = None if excluded(name) else self.find(name)
            self._modules[name] = None if path is None else self._read(path, name)
        return self._modules[name]

    def _read(self, path: Path, name: str) -> Summary:
        source = path.read_bytes()
        signature = hashlib.sha256(b"%d %s\0%s" % (FORMAT, name.encode(), source)).hexdigest()
        if not self._loaded:
            self._loaded = True
            self._kept = read_memo(self.cache_file) or {}
        found = self._kept.get(signature)
        if found is None:
            summary = summarise(source.decode("utf-8-sig"), name)
            self._used[signature] = {
                "imports": summary.imports,
                "statements": [[s.binds, s.uses, s.imports, s.always, s.digest] for s in summary.statements],
            }
            return summary
        self._used[signature] = found
        return Summary(
            tuple(
                Statement(
                    tuple(binds), tuple(uses), {k: (v[0], v[1]) for k, v in local.items()}, always, digest
                )
                for binds, uses, local, always, digest in found["statements"]
            ),
            {k: (v[0], v[1]) for k, v in found["imports"].items()},
        )

    def save(self) -> None:
        """Keep what was read for the next build."""
        if self.cache_file is None or self._used.keys() == self._kept.keys():
            return
        write_memo(self.cache_file, self._used)

    def reach(self, module: str, symbol: str) -> Reach:
        """Everything that ``module.symbol`` reaches. Raises KeyError if the module does not define it."""
        found = self._reached.get((module, symbol))
        if found is None:
            found = self._reached[module, symbol] = self._walk(module, symbol)
        return found

    def _walk(self, module: str, symbol: str) -> Reach:
        order: dict[tuple[str, int], int] = {}
        lines: list[str] = []
        names: dict[str, str] = {}
        pending: list[tuple[str, int]] = []

        def number(key: tuple[str, int]) -> int:
            if key not in order:
                order[key] = len(order)
                pending.append(key)
            return order[key]

        def touch(summary: Summary, name: str) -> None:
            for index, statement in enumerate(summary.statements):
                if statement.always:
                    number((name, index))

        def resolve(
            origin: str, wanted: str, seen: frozenset[tuple[str, str]] = frozenset()
        ) -> Iterator[int | str]:
            """The statements (or outside name) that ``origin.wanted`` stands for; '' or '*' is all of it."""
            summary = self.module(origin)
            if summary is None:
                if not excluded(origin) and not (_first_party(origin) and self.find(origin) is None):
                    yield f"{origin}:{wanted}"
                return
            if (origin, wanted) in seen:
                return
            touch(summary, origin)
            if wanted in ("", "*"):
                for index in range(len(summary.statements)):
                    yield number((origin, index))
                for target, inner in summary.imports.values():
                    yield from follow(target, inner, seen | {(origin, wanted)})
                return
            for index, statement in enumerate(summary.statements):
                if wanted in statement.binds:
                    yield number((origin, index))
            if wanted in summary.imports:
                yield from follow(*summary.imports[wanted], seen | {(origin, wanted)})
            for target, inner in summary.imports.values():
                if inner == "*":
                    yield from resolve(target, wanted, seen | {(origin, wanted)})

        def follow(
            target: str, inner: str, seen: frozenset[tuple[str, str]] = frozenset()
        ) -> Iterator[int | str]:
            submodule = f"{target}.{inner}" if inner else target
            if inner and inner != "*" and self.module(submodule) is not None:
                yield from resolve(submodule, "", seen)
            else:
                yield from resolve(target, inner, seen)

        def use(
            summary: Summary, local: dict[str, tuple[str, str]], origin: str, used: str
        ) -> Iterator[int | str]:
            head, _, attribute = used.partition(".")
            imported = local.get(head) or summary.imports.get(head)
            if imported is not None:
                target, inner = imported
                whole = f"{target}.{inner}" if inner else target
                if attribute and self.module(whole) is not None:
                    yield from resolve(whole, attribute)
                else:
                    yield from follow(target, inner)
            if imported is None:
                for target, inner in summary.imports.values():
                    if inner == "*":
                        yield from resolve(target, head)
            if imported is None or head not in local:
                for index, statement in enumerate(summary.statements):
                    if head in statement.binds:
                        yield number((origin, index))

        start = list(resolve(module, symbol))
        if not start:
            raise KeyError(f"{module} does not define {symbol}")
        done = 0
        while done < len(pending):
            origin, index = pending[done]
            done += 1
            summary = self.module(origin)
            assert summary is not None
            statement = summary.statements[index]
            here = order[origin, index]
            lines.append(f"{here} {statement.digest}")
            place = re.sub(rf"^{REPORT_PACKAGE}\w*", "generators", origin)
            names[f"{place}.{statement.binds[0] if statement.binds else index}"] = statement.digest
            for used in statement.uses:
                edges = [str(target) for target in use(summary, statement.imports, origin, used)]
                if edges:
                    lines.append(f"{here} {used} -> {' '.join(edges)}")
        return Reach(hashlib.sha256("\n".join(lines).encode()).hexdigest(), names)
