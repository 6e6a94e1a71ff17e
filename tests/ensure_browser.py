"""Make sure that a Chromium is here for the browser tests: one installed, Playwright's own, or Debian's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def installed() -> str | None:
    """The path of an installed Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def playwrights_own() -> str | None:
    """The path of the Chromium that Playwright downloaded, or None."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def find() -> str | None:
    """The Chromium that the tests use."""
    return installed() or playwrights_own()


def main() -> int:
    if find():
        return 0
    attempts = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if shutil.which("apt-get"):
        sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        attempts += [[*sudo, "apt-get", "update", "-q"], [*sudo, "apt-get", "install", "-yq", "chromium"]]
    for attempt in attempts:
        print("no Chromium yet:", " ".join(attempt), flush=True)
        try:
            subprocess.run(attempt, check=False, timeout=600)
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"  {error}")
        if find():
            return 0
    print("no Chromium to be had: install one by hand (Debian: apt-get install chromium)", file=sys.stderr)
    return 1 if os.environ.get("CI") else 0


if __name__ == "__main__":
    sys.exit(main())
