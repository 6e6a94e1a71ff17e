"""What the built site weighs, page by page, in Chromium: before interaction, and scrolled to its end.

``python bench/site.py [SITE] [--lighthouse COMMAND]``: COMMAND is ``node_modules/.bin/lighthouse``, wherever
``npm install lighthouse`` put it; its four scores follow. Exits 1 if a page is beyond its bounds.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import io
import json
import os
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.ensure_browser import find  # noqa: E402

FIRST, WHOLE, SCORE = 3_000_000, 15_000_000, 95
"""Bytes before interaction and scrolled to the end; points of Lighthouse's hundred."""
PACKED = {".html", ".css", ".js", ".json", ".svg", ".csv"}
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")


class Pages(SimpleHTTPRequestHandler):
    """Files as GitHub Pages serves them: text is compressed."""

    def send_head(self) -> Any:
        path = Path(self.translate_path(self.path))
        packed = path.suffix in PACKED and "gzip" in self.headers.get("Accept-Encoding", "")
        if not packed or not path.is_file():
            return super().send_head()
        data = gzip.compress(path.read_bytes(), 6)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        return io.BytesIO(data)

    def log_message(self, format: str, *arguments: object) -> None:
        return


def weigh(browser: Browser, site: Path, base: str, name: str) -> tuple[int, int, int]:
    """Bytes of the files that a page asks for at first, and when it has been read to its end; how many."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    asked: dict[str, int] = {}
    page.on("request", lambda request: asked.update({request.url: size(request.url)}))

    def size(url: str) -> int:
        path = site / url.removeprefix(f"{base}/").partition("?")[0]
        return path.stat().st_size if path.is_file() else 0

    page.goto(f"{base}/{name}.html", wait_until="networkidle")
    first = sum(asked.values())
    page.evaluate(
        "async () => { for (let y = 0; y < document.documentElement.scrollHeight; y += 600) {"
        " scrollTo(0, y); await new Promise(resolve => setTimeout(resolve, 40)); } }"
    )
    page.wait_for_load_state("networkidle")
    result = first, sum(asked.values()), len(asked)
    context.close()
    return result


def lighthouse(command: str, address: str, chromium: str) -> dict[str, int]:
    """The four scores of a page, of a phone, as Lighthouse gives them."""
    flags = "--chrome-flags=--headless=new --no-sandbox --disable-gpu"
    done = subprocess.run(
        [command, address, "--output=json", "--quiet", flags, f"--only-categories={','.join(CATEGORIES)}"],
        capture_output=True,
        check=True,
        env={**os.environ, "CHROME_PATH": chromium},
    )
    found = json.loads(done.stdout)["categories"]
    return {name: round(100 * found[name]["score"]) for name in CATEGORIES}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("site", nargs="?", type=Path, default=ROOT / "site")
    parser.add_argument("--lighthouse", metavar="COMMAND")
    parser.add_argument("--pages", nargs="*", help="only these, without .html")
    options = parser.parse_args()
    chromium = find()
    if chromium is None or not (options.site / "index.html").is_file():
        print(
            "no Chromium" if chromium is None else f"no site at {options.site}: noisebook build",
            file=sys.stderr,
        )
        return 2
    handler = functools.partial(Pages, directory=str(options.site))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_address[1]}"
    names = options.pages or sorted(path.stem for path in options.site.glob("*.html"))
    beyond = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for name in names:
            first, whole, requests = weigh(browser, options.site, base, name)
            print(f"{name:32} {first / 1e3:8.0f} kB at first {whole / 1e3:8.0f} kB in all, {requests} files")
            if first > FIRST or whole > WHOLE:
                beyond.append(name)
        browser.close()
    for name in names if options.lighthouse else ():
        scores = lighthouse(options.lighthouse, f"{base}/{name}.html", chromium)
        print(
            f"{name:32} " + "  ".join(f"{category} {score}" for category, score in scores.items()), flush=True
        )
        if min(scores.values()) < SCORE:
            beyond.append(name)
    server.shutdown()
    if beyond:
        print("beyond their bounds:", ", ".join(dict.fromkeys(beyond)))
    return bool(beyond)


if __name__ == "__main__":
    sys.exit(main())
