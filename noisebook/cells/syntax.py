"""What the digest of code knows of one module: its top-level statements, and the names that each uses."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

REPORT_PACKAGE = "noisebook_report_"
"""How the packages of reports' own generators begin; the rest changes with their files."""


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

    @property
    def stars(self) -> Iterator[str]:
        """The modules of which it imports all names."""
        return (target for target, inner in self.imports.values() if inner == "*")


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
        return None if first_party(origin) else node


def first_party(module: str) -> bool:
    package = module.partition(".")[0]
    return package == "noisebook" or package.startswith(REPORT_PACKAGE)
