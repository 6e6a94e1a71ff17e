"""Finding generators: noisebook's own, and those of the report at hand.

A report's own generators stand in ``generators/`` beside its report.yaml. Files whose names begin with ``_``
are helpers, not generators. Nothing is imported before a section names it.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from noisebook.cells.contract import Cell, Complaint, Files, Params, RunFunction
from noisebook.cells.names import SHIPPED, suggest

NAME = re.compile(r"[a-z][a-z0-9_]*")


class GeneratorError(Exception):
    """A generator that cannot be used: ``path`` and ``line`` say where, ``hint`` what to do."""

    def __init__(self, message: str, path: Path | None = None, line: int = 1, hint: str = "") -> None:
        where = f"{path}:{line}: " if path else ""
        super().__init__(where + message + (f"\n    {hint}" if hint else ""))
        self.message, self.path, self.line, self.hint = message, path, line, hint


class UnknownGenerator(GeneratorError):
    """No generator of that name."""


@dataclass(frozen=True, slots=True)
class Generator:
    """A generator module, checked to have what :mod:`noisebook.cells.contract` asks for."""

    name: str
    path: Path
    module: str
    Params: type[Params]
    cells: Callable[[Any], list[Cell]]
    run: RunFunction
    check: Callable[[Any, Files], Iterator[Complaint]] | None = None


class Registry:
    """The generators that a report can use. ``root`` is the folder that holds report.yaml."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._loaded: dict[str, Generator] = {}
        shipped = [Path(place) for place in importlib.import_module(SHIPPED).__path__]
        self._shipped = _modules(*shipped)
        own = root / "generators"
        self._own = {} if any(own.resolve() == place.resolve() for place in shipped) else _modules(own)

    def names(self) -> tuple[str, ...]:
        """All names, sorted. Imports nothing."""
        return tuple(sorted(self._shipped.keys() | self._own.keys()))

    def get(self, name: str) -> Generator:
        """The generator of that name; raises :class:`GeneratorError`."""
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def _load(self, name: str) -> Generator:
        own, shipped = self._own.get(name), self._shipped.get(name)
        if own and shipped and own.read_bytes() != shipped.read_bytes():
            raise GeneratorError(
                f"generator {name!r} exists twice, in this report and in noisebook ({shipped})",
                own,
                hint="rename this report's own file",
            )
        if own:
            return _checked(name, own, f"{_package(own.parent)}.{name}")
        if shipped:
            return _checked(name, shipped, f"{SHIPPED}.{name}")
        raise UnknownGenerator(f"unknown generator {name!r}", hint=suggest(name, self.names(), "generators"))


def _modules(*folders: Path) -> dict[str, Path]:
    return {
        path.stem: path
        for folder in folders
        if folder.is_dir()
        for path in folder.glob("*.py")
        if NAME.fullmatch(path.stem) and path.is_file()
    }


def _package(folder: Path) -> str:
    """A package of this folder's modules, by a name that changes with its files.

    Two reports in one process do not meet, an edited module is read again, ``from . import`` works.
    """
    stats = [(str(path), path.stat()) for path in sorted(folder.rglob("*.py")) if path.is_file()]
    state = repr((str(folder.resolve()), [(path, stat.st_mtime_ns, stat.st_size) for path, stat in stats]))
    name = "noisebook_report_" + hashlib.sha256(state.encode()).hexdigest()[:12]
    if name not in sys.modules:
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
        importlib.invalidate_caches()
    return name


def _checked(name: str, path: Path, module_name: str) -> Generator:
    writes_bytecode = sys.dont_write_bytecode
    # Bytecode is matched by size and whole seconds: an edit within one second would run the old code.
    sys.dont_write_bytecode = writes_bytecode or not module_name.startswith(SHIPPED)
    try:
        module = importlib.import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit() in a module is its own mistake, too
        where, line = origin(error, path)
        message = f"generator {name!r} cannot be imported: {type(error).__name__}: {said(error)}"
        lacking = isinstance(error, ModuleNotFoundError)
        hint = "import it inside run(): planning and publishing do without it" if lacking else ""
        raise GeneratorError(message, where, line, hint=hint) from error
    finally:
        sys.dont_write_bytecode = writes_bytecode
    params = getattr(module, "Params", None)
    if not (isinstance(params, type) and issubclass(params, Params)) or params is Params:
        raise GeneratorError(
            f"generator {name!r} has no Params, a subclass of noisebook.cells.contract.Params",
            path,
            hint="see docs/generators.md",
        )
    for need in ("cells", "run"):
        if not callable(getattr(module, need, None)):
            raise GeneratorError(
                f"generator {name!r} has no function {need}()", path, hint="see docs/generators.md"
            )
    return Generator(
        name, path, module_name, params, module.cells, module.run, getattr(module, "check", None)
    )


def said(error: BaseException) -> str:
    """What an error says of itself, and be it one that cannot."""
    try:
        return str(error)
    except Exception:
        return "it has no message"


def origin(error: BaseException, path: Path) -> tuple[Path, int]:
    """Where in ``path``, or beside it, an error came from: the innermost such frame."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return Path(error.filename), error.lineno
    frames = [
        (Path(frame.filename), frame.lineno or 1)
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).parent == path.parent
    ]
    return frames[-1] if frames else (path, 1)
