#!/usr/bin/env bash
# Believed: what a network cache answers to an upload that it refuses, its body, is what the builder's log shows.
# So: slapos.libnetworkcache shows the status line alone. A body that says what to mend is read by nobody; a reason phrase
# (HTTP/1.1 403 REASON) is the only text of a server that reaches the log of slapgrid or networkcache-upload. Where a proxy in
# front answers by itself, that phrase is its own ("Forbidden").
#
# The same program shows the body where the status is a success, but not the 201 that it wants.
#
# Run on 2026-11-28 with slapos.libnetworkcache 0.30 from PyPI and Python 3.11. Needs python3 with venv and openssl. Exits 1 when
# any of it changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip -q install slapos.libnetworkcache==0.30
cat >uploads.py <<'EOP'
import http.server, io, logging, sys, threading
from slapos.libnetworkcache import NetworkcacheClient
logging.disable(logging.CRITICAL)
ANSWERS = {
    "/phrase": (403, "set signature-private-key-file", b"the entry is unsigned\n"),
    "/usual": (403, "Forbidden", b"the entry is unsigned: set signature-private-key-file\n"),
    "/accepted": (202, "Accepted", b"stored later, perhaps\n"),
}
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_GET(self): self.send_error(404)
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        status, phrase, body = ANSWERS[self.path]
        self.send_response(status, phrase)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
for path, (status, phrase, body) in ANSWERS.items():
    url = f"http://127.0.0.1:{server.server_port}{path}"
    try:
        said = NetworkcacheClient(url, url).upload(io.BytesIO(b"x"))
    except Exception as error:
        said = f"{type(error).__name__}: {error}".replace(str(server.server_port), "PORT")
    print(f"{status} {phrase}, body {body.decode().strip()!r}\n  shown: {said.strip()}")
server.shutdown()
EOP
venv/bin/python uploads.py >seen
cat seen
diff - seen <<'EOP'
403 set signature-private-key-file, body 'the entry is unsigned'
  shown: HTTPError: HTTP Error 403: set signature-private-key-file
403 Forbidden, body 'the entry is unsigned: set signature-private-key-file'
  shown: HTTPError: HTTP Error 403: Forbidden
202 Accepted, body 'stored later, perhaps'
  shown: NetworkcacheException: Failed to upload data to SHACACHE Server. Response code: 202. Response data: b'stored later, perhaps\n'
EOP
echo "as it was on 2026-11-28"
