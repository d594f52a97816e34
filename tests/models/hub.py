"""A hub on this machine: enough of the real one's protocol to download a model from."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serve(name: str, files: dict[str, Path]) -> Iterator[tuple[str, list[str]]]:
    """One model on a hub.

    Args:
        name: the model's name.
        files: its files by name.

    Yields:
        The hub's address, and the names of the files that have been asked for, growing.
    """
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, *, body: bool) -> None:
            path = urlsplit(self.path).path
            listing = [{"type": "file", "path": file, "size": place.stat().st_size} for file, place in files.items()]
            headers = {"X-Repo-Commit": COMMIT}
            if path.startswith(f"/api/models/{name}/tree/"):
                content = json.dumps([entry | {"oid": _etag(files[str(entry["path"])])} for entry in listing]).encode()
            elif path in {f"/api/models/{name}", f"/api/models/{name}/revision/main"}:
                siblings = [{"rfilename": file} for file in files]
                content = json.dumps({"id": name, "sha": COMMIT, "siblings": siblings}).encode()
            elif path.startswith(f"/{name}/resolve/") and (file := path.split("/", 5)[5]) in files:
                content = files[file].read_bytes()
                headers["ETag"] = f'"{_etag(files[file])}"'
                if body:
                    asked.append(file)
            elif path.startswith(f"/api/models/{name}/"):
                self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, body=body)
                return
            else:
                self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"}, body=body)
                return
            self._send(200, content, headers, body=body)

        def _send(self, status: int, content: bytes, headers: dict[str, str], *, body: bool) -> None:
            self.send_response(status)
            for key, value in (headers | {"Content-Length": str(len(content))}).items():
                self.send_header(key, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
            pass

    with _running(Handler) as address:
        yield address, asked


@contextmanager
def answering(status: int, content: bytes) -> Iterator[str]:
    """Something that gives one answer to everything: a hub with a fault, or a login page in its place.

    Yields:
        Its address.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
            pass

    with _running(Handler) as address:
        yield address


@contextmanager
def _running(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _etag(file: Path) -> str:
    return hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest()
