"""The whole report as one page, and that page as a PDF by the Chromium at hand."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge")
SECONDS = 600
"""The longest that a browser may take to print a report."""
_TAG = re.compile(r"<[a-zA-Z][^>]*>")
_MADE = re.compile(r'<details class="made">.*?</details>\n?', re.DOTALL)
"""What is not printed: how a figure was made. It is on the section's page."""
_ATTRIBUTE = re.compile(r' (id|for|aria-labelledby|aria-describedby|href|xlink:href)="([^"]*)"')


class NoBrowser(Exception):
    """No Chromium is installed, or it could not print. The message says what to do."""


def joined(html: str, name: str, pages: Mapping[str, str]) -> str:
    """A section's HTML with addresses that hold among all sections on one page.

    Every id gets the section's name before it, every link to a section or into one leads to its place on
    the same page. What is not printed is left out. Pictures wait until they are come to: before it prints, a
    browser loads them all.

    Args:
        html: well-formed, attributes in double quotes, as templates and the writer of prose make it.
        name: of the section.
        pages: address of each section's page → its name.
    """

    def attribute(match: re.Match[str]) -> str:
        kind, value = match.groups()
        if not kind.endswith("href"):
            return f' {kind}="{" ".join(f"{name}--{each}" for each in value.split())}"'
        page, mark, anchor = value.partition("#")
        target = pages.get(page, "") if page else name
        if not target:
            return match[0]
        return f' {kind}="#{target}{"--" if mark and anchor else ""}{anchor}"'

    return _TAG.sub(lambda tag: _ATTRIBUTE.sub(attribute, tag[0]), _MADE.sub("", html))


def browser() -> str:
    """The path of an installed Chromium. Raises :class:`NoBrowser`."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        raise NoBrowser(
            "no Chromium is installed to print with: install one (Debian: apt install chromium), or open "
            "site/print.html in a browser and print it from there"
        )
    return found


def write_pdf(page: Path, target: Path) -> None:
    """Print ``page``, a file, to ``target``: all or nothing. Raises :class:`NoBrowser`."""
    command = browser()
    with tempfile.TemporaryDirectory(prefix="noisebook-print-") as folder:
        made = Path(folder) / "report.pdf"
        arguments = [
            command, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update", "--force-color-profile=srgb",
            f"--user-data-dir={folder}/profile", "--no-pdf-header-footer", "--generate-pdf-document-outline",
            "--virtual-time-budget=60000", f"--print-to-pdf={made}", page.resolve().as_uri(),
        ]  # fmt: skip
        try:
            done = subprocess.run(arguments, capture_output=True, text=True, timeout=SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NoBrowser(f"{command} could not print: {error}") from error
        if done.returncode or not made.is_file():
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise NoBrowser(f"{command} could not print {page.name} (exit status {done.returncode}): {last}")
        shutil.copyfile(made, target.with_name(f".{target.name}.tmp"))
        target.with_name(f".{target.name}.tmp").replace(target)
