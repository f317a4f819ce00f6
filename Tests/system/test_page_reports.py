"""The operators' pages: what a stranger's text does there, what they draw, and who is kept out."""

import html
import re
from urllib.parse import quote

import pytest
from certificates import fingerprint, make_key, openssl
from stack import Database, Stack, eventually
from test_page import ELEMENTS, HOSTILE, charts, elements, entry, page, text_of

# Without what may stand in no line, which is not the page's to refuse.
LINE = HOSTILE.replace("\\", "/")
DRAWN = ELEMENTS | set("figure figcaption rect line text @aria-current @title @viewbox @x @y @x1 @x2 @y1 @y2 @width @height @rx @text-anchor".split())


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Where an operator meets what strangers wrote, in all places that they can write to."""
    directory = tmp_path_factory.mktemp("reports")
    with Stack(directory, WORKERS="1", ANONYMOUS="1") as stack:
        stack.admin("account", "set", "demo", "--role", "blobs", "--role", "entries", "--role", "operator")
        stack.admin("account", "add", "stranger", "--comment", LINE)
        make_key(directory / "key")
        request = directory / "request"
        openssl("req", "-x509", "-new", "-utf8", "-key", directory / "key", "-out", request, "-days", "5", "-subj",
                "/CN=" + LINE.replace("/", "\\/"), "-addext", "extendedKeyUsage=clientAuth")
        stack.admin("certificate", "register", "stranger", request)
        number = entry(stack, HOSTILE, {"os": [HOSTILE, "a,b", '"'], "multiarch": HOSTILE, "software_url": HOSTILE})
        entry(stack, HOSTILE, {"os": ["1", "2", "3"]}, data=b"another")
        entry(stack, HOSTILE, {"os": [HOSTILE, "a,b", '"'], "multiarch": HOSTILE}, data=b"one more")
        stack.admin("entry", "withdraw", str(number), "--reason", LINE)
        # Whose signer, names and requests are checked on their way in.
        Database(stack).run("""
            ALTER TABLE shacache.signer DROP CONSTRAINT signer_name_is_a_word;
            UPDATE shacache.signer SET name = '%s';""" % HOSTILE.replace("'", "''"))
        stack.request("PUT", "/shadir/" + quote(HOSTILE, safe=""), b"[]", context=stack.tls())
        yield stack


def names(stack):
    return re.findall('href="/-/page/report/([a-z_]+)"', page(stack, "/-/page/reports", stack.tls()))


# Markup.swift, Markup.swift, Markup.swift.
def test_a_strangers_text_is_text_on_every_report(cache):
    seen = set()
    for name in names(cache):
        document = page(cache, f"/-/page/report/{name}", cache.tls())
        assert elements(document) <= DRAWN, (name, elements(document) - DRAWN)
        assert "\u202e" not in document
        # A subject has backslashes in it.
        if "<script>alert(1)</script>" in text_of(document).replace("\\", ""):
            seen.add(name)
    # A comment, a subject, a key, a reason, a signer, what metadata says.
    assert seen >= {"accounts", "expiring_certificates", "keys", "withdrawals", "signers", "upload", "platforms"}


def test_what_people_read_is_no_language_of_the_schema(cache):
    document = page(cache, "/-/page/reports", cache.tls())
    assert "Obeys" not in document and "How much was uploaded on each day (in UTC)?</p>" in document
    document = page(cache, "/-/page/report/upload", cache.tls())
    assert "what came of it? Of the months that are kept.</p>" in document
    cells = [html.unescape(cell) for cell in re.findall("<bdi[^>]*>(.*?)</bdi>", document)]
    assert {"yes", "no"} & set(cells) and not {"t", "f"} & set(cells)
    assert not [cell for cell in cells if re.search(r"\.\d+\+00$", cell)]
    assert ">1, 2, 3<" in page(cache, "/-/page/report/platforms", cache.tls())
    accounts = page(cache, "/-/page/report/accounts", cache.tls())
    assert "blobs, entries, operator" in accounts
    # None, in a column of numbers: there and in the heading on the same side.
    assert re.search(r'<th scope="col" class="number">bytes limit</th>', accounts)
    assert re.search(r'<td class="number"><bdi>–</bdi>', accounts)
    assert re.search(r'<bdi title="[\d\u202f]+\u00a0bytes">[\d.]+\u00a0(B|KiB)</bdi>', accounts)


# Chart.figures: where a report's own rows have no days, and where they have a time.
def test_refusals_and_what_has_a_time_are_drawn_by_day(start):
    stack = start(WORKERS="1")
    stack.admin("account", "set", "demo", "--role", "operator")
    Database(stack).run("""
        INSERT INTO shacache.upload (
            at, account_id, certificate, client_address, target, outcome, status, reason, duration, request_id)
        SELECT new.at, account.id, sha256(''), '192.0.2.1', 'blob', outcome, status, 'made up', '1 ms', ''
        FROM (VALUES ('2026-01-01 23:59+00'::timestamptz, 'refused', 403), ('2026-01-03 00:00+00', 'refused', 403),
            ('2026-01-03 10:00+00', 'refused', 400), ('2026-01-02 10:00+00', 'failed', 500)) AS new (at, outcome, status),
            shacache.account WHERE name = 'demo';
        INSERT INTO shacache.withdrawal (at, actor, target, reason)
        SELECT at, 'somebody', 'entries', 'wrong'
        FROM (VALUES ('2026-01-01 23:59+00'::timestamptz), ('2026-01-03 00:00+00'), ('2026-01-03 10:00+00')) AS new (at)""")
    document = page(stack, "/-/page/report/refusals?since=2026-01-01&until=2026-01-31", stack.tls())
    assert charts(document) == {
        "Refused by day": {"2026-01-01": "1", "2026-01-02": "0", "2026-01-03": "2"},
        "Failed by day": {"2026-01-01": "0", "2026-01-02": "1", "2026-01-03": "0"}}
    document = page(stack, "/-/page/report/withdrawals?since=2026-01-01&until=2026-01-31", stack.tls())
    assert charts(document) == {"Withdrawals by day": {"2026-01-01": "1", "2026-01-02": "0", "2026-01-03": "2"}}
    assert 'aria-label="From 2026-01-01 to 2026-01-03: at most 2, on 2026-01-03; 2 at the end"' in document


# Pages.visitor asks the database at every request, not once for a connection.
def test_a_connection_outlives_a_revocation_and_what_it_may_see_does_not(cache, tmp_path):
    cache.admin("account", "add", "brief")
    cache.admin("account", "set", "brief", "--role", "operator")
    cache.admin("certificate", "issue", "brief", "--out", tmp_path / "brief")
    certificate = tmp_path / "brief/brief.crt"
    connection = cache.connect(cache.tls(certificate, tmp_path / "brief/brief.key"))

    def look():
        connection.request("GET", "/-/page/reports")
        response = connection.getresponse()
        return response.status, response.read().decode()

    assert look()[0] == 200
    socket = connection.sock
    cache.admin("certificate", "revoke", fingerprint(certificate))
    status, body = look()
    assert connection.sock is socket
    assert status == 403 and "was revoked" in body and "Obeys" not in body
    connection.close()


def test_an_operator_is_one_also_where_nothing_is(cache):
    for target, status in ("/-/page/nothing", 404), ("/-/page/entry/0", 404), ("/-/page/report/uploads?since=x", 400):
        assert ">Reports</a>" in page(cache, target, cache.tls(), status=status), target
        assert ">For operators</a>" in page(cache, target, status=403 if "report/" in target else status), target


def test_charts_that_take_too_long_fail_alone(start):
    stack = start(WORKERS="1")
    stack.admin("account", "set", "demo", "--role", "operator")
    database = Database(stack)
    database.run("""
        CREATE FUNCTION report.slow(day date) RETURNS date LANGUAGE plpgsql STABLE COST 0.001 AS $$
        BEGIN
            PERFORM pg_sleep(4) WHERE current_query() LIKE '%each(day)%';
            RETURN day;
        END $$;
        CREATE OR REPLACE VIEW report.uploads AS """ + re.sub(
            r"(?<=SELECT )(\S+)\.day|(?<=SELECT )day\b", r"report.slow(asked_upload_figures.day) AS day",
            database.run("SELECT pg_get_viewdef('report.uploads')")[0][0], count=1))
    document = page(stack, "/-/page/report/uploads", stack.tls())
    assert "<td" in document
    eventually(lambda: "statement timeout" in (stack.state / "log/page.log").read_text())
