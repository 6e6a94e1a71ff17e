"""Real servers on this machine's loopback, for the tests of the shared store: SFTP, S3, HTTP."""

from __future__ import annotations

import getpass
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .ensure_sshd import find, sftp_server


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(port: int, seconds: float = 120) -> None:
    """Until somebody listens there."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


class Server:
    """A process that serves at ``port``; can be stopped (with all its connections) and started again.

    ``environment`` is what a client needs to get in; ``files`` is what it serves.
    """

    environment: dict[str, str]
    files: Path
    url: str

    def __init__(self) -> None:
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        wait_for(self.port)

    def stop(self) -> None:
        """End it and every process it has started."""
        if self.process is not None:
            for child in self._children(self.process.pid):
                os.kill(child, signal.SIGKILL)
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self, *, thaw: bool = False) -> None:
        """Let it stand still with its connections open, as if the line were cut; or go on."""
        if self.process is not None:
            for process in (self.process.pid, *self._children(self.process.pid)):
                os.kill(process, signal.SIGCONT if thaw else signal.SIGSTOP)

    @staticmethod
    def _children(pid: int) -> list[int]:
        import psutil

        return [child.pid for child in psutil.Process(pid).children(recursive=True)]


class Sftp(Server):
    """OpenSSH with keys of its own, made for it and thrown away."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        folder.mkdir(parents=True)
        self.folder, self.files = folder, folder / "files"
        self.files.mkdir()
        for name in ("host", "user"):
            key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(key, check=True)
        host = (folder / "host.pub").read_text().split()[:2]
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {' '.join(host)}\n")
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host'}\n"
            f"AuthorizedKeysFile {folder / 'user.pub'}\nPidFile {folder / 'pid'}\nStrictModes no\n"
            f"PasswordAuthentication no\nUsePAM no\nPermitRootLogin prohibit-password\n"
            f"Subsystem sftp {sftp_server()}\n"
        )
        self.url = f"sftp://{getpass.getuser()}@127.0.0.1:{self.port}{self.files}/shared"
        self.environment = {
            "NOISEBOOK_KNOWN_HOSTS": str(folder / "known_hosts"),
            "FSSPEC_SFTP_KEY_FILENAME": str(folder / "user"),
        }

    def command(self) -> list[str]:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd separates privileges there
        return [str(find()), "-D", "-e", "-f", str(self.folder / "sshd_config")]


class Http(Server):
    """Python's own server of a folder."""

    def __init__(self, files: Path) -> None:
        super().__init__()
        self.files = files
        self.url, self.environment = f"http://127.0.0.1:{self.port}", {}

    def command(self) -> list[str]:
        arguments = ["--bind", "127.0.0.1", "--directory", str(self.files), str(self.port)]
        return [sys.executable, "-m", "http.server", *arguments]


class S3:
    """An S3 server in this process, with one bucket; ``stop`` and ``start`` keep what it holds."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = "s3://reports/shared"
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "throw-away",
            "AWS_SECRET_ACCESS_KEY": "throw-away-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self._server: Any = None

    def start(self) -> None:
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
        self._server.start()
        wait_for(self.port)
        self.client().create_bucket(Bucket="reports")

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None

    def client(self) -> Any:
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id="throw-away",
            aws_secret_access_key="throw-away-secret",
            region_name="us-east-1",
        )


class Cluster:
    """A Dask scheduler and workers, each a process of its own, that can be killed and started again."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.port = free_port()
        self.url = f"tcp://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            **environment,
            "DASK_DISTRIBUTED__ADMIN__TICK__LIMIT": "60s",  # other tests may hold the processors
        }
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def start_scheduler(self) -> None:
        here = ("--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard")
        self.scheduler = self._start("scheduler", *here)
        wait_for(self.port)

    def start_worker(self, *more: str) -> subprocess.Popen[bytes]:
        alone = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1")
        process = self._start("worker", self.url, *alone, *more)
        self.workers.append(process)
        return process

    def kill_scheduler(self) -> None:
        if self.scheduler is not None:
            self.scheduler.kill()
            self.scheduler.wait()
            self.scheduler = None

    def stop(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.workers.clear()
        self.kill_scheduler()
