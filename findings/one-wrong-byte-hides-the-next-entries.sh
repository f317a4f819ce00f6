#!/usr/bin/env bash
# Believed: a node of SlapOS's binary cache that can't get the file of one entry takes the next entry that fits.
# So: it does when the file is missing (404), and doesn't when the file arrives with a wrong byte or cut short, though the next
# entry is as good. Then it compiles, or, where the release is forced, fails at each run until the entry is gone.
#
# slapos.core asks for the file of each entry in turn, and goes on at an error. But slapos.libnetworkcache checks the hash
# while the file is copied, which happens after the loop over the entries has ended.
#
# Run on 2026-11-28 with slapos.core 1.25.0, slapos.libnetworkcache 0.30, distro 1.9.0, six 1.17.0 from PyPI and Python 3.11. Needs
# python3 with venv, openssl, and a command gcc, which slapos.core asks for the machine's triplet. Exits 1 when any of it changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
# One after the other: the second one's set-up looks for the package that the first one brings.
venv/bin/pip -q install --no-deps slapos.core==1.25.0
venv/bin/pip -q install slapos.libnetworkcache==0.30 distro==1.9.0 six==1.17.0 2>/dev/null
openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out certificate -days 2 -subj /CN=builder 2>/dev/null
cat >node.py <<'EOP'
import base64, contextlib, hashlib, http.server, json, logging, subprocess, sys, threading
from slapos.grid.networkcache import download_network_cached, machine_info_tuple
URL = "https://example.org/software.cfg"
KEY = hashlib.md5(URL.encode()).hexdigest()
CERTIFICATE = open("certificate").read()
GOOD, OTHER = b"the second entry's file", b"the first entry's file!"
multiarch, os = machine_info_tuple()
def entry(data):
    said = {"sha512": hashlib.sha512(data).hexdigest(), "software_url": URL, "software_root": "/opt/slapgrid",
            "multiarch": multiarch, "os": list(os)}
    text = json.dumps(said)
    signed = subprocess.run(["openssl", "dgst", "-sha1", "-sign", "key"], input=text.encode(), stdout=-1, check=True)
    return [text, base64.b64encode(signed.stdout).decode()]
ENTRIES = json.dumps([entry(OTHER), entry(GOOD)]).encode()
FIRST = {"is right": (200, OTHER), "is missing": (404, b""), "has a wrong byte": (200, b"T" + OTHER[1:]),
         "is cut short": (200, OTHER[:-1])}
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_GET(self):
        status, body = 200, GOOD
        if KEY in self.path: body = ENTRIES
        elif hashlib.sha512(OTHER).hexdigest() in self.path: status, body = first
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
at = f"http://127.0.0.1:{server.server_port}"
for name, first in FIRST.items():
    with contextlib.redirect_stdout(sys.stderr):
        found = download_network_cached(at, at, URL, "/opt/slapgrid", KEY, "archive", logging.getLogger(), CERTIFICATE, [])
    print(f"the first entry's file {name}:", open("archive", "rb").read().decode() if found else "compiles")
server.shutdown()
EOP
venv/bin/python -W ignore node.py >seen 2>/dev/null
cat seen
diff - seen <<'EOP'
the first entry's file is right: the first entry's file!
the first entry's file is missing: the second entry's file
the first entry's file has a wrong byte: compiles
the first entry's file is cut short: compiles
EOP
echo "as it was on 2026-11-28"
