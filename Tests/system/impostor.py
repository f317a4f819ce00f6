"""A server that answers what a test puts into it, right or wrong; at best it is a small network cache."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    request_queue_size = 1000  # of those that come at once, none waits for a second SYN


class Impostor:
    """Serves `listings` (key → bytes, or pairs) below /shadir and `blobs` (name → bytes) below /shacache, with ranges.

    `answer(handler)`, if set, comes first: it writes an answer of its own and returns True, or returns None."""

    def __init__(self, answer=None):
        self.listings = {}
        self.blobs = {}
        self.requests = []  # (method, path, Range or None)
        self.answer = answer

    def __enter__(self):
        impostor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_one_request(self):
                self.impostor = impostor
                try:
                    super().handle_one_request()
                except OSError:
                    self.close_connection = True  # the client has gone

            def do_GET(self):
                impostor._serve(self)

            do_HEAD = do_POST = do_PUT = do_GET

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def options(self):
        """Of a node that takes it for its cache."""
        return {
            f"{direction}-{kind}{service}-url": f"{self.url}/sha{service}"
            for direction in ("download", "upload") for kind in ("", "binary-") for service in ("cache", "dir")}

    def has(self, data):
        """Puts a blob into it; returns its name."""
        digest = hashlib.sha512(data).hexdigest()
        self.blobs[digest] = data
        return digest

    def asked(self, method, prefix="/"):
        """What was asked for so, in order."""
        return [request for request in self.requests if request[0] == method and request[1].startswith(prefix)]

    def _serve(self, handler):
        self.requests.append((handler.command, handler.path, handler.headers.get("Range")))
        if self.answer and self.answer(handler):
            return
        body = read(handler)
        if handler.command == "POST":
            return reply(handler, 201, self.has(body).encode())
        service, _, name = handler.path[1:].partition("/")
        if handler.command == "PUT":
            self.listings.setdefault(name, []).append(json.loads(body))
            return reply(handler, 201)
        if service == "shadir":
            listing = self.listings.get(name)
            if listing is None:
                return reply(handler, 404)
            return reply(handler, 200, listing if isinstance(listing, bytes) else json.dumps(listing).encode())
        data = self.blobs.get(name)
        return reply(handler, 404) if data is None else self._blob(handler, data)

    def _blob(self, handler, data):
        asked = handler.headers.get("Range")
        if asked is None:
            return reply(handler, 200, data, {"Accept-Ranges": "bytes"})
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(data):
            return reply(handler, 416, headers={"Content-Range": f"bytes */{len(data)}"})
        reply(handler, 206, data[start:], {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})


def read(handler):
    """The request's body."""
    if handler.headers.get("Transfer-Encoding") != "chunked":
        return handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
    # libcurl 8 sends pieces of 64 KiB at most: of a large body they are too many to add one to the other.
    pieces = []
    while size := int(handler.rfile.readline(), 16):
        pieces.append(handler.rfile.read(size))
        handler.rfile.readline()
    handler.rfile.readline()
    return b"".join(pieces)


def reply(handler, status, body=b"", headers={}, length=None):
    """Answers; with a `length` beyond the body's the connection is cut where the body ends."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    if handler.close_connection:
        # Otherwise the deployed client, which asks for it, reads nothing.
        handler.send_header("Connection", "close")
    if "Transfer-Encoding" not in headers:
        handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)
    if length is not None:
        handler.close_connection = True
    return True
