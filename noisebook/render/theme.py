"""The look of a site: Noisebook's templates, style sheet and scripts, or the report's own in their place."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from traceback import extract_tb
from typing import Any

import jinja2

from noisebook.cells.folders import TEMPLATES, keep, kept, user_cache
from noisebook.render import runtime
from noisebook.render.assets import Site
from noisebook.render.formats import duration, size
from noisebook.render.styles import Styles
from noisebook.report.model import BadInput, Position, Problem
from noisebook.report.reader import read_bytes, read_text

LARGEST_SOURCE = 10_000_000
"""Bytes of a font or script of the report's own."""
IMPORT = re.compile(rb'from "\./([\w-]+)\.js"')
FONT_URL = re.compile(r'url\("?fonts/([\w.-]+)"?\)')


_PLACES = [folder / "templates" for folder in Path(__file__).parents[1:3]]
PACKAGED = next(filter(Path.is_dir, _PLACES))
"""The theme that noisebook ships: ``noisebook.templates`` in a wheel, ``templates/`` in a checkout."""


class Theme:
    """The theme of the report in ``root``; what its pages load is added to ``site``."""

    def __init__(self, root: Path, site: Site) -> None:
        self.root, self.site, self.environment = root, site, _environment(root)

    def render(self, template: str, **values: Any) -> str:
        """The text of a template. Raises BadInput for a template that is wrong."""
        with _mistakes_told():
            return self.environment.get_template(template).render(computing=self._computing, **values)

    def assets(self, styles: Styles) -> dict[str, Any]:
        """What every page loads: addresses, by the names that templates know them by."""
        sheet = _text(self.root, "theme.css") + read_text(self.root, "templates/own.css", default="")
        sheet = FONT_URL.sub(lambda match: f'url("{self._font(match[1])}")', sheet) + styles.sheet()
        text_fonts = [f"source-{name}-latin-normal.woff2" for name in ("serif-4", "sans-3")]
        return {
            "sheet": self.site.add_hashed("theme", ".css", sheet.encode()),
            "fonts": [f"assets/{self._font(name)}" for name in text_fonts],
            "math_font": f"assets/{self._font('math.woff2')}",
            "first_script": self._hashed("first", ".js"),
            "script": self._hashed("site", ".js"),
            "search_engine": self.site.add_hashed(
                "minisearch", ".js", self._source("minisearch/minisearch.js")
            ),
            "icon": self._hashed("icon", ".svg"),
        }

    def _computing(self, name: str) -> dict[str, Any]:
        """What a page loads whose reader's browser computes; ``name`` is ``live`` (digits) or ``words``."""
        return {
            "runtime": runtime.add(PACKAGED / "onnxruntime", self.site),
            "script": self._hashed("live", ".js"),
            "page": self._hashed(f"{name}-page", ".js"),
            "worker": self._hashed(f"{name}-worker", ".js"),
        }

    def _hashed(self, stem: str, suffix: str) -> str:
        """A file of the theme under its digest, and with it the modules that it imports."""
        source = self._source(stem + suffix)
        if suffix == ".js":
            source = IMPORT.sub(lambda match: self._imported(match[1].decode()), source)
        return self.site.add_hashed(stem, suffix, source)

    def _imported(self, stem: str) -> bytes:
        return f'from "./{self._hashed(stem, ".js").rpartition("/")[2]}"'.encode()

    def _font(self, name: str) -> str:
        stem = name.partition(".")[0]
        return self.site.add_hashed(stem, ".woff2", self._source(f"fonts/{name}")).rpartition("/")[2]

    def _source(self, name: str) -> bytes:
        """Any file of the theme: the report's own, else ours. Raises BadInput."""
        if _is_own(self.root, name):
            return read_bytes(self.root, f"templates/{name}", LARGEST_SOURCE)
        if not (PACKAGED / name).is_file():
            raise _mistake("own.css or theme.css", f"it names {name}, and there is no templates/{name}")
        return (PACKAGED / name).read_bytes()


class _Compiled(jinja2.BytecodeCache):
    """Compiled templates in the user's cache folder; a damaged one, which could end the process, is none."""

    def load_bytecode(self, bucket: Any) -> None:
        if data := kept(user_cache() / TEMPLATES / bucket.key):
            bucket.bytecode_from_string(data)

    def dump_bytecode(self, bucket: Any) -> None:
        keep(user_cache() / TEMPLATES / bucket.key, bucket.bytecode_to_string())


@lru_cache(maxsize=4)
def _environment(root: Path) -> jinja2.Environment:
    """The templates of a report: kept for the next build, where an unchanged one is not compiled again."""

    def load(name: str) -> tuple[str, str, Callable[[], bool]] | None:
        own = _is_own(root, name)
        if not own and not (PACKAGED / name).is_file():
            return None
        text = _text(root, name)
        place = (root / "templates" if own else PACKAGED) / name
        return text, str(place), lambda: _is_own(root, name) == own and _text(root, name) == text

    environment = jinja2.Environment(
        bytecode_cache=_Compiled(),
        loader=jinja2.FunctionLoader(load),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(duration=duration, size=size)
    return environment


def has_own_pages(root: Path) -> bool:
    """Whether a report has templates of pages that are not ours."""
    folder = root / "templates"
    return folder.resolve() != PACKAGED.resolve() and any(folder.glob("*.html"))


def _is_own(root: Path, name: str) -> bool:
    return os.path.lexists(root / "templates" / name)


def _text(root: Path, name: str) -> str:
    """A file of text of the theme: the report's own, else ours. Raises BadInput."""
    return (
        read_text(root, f"templates/{name}") if _is_own(root, name) else (PACKAGED / name).read_text("utf-8")
    )


@contextmanager
def _mistakes_told() -> Iterator[None]:
    try:
        yield
    except jinja2.TemplateSyntaxError as error:
        raise _mistake(f"{error.name}", error.message or "", error.lineno) from error
    except jinja2.TemplateError as error:
        frames = [frame for frame in extract_tb(error.__traceback__) if frame.filename.endswith(".html")]
        name, line = (Path(frames[-1].filename).name, frames[-1].lineno or 1) if frames else ("", 1)
        raise _mistake(name, str(error), line) from error


def _mistake(name: str, message: str, line: int = 1) -> BadInput:
    return BadInput([Problem(Position(f"templates/{name}", line), message)])
