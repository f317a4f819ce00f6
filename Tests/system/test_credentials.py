"""A password in a URL that a deployed client has signed: whoever has the key gets it byte for byte, and nothing else tells."""

import json
from urllib.parse import quote

import pytest
from deployed import new_key
from stack import Database, Stack, eventually
from test_page import entry, page

PASSWORD = "not-a-secret"
URL = f"https://alice:{PASSWORD}@example.org/"
# With URLs wherever a client can write one, in the ways that JSON has.
WITH = {
    "url": URL + "a.tar.gz", "software_url": URL + "software.cfg", "multiarch": URL + "m", "os": [URL + "o", "12", "x"],
    "note": f"from {URL}n, they say", URL + "name": 1, "in": [{"more": f'"{URL}q"'}], "mirror": f"https://m.org/{URL}",
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("credentials"), WORKERS="1", ANONYMOUS="1") as stack:
        stack.admin("account", "set", "demo", "--role", "blobs", "--role", "entries", "--role", "withdraw", "--role", "operator")
        stack.key, stack.secret_key = new_key(), URL + "key"
        stack.number = entry(stack, stack.key, WITH)
        stack.secret_number = entry(stack, stack.secret_key, {"plain": "a@b, https://example.org/@scope"})
        # As no client of ours writes it, and longer than the page reads.
        escaped = URL.replace("/", "\\/").replace("@", "\\u0040")
        long = '"long": "%s"' % ("x" * 70_000)
        stack.escaped = [put(stack, new_key(), f'"url": "{escaped}"'), put(stack, new_key(), f'{long}, "url": "{escaped}"'),
                         put(stack, new_key(), f'"url": "{escaped}", {long}')]
        # A refusal whose words have one, and a download.
        stack.request("PUT", "/shadir/" + quote(URL, safe=""), b"[]", context=stack.tls())
        stack.request("GET", "/shadir/" + quote(stack.secret_key, safe=""))
        stack.request("GET", "/shacache/" + stack.upload(stack.secret_key.encode()))
        stack.ingest_log()
        gone = entry(stack, URL + "gone")
        stack.admin("entry", "withdraw", str(gone), "--reason", f"its {URL} is secret")
        stack.admin("survey")
        yield stack


def put(stack, key, members):
    """Metadata that is written just so."""
    metadata = '{"sha512": "%s", %s}' % (stack.upload(key.encode()), members)
    stack.index(key, metadata)
    return int(Database(stack).run(f"SELECT max(id) FROM shacache.entry WHERE key = '{key}'")[0][0])


def test_the_key_has_what_was_signed(cache):
    status, _, body = cache.request("GET", f"/shadir/{cache.key}")
    assert status == 200 and json.loads(json.loads(body)[0][0])["url"] == WITH["url"]


# Markup.swift: `withoutCredentials`; Pages+Entries.swift: `raw`; Templates.swift: `isKeyShown`.
def test_no_page_shows_it(cache):
    for context in (None, cache.tls()):
        for number in (cache.number, cache.secret_number, *cache.escaped):
            document = page(cache, f"/-/page/entry/{number}", context)
            assert PASSWORD not in document and "alice" not in document, number
        assert PASSWORD not in page(cache, f"/-/page/key?key={cache.key}", context)
        assert PASSWORD not in page(cache, "/-/page/key?key=" + quote(cache.secret_key, safe=""), context, status=404)
        digest = cache.upload(cache.secret_key.encode())
        assert PASSWORD not in page(cache, f"/-/page/blob/{digest}", context)
    document = page(cache, f"/-/page/entry/{cache.number}")
    assert "https://example.org/a.tar.gz" in document and "left out here" in document
    # What has none is shown as it was sent.
    assert "https://example.org/@scope" in page(cache, f"/-/page/entry/{cache.secret_number}")


# Browsing.swift: the last condition of `keys`; Pages+Search.swift: the filter, and `q`.
def test_no_search_finds_or_repeats_it(cache):
    for typed in (cache.secret_key, URL, URL + "a.tar.gz", f"https://alice:{PASSWORD[:5]}", "https://alice", PASSWORD):
        document = page(cache, "/?q=" + quote(typed, safe=""), cache.tls())
        assert "Nothing found" in document and "/-/page/key" not in document, typed
        assert f"{PASSWORD}@" not in document and "alice:not-a-secret" not in document, typed


# sql/report: without one of the columns that a view masks, a report shows it.
def test_no_report_shows_it(cache):
    reports = [row["report"] for row in json.loads(cache.admin("report", "--json").stdout)]
    database, said = Database(cache), ""
    for name in reports:
        view = name.replace("-", "_")
        for form in ("csv", "json", "table"):
            said += cache.admin("report", name, "--format", form).stdout
        said += page(cache, f"/-/page/report/{view}", cache.tls())
        said += str(database.run(f"SELECT * FROM report.{view}", role="shacache_report"))
    assert "https://example.org/key" in said and "https://example.org/o" in said
    assert PASSWORD not in said
    with pytest.raises(Exception, match="permission denied"):
        database.run("SELECT key FROM shacache.key_count", role="shacache_report")


# JSONLogHandler.log, of every value: `withoutCredentials`. The keys of what is stored, refused and withdrawn, and reasons.
def test_no_line_of_a_worker_has_it(cache):
    key = quote(URL + "withdrawn", safe="")
    entry(cache, URL + "withdrawn")
    reason = quote(f"its {URL}reason is secret", safe="")
    assert cache.request("DELETE", f"/shadir/{key}?reason={reason}", context=cache.tls())[0] == 204
    (log,) = (cache.state / "log").glob("worker-*.log")
    eventually(lambda: '"event": "withdrawn"' in log.read_text())
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    told = {(line["event"], line["key"]) for line in lines if "key" in line}
    assert {("stored", "https://example.org/key"), ("refused", "https://example.org/"),
            ("withdrawn", "https://example.org/withdrawn")} <= told
    assert [line["because"] for line in lines if line["event"] == "withdrawn"] == ["its https://example.org/reason is secret"]
    assert PASSWORD not in log.read_text()


# CommonOptions.show: `withoutCredentials`. What a command takes to name an entry, a number or the whole key, still does.
def test_no_list_of_the_administration_shows_it(cache):
    for form in ([], ["--json"]):
        said = cache.admin("entry", "list", cache.key, *form).stdout
        assert "https://example.org/software.cfg" in said and str(cache.number) in said and PASSWORD not in said
        assert str(cache.secret_number) in cache.admin("entry", "list", cache.secret_key, *form).stdout
        said = cache.admin("withdrawal", "list", *form).stdout
        assert "its https://example.org/ is secret" in said and PASSWORD not in said
    done = cache.admin("signer", "add", "x", URL, check=False)
    assert (done.returncode, done.stderr) == (1, "shacache-admin: https://example.org/: no such file or directory\n")


def test_a_report_lists_these_entries_and_whose_they_are(cache):
    rows = json.loads(cache.admin("report", "entries-with-credentials", "--json").stdout)
    numbers = [row["entry_id"] for row in rows]
    assert {cache.number, cache.secret_number, *cache.escaped} <= set(numbers) and numbers == sorted(numbers, reverse=True)
    row = rows[numbers.index(cache.number)]
    assert row["account"] == "demo" and row["key"] == cache.key and "https://example.org/a.tar.gz" in row["urls"]
    assert rows[numbers.index(cache.secret_number)]["urls"] == ["https://example.org/key"]
    assert "https://example.org/a.tar.gz" in page(cache, "/-/page/report/entries_with_credentials", cache.tls())


# Service+Uploads.swift: `checkCredentials`.
def test_where_the_operator_says_so_they_are_refused_with_a_line_that_says_what_to_mend(start):
    stack = start(WORKERS="1")
    stack.configure("[uploads]\nrefuse-credentials = true\n")
    digest = stack.upload(b"blob")

    def tried(key, **members):
        body = json.dumps([json.dumps({"sha512": digest, **members}), ""]).encode()
        status, _, line = stack.request("PUT", "/shadir/" + quote(key, safe=""), body, context=stack.tls())
        return status, line.decode().strip()

    words = "has a URL with a user or password, which would be public: leave out what stands before the @"
    assert tried("k", url=URL) == (403, f"the metadata {words}")
    assert tried("k", deep=[{URL: 1}]) == (403, f"the metadata {words}")
    assert tried(URL, url="https://example.org/") == (403, f"the key {words}")
    assert tried("k", url="https://example.org/@a", mail="a@b")[0] == 201
    refused = json.loads(stack.admin("report", "refusals", "--json").stdout)
    assert [row["reason"] for row in refused] == ["credentials"]
