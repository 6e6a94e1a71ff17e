"""Live preview: the site of a report, built again at every change; its problems are shown in the page."""

from __future__ import annotations

import io
import json
import re
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from noisebook.render.theme import PACKAGED
from noisebook.report.model import BadInput, Position, Problem

INPUTS = ("sections", "templates", "generators", "images", "models")
"""Folders whose changes show in the preview."""
PREFIX = "/.noisebook/"
ALIVE = 10.0
"""Seconds between two signs of life of an event stream."""
IDLE = 30.0
"""Seconds that a client has to say what it wants, and to take each part of the answer."""
CLIENTS = 64
"""That are served at once: a browser keeps six connections and an event stream a page."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
NO_SITE = (
    b"<!doctype html><html lang=en><head><meta charset=utf-8><title>Noisebook</title></head>"
    b"<body><p>This report has no such page yet.</p></body></html>"
)


class Preview:
    """What the browsers are told: the number of the last good build, and what is wrong since."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._version = 0
        self._building = False
        self._problems: list[str] = []
        self._closed = False

    def build(self, rebuild: Callable[[], object]) -> None:
        """Run a build and tell everyone how it went."""
        self._tell(building=True)
        try:
            rebuild()
        except BadInput as error:
            problems = error.lines()
        except Exception as error:
            problems = [str(error) or type(error).__name__]
        else:
            self._tell(building=False, problems=[], step=1)
            return
        for problem in problems:
            print(problem, file=sys.stderr)
        self._tell(building=False, problems=problems)

    def _tell(self, *, building: bool, problems: list[str] | None = None, step: int = 0) -> None:
        with self._changed:
            self._building, self._version = building, self._version + step
            self._problems = self._problems if problems is None else problems
            self._changed.notify_all()

    def state(self) -> str:
        """What a browser gets, as JSON."""
        return json.dumps({"version": self._version, "building": self._building, "problems": self._problems})

    def wait(self, known: str) -> str | None:
        """The state once it differs from ``known``, or after a while; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self.state() != known, ALIVE)
            return None if self._closed else self.state()

    def close(self) -> None:
        """End every event stream."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class _Asked(io.RawIOBase):
    """What a client asks, for which it has some seconds in all, however many bytes come meanwhile."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self.connection, self.end = connection, time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.connection.settimeout(max(self.end - time.monotonic(), 0.001))
        return self.connection.recv_into(buffer)


class _Handler(SimpleHTTPRequestHandler):
    timeout = IDLE
    server: _Server

    def __init__(self, preview: Preview, *arguments: object, directory: str) -> None:
        self.preview = preview
        super().__init__(*arguments, directory=directory)  # type: ignore[arg-type]

    def setup(self) -> None:
        super().setup()
        self.rfile = io.BufferedReader(_Asked(self.connection, self.timeout))

    def parse_request(self) -> bool:
        """Only for names of this machine: a page of another host's that leads here gets nothing."""
        if not super().parse_request():
            return False
        self.connection.settimeout(self.timeout)
        found = _host(self.headers.get("Host", ""))
        if found in self.server.hosts:
            return True
        self.send_error(HTTPStatus.FORBIDDEN, "This preview answers for its own host alone")
        return False

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == PREFIX + "events":
            self._events()
        elif path == PREFIX + "reload.js":
            self._send((PACKAGED / "reload.js").read_bytes(), "text/javascript")
        else:
            super().do_GET()

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        """Pages get the reload script; all else goes out as it is."""
        path = Path(self.translate_path(self.path))
        try:
            path = path / "index.html" if path.is_dir() else path
        except OSError:  # a name that is too long
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        hidden = any(
            part.startswith(".") for part in re.split(r"[/\\\\]", unquote(self.path.partition("?")[0]))
        )
        hidden = hidden or not _is_own(path, Path(self.directory))
        if path.suffix != ".html" or hidden:
            if not hidden:
                return super().send_head()
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        try:
            page, status = path.read_bytes(), HTTPStatus.OK
        except OSError:
            page, status = NO_SITE, HTTPStatus.NOT_FOUND
        tag = f'<script src="{PREFIX}reload.js"></script></body>'.encode()
        self._send(page.replace(b"</body>", tag, 1), "text/html", status, body=self.command == "GET")
        return None

    def _send(self, data: bytes, mime: str, status: HTTPStatus = HTTPStatus.OK, *, body: bool = True) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{mime}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)

    def _events(self) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        known: str | None = self.preview.state()
        try:
            while known is not None:
                self.wfile.write(f"data: {known}\n\n".encode())
                self.wfile.flush()
                known = self.preview.wait(known)
        except OSError:
            return  # the reader has gone

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        return


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: Callable[..., _Handler]) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.hosts = {*LOOPBACK, _host(address[0])}
        self._free = threading.BoundedSemaphore(CLIENTS)
        super().__init__(address, handler)
        if address[0] in ("", "0.0.0.0", "::"):  # every name of this machine, as its owner asked for
            self.hosts |= {socket.gethostname().lower(), socket.getfqdn().lower(), *_addresses()}

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for each of a few clients; who comes when there are too many is sent away."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: object, client_address: object) -> None:
        return  # a browser that hangs up is no event


def _is_own(path: Path, site: Path) -> bool:
    """Whether a file of the site, or nothing, is there: no link out of it, no pipe, no device."""
    try:
        return path.resolve().is_relative_to(site.resolve()) and (path.is_file() or not path.exists())
    except (OSError, RuntimeError, ValueError):
        return False


def _host(name: str) -> str:
    """The host of a Host header or an address, without its port and brackets; "" for what is none."""
    if re.search(r"[@/?#\\\s]", name):
        return ""
    try:
        return (
            urlsplit(f"//{name}" if name.count(":") < 2 or "[" in name else f"//[{name}]").hostname or ""
        ).lower()
    except ValueError:
        return ""


def _addresses() -> set[str]:
    try:
        return {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None)}
    except OSError:
        return set()


def start(site: Path, preview: Preview, host: str, port: int) -> ThreadingHTTPServer:
    """A server of ``site`` in a thread of its own. Raises BadInput if it cannot listen there."""
    try:
        server = _Server((host, port), partial(_Handler, preview, directory=str(site)))
    except (OSError, OverflowError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        problem = Problem(
            Position("command line"), f"cannot listen on {host}:{port}: {reason}", "try another --port"
        )
        raise BadInput([problem]) from error
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def serve(root: Path, rebuild: Callable[[], object], host: str = "127.0.0.1", port: int = 8000) -> None:
    """Preview the report in ``root`` until Ctrl-C; ``rebuild`` writes its site or raises what is wrong."""
    preview = Preview()
    server = start(root / "site", preview, host, port)
    changed, stop = threading.Event(), threading.Event()
    for deep in (True, False):
        threading.Thread(target=_watch, args=(root.resolve(), changed, stop, deep), daemon=True).start()
    name = f"[{host}]" if ":" in host else host
    print(f"http://{name}:{server.server_address[1]}/ (Ctrl-C ends)", flush=True)
    changed.set()
    try:
        while True:
            if changed.wait(1):
                changed.clear()
                preview.build(rebuild)
    except KeyboardInterrupt:
        pass
    finally:
        stop.set()
        preview.close()
        server.shutdown()
        server.server_close()


def _watch(root: Path, changed: threading.Event, stop: threading.Event, deep: bool) -> None:
    """Notice changes of what a build reads: the folders of inputs if ``deep``, else the files beside them."""
    from watchfiles import watch

    def read(_: object, path: str) -> bool:
        parts = Path(path).relative_to(root).parts
        return not any(part.startswith(".") or part == "__pycache__" for part in parts) and (
            deep or Path(path).is_file() or path.endswith((".yaml", ".json", ".bib"))
        )

    places = [root / name for name in INPUTS if (root / name).is_dir()] if deep else [root]
    for _ in watch(
        *places, watch_filter=read, stop_event=stop, debounce=200, raise_interrupt=False, recursive=deep
    ):
        changed.set()
