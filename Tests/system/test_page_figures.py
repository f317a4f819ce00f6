"""What the page says in figures and facts, after uploads and downloads that are known."""

import hashlib
import os
import re
from datetime import date, datetime, timedelta, timezone

import processes
from node import Node
from slapos.libnetworkcache import NetworkcacheClient
from stack import Database, eventually
from test_page import charts, entry, page, text_of

SPACE = "\u00a0"


def restart(stack):
    """Its figures are kept for a minute."""
    processes.send(stack, "page")
    eventually(lambda: stack.request("GET", "/")[0] == 200)


def totals(document):
    return {{"entry": "entries", "blob": "blobs"}.get(what, what): number for what, number in re.findall("<dt>(.*?)</dt><dd>(.*?)</dd>", document)}


def count(text):
    return int(text.replace("\u202f", ""))


def test_the_first_page_adds_up_what_came_in_and_went_out(start):
    stack = start(WORKERS="1")
    before = page(stack, "/")
    today = datetime.now(timezone.utc).date().isoformat()
    digest = stack.upload(data := os.urandom(3 << 20))
    entry(stack, "counted", data=data)
    for _ in range(2):
        assert stack.request("GET", f"/shacache/{digest}")[2] == data
    stack.ingest_log()
    restart(stack)
    document = page(stack, "/")
    old, new = totals(before), totals(document)
    assert count(new["entries"]) == count(old["entries"]) + 1 and count(new["blobs"]) == count(old["blobs"]) + 1
    assert new["stored"] == f"3.0{SPACE}MiB"
    drawn = charts(document)
    assert set(drawn) == {"Uploads a day", "Downloads a day", "Bytes sent a day", "Space used"}
    first = (date.fromisoformat(today) - timedelta(days=59)).isoformat()
    for figures in drawn.values():
        assert (len(figures), min(figures), max(figures)) == (60, first, today)
    # The blob, the same once more, and the entry.
    assert count(drawn["Uploads a day"][today]) == count(charts(before)["Uploads a day"][today]) + 3
    assert count(drawn["Downloads a day"][today]) >= 2
    assert drawn["Bytes sent a day"][today] == f"6.0{SPACE}MiB" and drawn["Space used"][today] == f"3.0{SPACE}MiB"
    yesterday = (date.fromisoformat(today) - timedelta(days=1)).isoformat()
    assert {figures[yesterday] for figures in drawn.values()} == {"0", f"0{SPACE}B"}


def test_an_entry_says_all_that_is_known_of_it_and_whose_it_is_where_the_site_tells(start, tmp_path):
    stack = start(WORKERS="1")
    file = stack.state / "shacache.toml"
    file.write_text(file.read_text().replace("[site]\n", "[site]\nshow-accounts = true\n"))
    restart(stack)
    ((signer,),) = Database(stack).run("SELECT name FROM shacache.signer")
    node = Node.of(stack, tmp_path / "node")
    with open(node.config) as config:
        client = NetworkcacheClient(config)
    (archive := tmp_path / "archive").write_bytes(data := os.urandom(5000))
    with open(archive, "rb") as content:
        client.upload(
            content, "release", software_url="https://example.org/software.cfg", multiarch="x86_64-linux-gnu",
            os=["debian", "12.8", "bookworm"], software_root="/opt/slapgrid")
    digest = hashlib.sha512(data).hexdigest()
    for _ in range(3):
        stack.request("GET", f"/shacache/{digest}")
    stack.request("GET", f"/shacache/{digest}", headers={"Range": "bytes=0-999"})
    stack.ingest_log()
    link = re.search(r"/-/page/entry/\d+", page(stack, "/-/page/key?key=release"))[0]
    document = page(stack, link)
    facts = {what: " ".join(text_of(said).split())
             for what, said in re.findall("<div><dt>(.*?)</dt><dd[^>]*>(.*?)</dd></div>", document, re.DOTALL)}
    assert facts["Signature"].startswith(f"verified signed by {signer}")
    assert f"the key of the registered signer {signer} verified it" in facts["Signature"]
    assert facts["Came in"].endswith(", just now") and facts["Uploaded by"] == "demo"
    assert facts["Platform"] == "x86_64-linux-gnu, debian 12.8 bookworm"
    assert facts["Software release"] == "https://example.org/software.cfg"
    assert facts["Blob"] == f"{digest} 4.9 KiB · downloaded 3 times whole, 15.6 KiB sent"
    assert f'href="/shacache/{digest}" download' in document
    # In its list, and on the blob's page.
    assert "by demo" in text_of(page(stack, "/-/page/key?key=release"))
    assert re.search("First uploaded by</dt><dd>demo<", page(stack, f"/-/page/blob/{digest}"))
    stack.admin("signer", "revoke", signer)
    assert "that key was revoked on" in page(stack, link)
