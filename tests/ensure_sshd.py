"""Make sure that an SSH server is here for the tests of a store over SFTP: Debian's openssh-server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path


def find() -> str | None:
    """The path of sshd, or None."""
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def sftp_server() -> str | None:
    """The path of the program that serves files, or None."""
    places = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/libexec/sftp-server")
    return next((place for place in places if Path(place).exists()), None)


def main() -> int:
    if find() and sftp_server():
        return 0
    if shutil.which("apt-get"):
        sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        install = ["apt-get", "install", "-yq", "--no-install-recommends", "openssh-server"]
        for attempt in ([*sudo, "apt-get", "update", "-q"], [*sudo, *install]):
            print("no sshd yet:", " ".join(attempt), flush=True)
            try:
                subprocess.run(attempt, check=False, timeout=600)
            except (OSError, subprocess.TimeoutExpired) as error:
                print(f"  {error}")
    if find() and sftp_server():
        return 0
    print("no sshd to be had: install one by hand (Debian: apt-get install openssh-server)", file=sys.stderr)
    return 1 if os.environ.get("CI") else 0


if __name__ == "__main__":
    sys.exit(main())
