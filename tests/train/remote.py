"""A web server of a folder for tests: it knows ranges, or not, and fails as it is told to."""

import contextlib
import re
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


@dataclass
class Remote:
    """What is served, and how.

    Attributes:
        address: `http://127.0.0.1:PORT`.
        ranges: whether parts can be asked for.
        head: whether HEAD is answered.
        cut: so many of the next answers end in the middle.
        busy: so many of the next requests are answered with 503.
        signature: the query without which nothing is given, where there is one.
        asked: how often each path was asked for its bytes.
        sent: bytes that were sent.
    """

    folder: Path
    address: str = ""
    ranges: bool = True
    head: bool = True
    cut: int = 0
    busy: int = 0
    signature: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    sent: int = 0


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Remote]:
    remote = Remote(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            if not remote.head:
                self._refuse(405)
            else:
                self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _refuse(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _answer(self, *, body: bool) -> None:
            path, _, query = self.path.partition("?")
            file = remote.folder / unquote(path).lstrip("/")
            if remote.busy:
                remote.busy -= 1
                self._refuse(503)
                return
            if query != remote.signature:
                self._refuse(403)
                return
            if not file.is_file():
                self._refuse(404)
                return
            data = file.read_bytes()
            found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            part = data
            if found and remote.ranges:
                begin, last = int(found[1]), min(int(found[2]), len(data) - 1)
                part = data[begin : last + 1]
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {begin}-{last}/{len(data)}")
            else:
                self.send_response(200)
            self.send_header("ETag", f'"{file.stat().st_mtime_ns}-{len(data)}"')
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            if not body:
                return
            remote.asked[path] += 1
            if remote.cut:
                remote.cut -= 1
                self.wfile.write(part[: len(part) // 2])
                self.close_connection = True
                return
            remote.sent += len(part)
            self.wfile.write(part)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    remote.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield remote
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
