"""A server of files on the loopback that misbehaves on request."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """Files to serve, and how.

    Attributes:
        files: path -> content.
        ranges: answer ``Range`` with a part; else always with the whole.
        break_after: bytes of a body after which the connection is cut, for each coming request in turn.
        stall_after: bytes of a body after which nothing more comes, until this is 0 again.
        url: of the server.
        asked: (path, Range header) of every request.
    """

    files: dict[str, bytes]
    ranges: bool = True
    break_after: list[int] = field(default_factory=list)
    stall_after: int = 0
    url: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def serve(files: dict[str, bytes]) -> Iterator[Site]:
    site = Site({f"/{name}": data for name, data in files.items()})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            site.asked.append((self.path, asked))
            data = site.files.get(self.path)
            if data is None:
                self.send_error(404)
                return
            tag = f'"{md5(data, usedforsecurity=False).hexdigest()}"'
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and site.ranges else 0
            if self.headers.get("If-Range", tag) != tag:
                start = 0
            if start >= len(data) > 0 and start:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.send_header("Content-Length", str(len(data) - start))
            self.send_header("ETag", tag)
            self.end_headers()
            body = data[start:]
            self.wfile.write(body[: site.break_after.pop(0) if site.break_after else site.stall_after or None])
            while site.stall_after:
                time.sleep(0.01)
            self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
