"""The page, as nginx and its own process answer it. How it looks and acts in a browser: test_page_browser.py."""

import hashlib
import html
import json
import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from urllib.parse import quote

import processes
import pytest
from certificates import Authority, fingerprint, self_signed
from stack import REPOSITORY, Database, Stack, eventually
from test_database_away import hanging_database, stopped_database
from wire import Wire

HOSTILE = '<script>alert(1)</script>"\u0301 onmouseover=alert(2) \'\u202e%_\\'


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One whose account `demo` is an operator, beside `other`, who is none."""
    directory = tmp_path_factory.mktemp("page")
    with Stack(directory, ANONYMOUS="1") as stack:
        stack.admin("account", "set", "demo", "--role", "blobs", "--role", "entries", "--role", "operator")
        stack.admin("account", "add", "other")
        stack.admin("certificate", "issue", "other", "--out", directory / "other")
        stack.other = stack.tls(directory / "other/other.crt", directory / "other/other.key")
        yield stack


def get(stack, target, context=None, method="GET", host=None):
    """Waits while nginx says that it is too much at once."""
    while True:
        answer = stack.request(method, target, headers={"Host": host} if host else None, context=context)
        if answer[0] != 429:
            return answer
        time.sleep(0.5)


def page(stack, target, context=None, status=200):
    answer = get(stack, target, context)
    assert answer[0] == status, (target, answer)
    return answer[2].decode()


def entry(stack, key, metadata=None, data=None):
    """Puts an entry there, and returns its number."""
    digest = stack.upload(data if data is not None else key.encode())
    stack.index(quote(key, safe=""), json.dumps({"sha512": digest, **(metadata or {})}, ensure_ascii=False))
    (row,) = Database(stack).run(f"SELECT max(id) FROM shacache.entry WHERE sha512 = '\\x{digest}'")
    return int(row[0])


def text_of(document):
    return html.unescape(re.sub("<[^>]*>", "", document))


class Elements(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = set()

    def handle_starttag(self, tag, attributes):
        self.found |= {tag, *(f"@{name}" for name, _ in attributes)}


def elements(document):
    """The names of all elements, and of all attributes with an @."""
    parser = Elements()
    parser.feed(document)
    return parser.found


# All that templates write. What isn't among them was made of somebody's text.
ELEMENTS = set(
    "html head meta title link body a header div svg path span nav ul li main section p h1 h2 h3 form label input button "
    "code bdi dl dt dd time pre table caption thead tbody tr th td details summary footer strong q "
    "@lang @charset @name @content @rel @href @type @class @id @tabindex @viewbox @aria-hidden @focusable @d @aria-label "
    "@role @action @method @for @value @maxlength @autocomplete @autocapitalize @spellcheck @aria-describedby @datetime "
    "@download @scope @dir @open".split())


# nginx/http.conf: $shacache_page.

@pytest.mark.parametrize("target", ["/", "/?q=x", "/?"])
@pytest.mark.parametrize("host", ["localhost", "cache.example.org", "shacache.example.org"])
def test_the_root_is_a_page(cache, target, host):
    status, headers, body = get(cache, target, host=host)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert body.startswith(b"<!DOCTYPE html>\n<html lang=\"en\">")
    head = get(cache, target, method="HEAD", host=host)
    assert (head[0], head[2]) == (200, b"") and int(head[1]["Content-Length"]) == len(body)


def test_on_the_host_of_keys_there_are_only_keys(cache):
    assert get(cache, "/", host="shadir.example.org")[0] == 400
    assert get(cache, "/-/page/reports", host="shadir.example.org")[0] == 404
    cache.index("-/page/reports", json.dumps({"sha512": "0" * 128}))
    status, headers, _ = get(cache, "/-/page/reports", host="shadir.example.org")
    assert (status, headers["Content-Type"]) == (200, "application/json")


def test_the_root_of_the_host_of_blobs_still_takes_uploads(cache):
    body = os.urandom(20)
    status, _, digest = cache.request("POST", "/", body, {"Host": "shacache.example.org"})
    assert (status, digest.decode()) == (201, hashlib.sha512(body).hexdigest())


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("target", ["/", "/-/page/reports", "/?q=x"])
def test_nothing_but_looking_reaches_the_page(cache, method, target):
    status, headers, body = cache.request(method, target, context=cache.tls())
    assert status in (404, 405) and b"<html" not in body


def test_a_body_that_comes_along_is_refused(cache):
    assert cache.request("GET", "/", b"x" * 10)[0] == 413


@pytest.mark.parametrize("target", [
    "/-/page", "/-/page/", "/-/page/nothing", "/-/page/entry/0", "/-/page/entry/-1", "/-/page/entry/99999999999",
    "/-/page/entry/1'--", f"/-/page/blob/{'f' * 128}", "/-/page/key", "/-/page/key?key=absent", "/-/page/key?key=",
    "/-/page/../page/entry", "/-/page/%2e%2e/", "/-/page/key?key=%00", "/-/page/key?key=%ff%zz"])
def test_what_is_not_there_is_a_page_that_says_so(cache, target):
    assert "<h1>Nothing is here</h1>" in page(cache, target, status=404)


def test_every_page_forbids_scripts_and_strangers(cache):
    for target, status in [("/", 200), ("/?q=x", 200), ("/-/page/absent", 404), ("/-/page/reports", 403)]:
        _, headers, body = get(cache, target)
        policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
        assert policy == {
            "default-src": "'none'", "style-src": "'self'", "img-src": "'self'", "form-action": "'self'",
            "frame-ancestors": "'none'", "base-uri": "'none'"}
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
        # Nothing of others', and nothing that the policy would refuse.
        assert not re.search(rb'<script|style="|<style| on\w+="|src="', body)
        assert set(re.findall(rb'<link [^>]*href="([^"?]*)', body)) == {b"/-/page/style.css", b"/-/page/icon.svg"}


@pytest.mark.parametrize("file, kind", [("style.css", "text/css"), ("icon.svg", "image/svg+xml")])
def test_what_browsers_keep_for_ever_has_a_name_that_changes_with_it(cache, file, kind):
    (name,) = re.findall(rf'href="(/-/page/{re.escape(file)}\?v=[0-9a-f]{{16}})"', page(cache, "/"))
    status, headers, body = get(cache, name)
    assert (status, headers["Content-Type"]) == (200, f"{kind}; charset=utf-8")
    assert "immutable" in headers["Cache-Control"] and name.endswith(hashlib.sha256(body).hexdigest()[:16])
    assert file != "style.css" or body == (REPOSITORY / "page/style.css").read_bytes()


def test_another_version_than_the_current_one_is_not_kept_for_ever(cache):
    for file in "style.css", "icon.svg":
        for query in "", "?v=", "?v=0123456789abcdef", "?w=x":
            assert get(cache, f"/-/page/{file}{query}")[1]["Cache-Control"] == "public, max-age=60"


def test_search_engines_are_asked_to_know_the_first_page_alone(cache):
    assert "X-Robots-Tag" not in get(cache, "/")[1]
    for target in "/-/page/nothing", "/-/page/reports", "/?q=x", "/-/page/style.css":
        assert get(cache, target)[1]["X-Robots-Tag"] == "noindex, nofollow", target


def test_what_anybody_sees_may_be_kept_for_a_minute_and_what_a_certificate_shows_may_not(cache):
    assert get(cache, "/")[1]["Cache-Control"] == "public, max-age=60"
    assert get(cache, "/", cache.tls(certificate=False))[1]["Cache-Control"] == "public, max-age=60"
    for context in cache.tls(), cache.other:
        assert get(cache, "/", context)[1]["Cache-Control"] == "private, no-store"
    assert get(cache, "/-/page/reports")[1]["Cache-Control"] == "no-store"


def test_the_first_page_says_how_to_use_this_server(cache):
    document = text_of(page(cache, "/"))
    assert f"download-cache-url = http://localhost:{cache.settings['HTTP_PORT']}/shacache" in document
    assert f"upload-dir-url = https://localhost:{cache.settings['HTTPS_PORT']}/shadir" in document


def test_where_the_operator_says_nothing_it_is_called_as_the_visitor_calls_it(start):
    stack = start(WORKERS="1")
    file = stack.state / "shacache.toml"
    file.write_text(re.sub(r"(download|upload)-url = .*\n", "", file.read_text()))
    processes.send(stack, "page")
    eventually(lambda: stack.request("GET", "/")[0] == 200)
    document = text_of(get(stack, "/", host="cache.test:8080")[2].decode())
    assert "http://cache.test:8080/shacache" in document and "https://cache.test/shacache" in document
    # Over HTTPS, the deployed clients fail without a certificate.
    document = text_of(get(stack, "/", stack.tls(), host="cache.test:8443")[2].decode())
    assert set(re.findall(r"download-.*url = (.*)", document)) == {
        "http://cache.test/shacache", "http://cache.test/shadir"}
    assert "curl -O http://cache.test/shacache/HASH" in document
    assert "upload-cache-url = https://cache.test:8443/shacache" in document
    status, _, body = get(stack, "/", host='x"><script>')
    assert status == 400 or b"<script" not in body and b"cache.example.org" in body


# Markup (Sources/Pages/Markup.swift), which Mustache's own escaping is not: a quote that bears an accent.

@pytest.mark.parametrize("key", [HOSTILE, "a/../b", "a//b c", "x" * 1024, "é\u0301中文", "'; DROP TABLE shacache.entry; --"])
def test_a_key_is_shown_and_found_whatever_it_is(cache, key):
    number = entry(cache, key, {HOSTILE: HOSTILE, "file": "</pre></bdi><img src=x onerror=alert(3)>"})
    for target in (
        f"/-/page/entry/{number}", f"/-/page/key?key={quote(key, safe='')}", f"/?q={quote(key, safe='')}",
        f"/-/page/blob/{hashlib.sha512(key.encode()).hexdigest()}"):
        document = page(cache, target)
        assert elements(document) <= ELEMENTS
        # The box that it was typed into has it as it is.
        assert "\u202e" not in re.sub('value="[^"]*"', "", document)
        assert key.replace("\u202e", "[U+202E]") in text_of(document)
    # Its links lead back to it.
    document = page(cache, f"/-/page/entry/{number}")
    (link,) = set(re.findall(r'href="(/-/page/key\?key=[^"]*)"', document))
    assert f'href="/-/page/entry/{number}"' in page(cache, html.unescape(link))
    (link,) = set(re.findall(r'href="(/shadir/[^"]*)"', document))
    assert cache.request("GET", html.unescape(link))[0] == 200


def test_from_every_page_one_can_look_further(cache):
    number = entry(cache, "look-further")
    digest = hashlib.sha512(b"look-further").hexdigest()
    for target in "/", f"/-/page/entry/{number}", "/-/page/key?key=look-further", f"/-/page/blob/{digest}":
        assert page(cache, target).count('<form class="search" role="search" action="/" method="get">') == 1, target


def test_a_search_finds_what_clients_would_ask_for(cache):
    url = "https://example.org/found/a-1.0.tar.gz"
    md5 = hashlib.md5(url.encode()).hexdigest()
    for key in f"file-urlmd5:{md5}", md5, "pypi:found-name=1.0", "pypi:found-name=2.0":
        entry(cache, key)
    document = page(cache, f"/?q={quote(url, safe='')}")
    assert "the source archive at this URL" in document and "the software release at this URL" in document
    for typed in "found-name==1.0", "Found_Name=1.0", "pypi:found-name=1.0", " found-name==1.0 ":
        document = page(cache, f"/?q={quote(typed, safe='')}")
        assert "/-/page/key?key=pypi:found-name%3D1.0" in document and "%3D2.0" not in document, typed
    both = page(cache, "/?q=found-name")
    assert "found-name%3D1.0" in both and "found-name%3D2.0" in both


def test_a_hash_finds_its_blob_by_eight_digits_on(cache):
    digest = cache.upload(b"found by its hash")
    for typed in digest, digest[:8], digest[:9], digest.upper()[:20]:
        assert f'href="/-/page/blob/{digest}"' in page(cache, f"/?q={typed}"), typed
    assert digest not in page(cache, f"/?q={digest[:7]}")
    document = page(cache, f"/-/page/blob/{digest}")
    assert f'href="/shacache/{digest}" download' in document


def test_a_key_is_found_once(cache):
    entry(cache, "pypi:once-name=1.0")
    document = page(cache, "/?q=pypi:once-name")
    assert document.count("<bdi>pypi:once-name=1.0</bdi>") == 1


def test_what_is_left_out_is_told_and_nothing_else(cache):
    for number in range(21):
        entry(cache, f"cut-short:{number}", data=b"one for all")
    assert "The first 20 of more are shown" in page(cache, "/?q=cut-short")
    assert page(cache, "/?q=cut-short").count("<bdi>cut-short:") == 20
    assert "are shown" not in page(cache, "/?q=cut-short:1")
    Database(cache).run("""
        INSERT INTO shacache.blob (sha512, size, account_id)
        SELECT decode('feedbee5' || lpad(to_hex(n), 120, '0'), 'hex'), 1, account.id
        FROM generate_series(1, 21) AS n, shacache.account WHERE name = 'demo'""")
    document = page(cache, "/?q=feedbee5")
    assert document.count('href="/-/page/blob/feedbee5') == 20 and "The first 20 of more are shown" in document


def test_this_servers_urls_and_what_nobody_uploaded_are_found(cache):
    digest = cache.upload(b"found by its URL")
    entry(cache, "a key+more:1")
    for typed in f"http://localhost/shacache/{digest}", f"/shacache/{digest}", f"https://shacache.example.org/{digest}":
        assert f'href="/-/page/blob/{digest}"' in page(cache, f"/?q={quote(typed, safe='')}"), typed
    for typed in "http://localhost/shadir/a%20key+more:1", "https://shadir.example.org/a%20key+more:1":
        assert "<bdi>a key+more:1</bdi>" in page(cache, f"/?q={quote(typed, safe='')}"), typed
    absent = hashlib.sha512(b"nobody has this").hexdigest()
    assert "Nothing found" in page(cache, f"/?q={absent}")
    cache.index("names-what-is-not-there", json.dumps({"sha512": absent}))
    document = page(cache, f"/?q={absent}")
    assert f'href="/-/page/blob/{absent}"' in document and "Not here, but entries name it" in document


def test_who_looks_for_nothing_sees_the_first_page(cache):
    for typed in "+", "%20%09", "":
        assert "How to use it" in page(cache, f"/?q={typed}")


@pytest.mark.parametrize("typed", ["%25", "_", "%5C", "%25%25%25", ".*", "%5B", "%00", "%FF", "%F0%9F", "%zz", "'--", "%E2%80%AE"])
def test_a_search_means_what_was_typed_and_nothing_else(cache, typed):
    # LIKE or a pattern in place of keys(beginningWith:) would find this one.
    entry(cache, "zebra")
    document = page(cache, f"/?q={typed}")
    assert "zebra" not in document and "Nothing found" in document


def test_what_was_not_found_is_named_with_what_was_tried(cache):
    document = text_of(page(cache, "/?q=no-such==1"))
    assert "Nothing found" in document and "pypi:no-such=1" in document and "no-such==1" in document


def test_a_very_long_search_is_refused(cache):
    assert "too long" in page(cache, f"/?q={'a' * 2049}", status=400)
    page(cache, f"/?q={'a' * 2048}")


# sql/0004_store.sql: the index entry_by_sha512; Browsing.entries(naming:).
@pytest.mark.quiet
def test_what_very_many_entries_name_is_shown_at_once(start):
    stack = start(WORKERS="1")
    digest = stack.upload(b"named by very many")
    Database(stack).run(f"""
        INSERT INTO shacache.entry (key, metadata, signature, digest, sha512, account_id, signature_result)
        SELECT prefix || n, '{{}}', '', sha256((prefix || n)::bytea),
            CASE prefix WHEN 'many:' THEN '\\x{digest}' ELSE sha512(n::text::bytea) END, account.id, 'unsigned'
        FROM generate_series(1, 150000) AS n, shacache.account, (VALUES ('other:'), ('many:')) AS kind (prefix)
        WHERE name = 'demo' ORDER BY prefix = 'many:'""")
    Database(stack).run("ANALYZE shacache.entry")
    seconds = []
    # Some of them, since the server plans anew what is asked the sixth time.
    for _ in range(8):
        begin = time.monotonic()
        document = page(stack, f"/-/page/blob/{digest}")
        seconds.append(time.monotonic() - begin)
    assert document.count("<bdi>many:") == 20 and "The oldest 20 of more" in document
    assert "many:" in page(stack, "/-/page/entry/300000")
    assert sorted(seconds)[3] < 0.15, seconds


# Pages.entries(naming:): what can't be found in time fails alone.
def test_a_page_without_the_list_of_others_is_better_than_none(start):
    stack = start(WORKERS="1")
    number = entry(stack, "lonely")
    digest = hashlib.sha512(b"lonely").hexdigest()
    database = Database(stack)
    definition = database.run("SELECT pg_get_viewdef('page.entry')")[0][0].rstrip(";")
    # Slow for who asks for a range of hashes, as that list does.
    database.run(f"""
        CREATE FUNCTION page.slow(hash bytea) RETURNS bytea LANGUAGE plpgsql STABLE COST 0.001 AS $$
        BEGIN
            PERFORM pg_sleep(4) WHERE current_query() LIKE '%BETWEEN%';
            RETURN hash;
        END $$;
        CREATE OR REPLACE VIEW page.entry AS {definition.replace("entry.sha512", "page.slow(entry.sha512) AS sha512")}""")
    for target in f"/-/page/entry/{number}", f"/-/page/blob/{digest}":
        document = page(stack, target)
        assert "can’t be listed" in document and digest in document and "Came in" in document
    eventually(lambda: (stack.state / "log/page.log").read_text().count("statement timeout") == 2)


def test_long_metadata_is_cut_and_says_so(cache):
    number = entry(cache, "long", {"text": "a<" * 150_000})
    document = page(cache, f"/-/page/entry/{number}")
    assert len(document) < 400_000 and "Its first" in document and "a&lt;a&lt;" in document


def test_of_very_many_members_the_first_are_shown_and_it_says_so(cache):
    number = entry(cache, "members", {f"m{n}": "" for n in range(150)})
    document = page(cache, f"/-/page/entry/{number}")
    assert "the first 100 of 151" in document and "<bdi>m98</bdi>" in document and "<bdi>m99</bdi>" not in document


def test_a_key_with_many_entries_has_several_pages(cache):
    digest = cache.upload(b"many")
    for number in range(101):
        cache.index("many", json.dumps({"sha512": digest, "number": number}))
    counts = [page(cache, f"/-/page/key?key=many&page={number}").count("<h3>") for number in (1, 2, 3, 4)]
    assert counts == [50, 50, 1, 0]
    assert "Page 2 of 3" in page(cache, "/-/page/key?key=many&page=2")
    for odd in "0", "-1", "x", "9" * 30:
        page(cache, f"/-/page/key?key=many&page={odd}")


def test_who_uploaded_is_told_to_operators_alone_unless_the_site_says_otherwise(cache):
    number = entry(cache, "whose")
    assert "Uploaded by" not in page(cache, f"/-/page/entry/{number}")
    assert "Uploaded by" not in page(cache, f"/-/page/entry/{number}", cache.other)
    assert "Uploaded by" in page(cache, f"/-/page/entry/{number}", cache.tls())


def test_what_was_withdrawn_is_shown_to_operators_alone_with_the_reason(cache):
    number = entry(cache, "withdrawn", data=b"withdrawn")
    cache.admin("entry", "withdraw", str(number), "--reason", "built <wrongly>")
    for target in f"/-/page/entry/{number}", "/-/page/key?key=withdrawn":
        for context in None, cache.other:
            assert "wrongly" not in page(cache, target, context, status=404)
        assert "hidden" in page(cache, target, cache.tls())
    assert "built &lt;wrongly&gt;" in page(cache, f"/-/page/entry/{number}", cache.tls())
    assert "Nothing found" in page(cache, "/?q=withdrawn")
    assert f"/-/page/entry/{number}" not in page(cache, f"/-/page/blob/{hashlib.sha512(b'withdrawn').hexdigest()}")


# Fails when a hidden blob is taken for one that never came.
def test_where_only_the_blob_was_withdrawn_its_entries_say_so(cache):
    number = entry(cache, "its-blob-withdrawn", data=b"its blob withdrawn")
    digest = hashlib.sha512(b"its blob withdrawn").hexdigest()
    cache.admin("blob", "withdraw", digest, "--reason", "built <wrongly>")
    document = page(cache, f"/-/page/blob/{digest}")
    assert "It was withdrawn, but entries name it." in document and "wrongly" not in document
    assert f'href="/shacache/{digest}"' not in document
    document = page(cache, f"/-/page/entry/{number}")
    assert "The blob that it names was withdrawn." in document and "wrongly" not in document
    assert "built &lt;wrongly&gt;" in page(cache, f"/-/page/blob/{digest}", cache.tls())
    assert digest not in page(cache, f"/?q={digest[:20]}").replace(f'value="{digest[:20]}"', "")
    other = "e" * 128
    cache.index("nobodys-blob", json.dumps({"sha512": other}))
    assert "Nobody has uploaded it, but entries name it." in page(cache, f"/-/page/blob/{other}")


# Visitor.swift.

def test_reports_are_for_operators(cache):
    for context, words in [
        (None, "over plain HTTP"), (cache.tls(certificate=False), "For operators"),
        (cache.other, "the account other doesn’t have the role operator")]:
        document = html.unescape(page(cache, "/-/page/reports", context, status=403))
        assert words in document.replace("'", "’")
        assert f"https://localhost:{cache.settings['HTTPS_PORT']}/-/page/reports" in document
        page(cache, "/-/page/report/upload", context, status=403)
        page(cache, "/-/page/report/absent", context, status=403)
    names = re.findall('href="/-/page/report/([a-z_]+)"', page(cache, "/-/page/reports", cache.tls()))
    assert {"uploads", "refusals", "expiring_certificates", "entries_to_look_into", "growth"} <= set(names)
    for name in names:
        status, headers, body = get(cache, f"/-/page/report/{name}", cache.tls())
        assert (status, headers["Cache-Control"]) == (200, "private, no-store"), name
        assert b"<h1>" in body
    assert get(cache, "/-/page/report/pg_class", cache.tls())[0] == 404
    assert get(cache, "/-/page/report/uploads%22", cache.tls())[0] == 404


def test_a_report_counts_the_days_and_the_account_that_it_is_asked_for(cache):
    cache.upload(b"counted")
    everything = page(cache, "/-/page/report/uploads", cache.tls())
    assert "<td" in everything
    assert "nothing to report" in page(cache, "/-/page/report/uploads?since=2001-01-01&until=2001-01-02", cache.tls())


def charts(document):
    """The figures of each, by its title: what stands at which day."""
    return {
        html.unescape(re.search("<figcaption>(.*?)</figcaption>", figure)[1]):
            dict(re.findall(r'<th scope="row">(.*?)</th><td class="number">(.*?)</td>', figure))
        for figure in re.findall('<figure class="chart">.*?</figure>', document, re.DOTALL)}


# Fails when the chart is made of the table's rows, or blobs and keys are added up.
def test_a_report_draws_all_days_however_few_rows_it_shows(cache):
    Database(cache).run("""
        INSERT INTO shacache.download_day (day, kind, whole, partial, probes, not_found, bytes)
        VALUES ('2019-01-01', 'blob', 5, 0, 0, 0, 9), ('2019-01-04', 'blob', 7, 0, 0, 0, 9),
            ('2019-01-02', 'key', 3, 0, 0, 0, 9);
        INSERT INTO shacache.download_day
        SELECT day, kind, 2, 0, 0, 0, 9
        FROM generate_series('2017-01-01'::date, '2018-12-31', '1 day') AS day, (VALUES ('blob'), ('key')) AS kind (kind)
        """)
    few = page(cache, "/-/page/report/downloads?since=2019-01-01&until=2019-12-31", cache.tls())
    assert charts(few) == {
        "Requests by day, blobs": {"2019-01-01": "5", "2019-01-02": "0", "2019-01-03": "0", "2019-01-04": "7"},
        "Requests by day, keys": {"2019-01-01": "0", "2019-01-02": "3", "2019-01-03": "0", "2019-01-04": "0"}}
    assert "--format csv" not in few
    many = page(cache, "/-/page/report/downloads?since=2017-12-31&until=2018-12-31", cache.tls())
    assert len(re.findall("<tr><td", many)) == 200
    assert "the first 200" in text_of(many).replace("\u202f", "").replace("\u00a0", " ")
    assert "shacache-admin report downloads --since 2017-12-31 --until 2018-12-31 --format csv" in text_of(many)
    for figures in charts(many).values():
        assert len(figures) == 366 and set(figures.values()) == {"2"}
    # A year, and no more.
    assert min(charts(page(cache, "/-/page/report/downloads?until=2018-12-31", cache.tls()))["Requests by day, keys"]) \
        == "2017-12-31"


# A total stays on days on which nothing came.
def test_a_total_is_drawn_on_days_without_rows_too(start):
    stack = start(WORKERS="1")
    Database(stack).run("""
        INSERT INTO shacache.upload (
            at, account_id, certificate, client_address, target, sha512, bytes, duplicate, outcome, status, duration,
            request_id)
        SELECT at, account.id, sha256(''), '192.0.2.1', 'blob', sha512(''), 1024, false, 'accepted', 201, '1 ms', ''
        FROM (VALUES ('2026-01-01 10:00+00'::timestamptz), ('2026-01-04 10:00+00')) AS new (at), shacache.account
        WHERE name = 'demo'""")
    stack.admin("account", "set", "demo", "--role", "operator")
    document = page(stack, "/-/page/report/growth?until=2026-01-31", stack.tls())
    assert charts(document) == {"Total bytes by day": {
        "2026-01-01": "1.0\u00a0KiB", "2026-01-02": "1.0\u00a0KiB", "2026-01-03": "1.0\u00a0KiB", "2026-01-04": "2.0\u00a0KiB"}}


# Fails when these reach the database, which would refuse them: the answer would be 500.
def test_a_report_that_is_asked_for_what_there_is_not_says_so(cache):
    for odd in "since=x", "since=2001-13-45", "since=2001-02-30", "since=%27", "until=infinity", "since=0000-01-01":
        assert "no such day" in page(cache, f"/-/page/report/uploads?{odd}", cache.tls(), status=400), odd
    page(cache, "/-/page/report/uploads?since=0001-01-01&until=9999-12-31", cache.tls())
    for odd in "nobody", "Demo", "demo%20", "%00", "'--", "a" * 2000:
        assert "no such account" in page(cache, f"/-/page/report/uploads?account={odd}", cache.tls(), status=404), odd
    page(cache, "/-/page/report/uploads?account=demo", cache.tls())


# uploads.conf: @bad_certificate. Else nginx would answer 400 to every page.
@pytest.mark.parametrize("make", [
    lambda cache, directory: Authority(
        directory, cache.state / "ca/ca.crt", cache.state / "ca/ca.key").issue("late", valid_days=(-2, -1)),
    lambda cache, directory: Authority.create(directory, "Another CA").issue("foreign"),
    lambda cache, directory: self_signed(directory, "alone")],
    ids=["expired", "foreign", "self-signed"])
def test_a_certificate_that_does_not_verify_keeps_nobody_from_what_anybody_sees(cache, tmp_path, make):
    certificate, key = make(cache, tmp_path)
    # Of an operator, so that nothing else keeps it from the reports.
    cache.admin("certificate", "register", "demo", certificate)
    context = cache.tls(certificate, key)
    number = entry(cache, "seen-by-anybody")
    assert "How to use it" in page(cache, "/", context)
    assert "Uploaded by" not in page(cache, f"/-/page/entry/{number}", context)
    assert get(cache, "/-/page/style.css", context)[0] == 200
    assert get(cache, "/", context)[1]["Cache-Control"] == "private, no-store"
    for target in "/-/page/reports", "/-/page/report/upload":
        assert "the certificate was refused (FAILED:" in page(cache, target, context, status=403)
    status, _, line = cache.request("GET", "/shadir/absent", context=context)
    assert (status, b"the client certificate was refused (FAILED:" in line) == (400, True)


def test_an_operator_who_is_disabled_or_loses_the_role_is_out_at_once(cache, tmp_path):
    cache.admin("account", "add", "passing")
    cache.admin("account", "set", "passing", "--role", "operator")
    cache.admin("certificate", "issue", "passing", "--out", tmp_path / "passing")
    certificate = tmp_path / "passing/passing.crt"
    context = cache.tls(certificate, tmp_path / "passing/passing.key")
    page(cache, "/-/page/reports", context)
    cache.admin("account", "disable", "passing")
    assert "is disabled" in page(cache, "/-/page/reports", context, status=403)
    cache.admin("account", "enable", "passing")
    page(cache, "/-/page/reports", context)
    cache.admin("certificate", "revoke", fingerprint(certificate))
    assert "was revoked" in page(cache, "/-/page/reports", context, status=403)


# page.conf, shacache_page (sql/roles.sql), Configuration.pageDatabase.

def test_without_its_process_the_cache_goes_on_and_the_page_comes_back(start):
    stack = start(WORKERS="1")
    digest = stack.upload(b"still served")
    os.kill(stack.pid("page"), signal.SIGSTOP)
    assert stack.request("GET", f"/shacache/{digest}")[2] == b"still served"
    os.kill(stack.pid("page"), signal.SIGCONT)
    processes.send(stack, "page")
    eventually(lambda: stack.request("GET", "/")[0] == 200)
    os.unlink(stack.state / "run/page.sock")
    with Wire(stack) as wire:
        answer = wire.request("GET", "/")
        assert (answer.status, answer.headers["retry-after"]) == (503, "10")
        assert "uploads and downloads don't need it" in answer.line
        assert wire.request("GET", f"/shacache/{digest}").body == b"still served"
    assert stack.upload(b"more") == hashlib.sha512(b"more").hexdigest()


def test_without_the_database_it_says_so_and_comes_back(start):
    stack = start(WORKERS="1")
    with stopped_database(stack):
        status, headers, body = get(stack, "/?q=x")
        assert (status, headers["Retry-After"]) == (503, "10") and b"The database is away" in body
        assert "How to use it" in page(stack, "/")
        assert get(stack, "/-/page/style.css")[0] == 200
    eventually(lambda: get(stack, "/?q=x")[0] == 200)
    with hanging_database(stack):
        for _ in range(3):
            assert get(stack, "/?q=x")[0] == 503
        assert get(stack, "/-/page/style.css")[0] == 200
    eventually(lambda: get(stack, "/?q=x")[0] == 200)


# Fails when a failure isn't kept: each of the last ones waits for the database until that gives up.
def test_the_first_page_needs_no_figures_and_asks_for_them_once_a_minute(start):
    stack = start(WORKERS="1")
    database = Database(stack)
    database.run("""
        CREATE OR REPLACE FUNCTION report.since() RETURNS date LANGUAGE sql STABLE PARALLEL SAFE
            RETURN (SELECT now()::date FROM pg_sleep(60))""")
    processes.send(stack, "page")
    eventually(lambda: stack.request("GET", "/")[0] == 200)
    for _ in range(30):
        document = page(stack, "/")
        assert "How to use it" in document and "The figures can’t be had" in document
    log = (stack.state / "log/page.log").read_text()
    assert log.count("statement timeout") == 1


# ShacachePage.serve: DatabaseBulkhead's stallTimeout, which for the page is longer than a statement may take.
def test_slow_statements_keep_nobody_from_what_is_fast(start):
    stack = start(WORKERS="1")
    number = entry(stack, "fast")
    stack.admin("account", "set", "demo", "--role", "operator")
    Database(stack).run("""
        CREATE OR REPLACE FUNCTION report.since() RETURNS date LANGUAGE sql STABLE PARALLEL SAFE
            RETURN (SELECT now()::date FROM pg_sleep(60))""")
    with ThreadPoolExecutor() as pool:
        slow = [pool.submit(get, stack, "/-/page/report/uploads", stack.tls()) for _ in range(3)]
        # Longer than a server that hangs would be given.
        time.sleep(1.5)
        page(stack, f"/-/page/entry/{number}")
        assert {answer.result()[0] for answer in slow} == {503}
        assert all(b"This took too long" in answer.result()[2] for answer in slow)


def test_what_takes_too_long_is_given_up(start):
    stack = start(WORKERS="1")
    database = Database(stack)
    assert database.run("SHOW statement_timeout", role="shacache_page") == [("5s",)]
    database.run("""
        CREATE OR REPLACE FUNCTION report.since() RETURNS date LANGUAGE sql STABLE PARALLEL SAFE
            RETURN (SELECT now()::date FROM pg_sleep(60))""")
    stack.admin("account", "set", "demo", "--role", "operator")
    assert "This took too long" in page(stack, "/-/page/report/uploads", stack.tls(), status=503)
    page(stack, "/?q=x")


# http.conf: $shacache_page_visitor. This machine is among those without limits.
def test_who_asks_too_much_at_once_waits_and_downloads_do_not(start):
    stack = start(WORKERS="1")
    with Wire(stack) as wire:
        assert {wire.request("GET", "/-/page/style.css").status for _ in range(200)} == {200}
    site = stack.state / "nginx/site.conf"
    site.write_text(re.sub(r"(geo \$shacache_unlimited \{)[^}]*", r'\1 default ""; ', site.read_text()))
    stack.reload_nginx()
    digest = stack.upload(b"not limited")
    with Wire(stack) as wire:
        statuses = [wire.request("GET", "/-/page/style.css").status for _ in range(30)]
        assert set(statuses) == {200}
        while (answer := wire.request("GET", "/-/page/style.css")).status == 200:
            statuses.append(200)
            assert len(statuses) < 2000
        assert answer.status == 429 and answer.headers["retry-after"] == "5" and "too many" in answer.line
        for _ in range(100):
            assert wire.request("GET", f"/shacache/{digest}").body == b"not limited"


def test_its_role_reads_and_no_more(cache):
    database = Database(cache)
    assert database.run("SHOW max_parallel_workers_per_gather", role="shacache_page") == [("0",)]
    assert database.run("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'shacache_page'") == [("20",)]
    for statement in (
        "INSERT INTO shacache.account (name) VALUES ('x')", "UPDATE shacache.account SET roles = '{operator}'",
        "SELECT * FROM shacache.audit", "SELECT * FROM shacache.upload", "DELETE FROM shacache.entry",
        "SET default_transaction_read_only = off; CREATE TABLE page.x ()"):
        with pytest.raises(Exception, match="permission denied|read-only"):
            database.run(statement, role="shacache_page")
