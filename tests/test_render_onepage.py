"""The report as one page and as one PDF: every id once, every link inside it leads somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from noisebook.render import onepage
from tests.ensure_browser import find
from tests.sample_report import compute, render, write_report


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("onepage") / "report"
    write_report(root)
    compute(root)
    render(root)
    return root


def test_every_id_stands_once_and_every_inner_link_leads_to_one(root: Path) -> None:
    html = (root / "site" / "print.html").read_text("utf-8")
    main = html[html.index("<main") :]
    ids = re.findall(r'<[a-z][^>]* id="([^"]*)"', main)
    assert len(ids) == len(set(ids)) > 10
    links = re.findall(r'href="#([^"]*)"', main)
    assert links and not set(links) - set(ids) - {""}
    assert not re.findall(
        r'href="[\w.-]+\.html#?', main.replace("validation.html", "").replace("credits.html", "")
    )
    printed = r'<details class="(?:tables|source)">|<details>'
    assert "<details" not in re.sub(printed, "", main), "what is not printed"


def test_addresses_of_sections_become_places_on_the_page() -> None:
    html = '<p id="a">x id="q" <a href="#a">1</a><a href="b.html">2</a><a href="b.html#c">3</a><a href="https://e.org/b.html">4</a></p>'
    made = onepage.joined(html, "one", {"b.html": "b"})
    assert made == (
        '<p id="one--a">x id="q" <a href="#one--a">1</a><a href="#b">2</a><a href="#b--c">3</a>'
        '<a href="https://e.org/b.html">4</a></p>'
    )


@pytest.mark.skipif(find() is None, reason="no Chromium on this machine")
def test_the_command_prints_the_whole_report(root: Path) -> None:
    command = [sys.executable, "-m", "noisebook.cli", "pdf", "--output", "out.pdf", "--keep-stale"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    data = (root / "out.pdf").read_bytes()
    assert data.startswith(b"%PDF") and data.rstrip().endswith(b"%%EOF")
    assert data.count(b"/Type /Page\n") >= len(list((root / "sections").glob("*.md")))
    assert b"/Outlines" in data
    main = (root / "site" / "print.html").read_text("utf-8").partition("<main")[2]
    pictures = set(re.findall(r'<img[^>]* src="([^"]*\.png)"', main))
    assert 'loading="lazy"' in main and data.count(b"/Subtype /Image") >= len(pictures) > 10


def test_without_a_browser_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(onepage.NoBrowser, match=r"install one .* or open site/print\.html"):
        onepage.browser()
