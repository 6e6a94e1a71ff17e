"""Where the links of a text lead: nothing in a site leads nowhere."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urlsplit

from noisebook.report.model import Position, Problem

FILES = (
    *("index.html", "validation.html", "credits.html", "references.html", "print.html", "404.html"),
    *("manifest.json", "feed.xml", "sitemap.xml"),
)
"""What a site has besides its sections."""
_ID = re.compile(r'\sid="([^"]*)"')
_OWN = ("main", "works")


HOSTS = {"github.com": "blob/HEAD/", "gitlab.com": "-/blob/HEAD/"}
"""Where a host of repositories shows a file, from which it can be edited."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link without a scheme, and where it is written: in the file of a section, mostly."""

    address: str
    position: Position


def source_address(repository: str, root: Path) -> str:
    """What the addresses of a report's own files begin with in its repository; "" for an unknown host.

    ``root`` is the report's folder, which may lie within the repository.
    """
    place = HOSTS.get(urlsplit(repository).hostname or "")
    if not place:
        return ""
    top = next((each for each in (root, *root.parents) if (each / ".git").exists()), root)
    inside = root.relative_to(top).as_posix()
    base = repository.rstrip("/").removesuffix(".git")
    return f"{base}/{place}{'' if inside == '.' else quote(inside) + '/'}"


def ids(html: str) -> set[str]:
    """The ids of a page."""
    return set(_ID.findall(html))


def dead(
    links: Iterable[Link], pages: Mapping[str, str | None], unread: Collection[str] = ()
) -> list[Problem]:
    """A problem for each link that leads nowhere.

    ``pages`` are the sections' names and their HTML; None where it could not be written. Of those in
    ``unread`` the figures are not known.
    """
    anchors: dict[str, set[str]] = {}
    problems = []
    for link in links:
        path, _, fragment = link.address.partition("#")
        path, fragment = unquote(path.partition("?")[0]), unquote(fragment)
        own = PurePosixPath(link.position.file).stem
        name = _section(path, pages) if path else own
        if name is None:
            if path.removeprefix("./") not in FILES:
                problems.append(Problem(link.position, *_nowhere(path, pages)))
        elif fragment and (html := pages.get(name)) is not None:
            found = anchors.setdefault(name, ids(html))
            if name in unread and fragment.startswith("fig-"):
                continue
            if fragment not in found and fragment not in _OWN:
                where = "this page" if name == own else f"the page {name}"
                message = f"nothing on {where} has the id {fragment[:80]!r}"
                problems.append(Problem(link.position, message, _near(fragment, found)))
    return problems


def _section(path: str, pages: Collection[str]) -> str | None:
    """The section whose file or page a path names."""
    folder, _, file = path.rpartition("/")
    if path.startswith("/"):
        return None  # of the server, which may have the site in any folder
    name, _, suffix = file.rpartition(".")
    if suffix == "md" and folder.strip("./") in ("", "sections") and name in pages:
        return name
    return name if suffix == "html" and folder in ("", ".") and name in pages else None


def _nowhere(path: str, pages: Collection[str]) -> tuple[str, str]:
    name = re.sub(r"\.(?:md|html?|markdown)$", "", path.rpartition("/")[2])
    if near := next((each for each in pages if each == name.lower()), ""):
        reason = f"no page is called {path[:80]!r}"
        return reason, f"did you mean {near}.md?"
    if path.endswith((".md", ".html", ".htm")) or "." not in path.rpartition("/")[2]:
        return f"there is no page {path[:80]!r}", _near(
            name, pages, ".md"
        ) or "a section is linked as name.md"
    hint = "a picture is shown by ![what it shows](path); anything else needs an address that begins with https://"
    return f"the site does not have the file {path[:80]!r}", hint


def _near(name: str, names: Collection[str], suffix: str = "") -> str:
    found = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean {found[0]}{suffix}?" if found else ""
