"""The digest of the code that a cell's picture depends on.

Starting at a generator's ``run``, follow names: to the top-level statements that bind them, through
first-party imports into other modules, and so on. What is reached makes the digest; an edit elsewhere does
not. Comments, docstrings, positions, the names of first-party files and unused definitions are not in it.

Known limits: a name that is looked up at run time (``getattr``, ``importlib``) is not followed. A module
used as a whole value (passed on, not ``module.name``) is taken as a whole; statements that are neither
definitions, imports nor plain assignments run on import and are always taken.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from noisebook.cells.folders import read_memo, write_memo
from noisebook.cells.syntax import REPORT_PACKAGE, Summary, first_party, summarise

FORMAT = 1
EXCLUDED = {
    "noisebook.cells.contract": "types; versioned by hand (CONTRACT_VERSION)",
    "noisebook.kernels": "the same numbers within rounding, sooner, where the machine can: tests prove it",
}
"""First-party modules, and packages with all in them, that no digest follows, each with the reason."""

Finder = Callable[[str], Path | None]
"""Module name → its source file, or None for a module that is not first-party."""


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
    _kept: dict[str, Summary] = field(default_factory=dict)
    _used: dict[str, Summary] = field(default_factory=dict)
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
            self._kept = read_memo(self.cache_file, dict[str, Summary]) or {}
        found = self._kept.get(signature)
        self._used[signature] = summary = found or summarise(source.decode("utf-8-sig"), name)
        return summary

    def save(self) -> None:
        """Keep what was read for the next build."""
        if self.cache_file is None or self._used.keys() == self._kept.keys():
            return
        write_memo(self.cache_file, {sign: asdict(summary) for sign, summary in self._used.items()})

    def reach(self, module: str, symbol: str) -> Reach:
        """Everything that ``module.symbol`` reaches. Raises KeyError if the module does not define it."""
        found = self._reached.get((module, symbol))
        if found is None:
            found = self._reached[module, symbol] = _Walk(self).from_name(module, symbol)
        return found


Seen = frozenset[tuple[str, str]]
"""Names whose imports are being followed: modules may import each other in a circle."""


class _Walk:
    """One walk through the names that a function uses; what it reaches is numbered in that order."""

    def __init__(self, reader: CodeReader) -> None:
        self.module, self.find = reader.module, reader.find
        self.numbers: dict[tuple[str, int], int] = {}
        self.pending: list[tuple[str, int]] = []

    def from_name(self, module: str, symbol: str) -> Reach:
        """See :meth:`CodeReader.reach`."""
        if not list(self.resolve(module, symbol)):
            raise KeyError(f"{module} does not define {symbol}")
        lines: list[str] = []
        names: dict[str, str] = {}
        for here, (origin, index) in enumerate(self.pending):  # which grows
            summary = self.module(origin)
            assert summary is not None
            statement = summary.statements[index]
            lines.append(f"{here} {statement.digest}")
            place = re.sub(rf"^{REPORT_PACKAGE}\w*", "generators", origin)
            names[f"{place}.{statement.binds[0] if statement.binds else index}"] = statement.digest
            for used in statement.uses:
                edges = [str(target) for target in self.use(summary, statement.imports, origin, used)]
                if edges:
                    lines.append(f"{here} {used} -> {' '.join(edges)}")
        return Reach(hashlib.sha256("\n".join(lines).encode()).hexdigest(), names)

    def number(self, module: str, index: int) -> int:
        """The number of a statement, which will be looked at if it is new."""
        key = module, index
        if key not in self.numbers:
            self.numbers[key] = len(self.pending)
            self.pending.append(key)
        return self.numbers[key]

    def resolve(self, origin: str, wanted: str, seen: Seen = frozenset()) -> Iterator[int | str]:
        """The statements (or outside name) that ``origin.wanted`` stands for; '' or '*' is all of it."""
        summary = self.module(origin)
        if summary is None:
            if not excluded(origin) and not (first_party(origin) and self.find(origin) is None):
                yield f"{origin}:{wanted}"
            return
        if (origin, wanted) in seen:
            return
        seen |= {(origin, wanted)}
        for index, statement in enumerate(summary.statements):
            if statement.always:
                self.number(origin, index)
        whole = wanted in ("", "*")
        for index, statement in enumerate(summary.statements):
            if whole or wanted in statement.binds:
                yield self.number(origin, index)
        if whole:
            for target, inner in summary.imports.values():
                yield from self.follow(target, inner, seen)
            return
        if wanted in summary.imports:
            yield from self.follow(*summary.imports[wanted], seen)
        for target in summary.stars:
            yield from self.resolve(target, wanted, seen)

    def follow(self, target: str, inner: str, seen: Seen = frozenset()) -> Iterator[int | str]:
        """What an import of ``inner`` from ``target`` stands for: a module, or a name in one."""
        submodule = f"{target}.{inner}" if inner else target
        if inner and inner != "*" and self.module(submodule) is not None:
            yield from self.resolve(submodule, "", seen)
        else:
            yield from self.resolve(target, inner, seen)

    def use(
        self, summary: Summary, local: dict[str, tuple[str, str]], origin: str, used: str
    ) -> Iterator[int | str]:
        """What a statement of ``origin`` with the imports ``local`` means by a name that it uses."""
        head, _, attribute = used.partition(".")
        imported = local.get(head) or summary.imports.get(head)
        if imported is None:
            for target in summary.stars:
                yield from self.resolve(target, head)
        else:
            target, inner = imported
            whole = f"{target}.{inner}" if inner else target
            if attribute and self.module(whole) is not None:
                yield from self.resolve(whole, attribute)
            else:
                yield from self.follow(target, inner)
        if head not in local:
            for index, statement in enumerate(summary.statements):
                if head in statement.binds:
                    yield self.number(origin, index)
