"""The page in Debian's Chromium: what a person does and sees, and what a stranger's text can't do."""

import hashlib
import json
import os
from pathlib import Path
from urllib.parse import quote

import processes
import pytest
from axe_core_python.selenium import Axe
from browser import Browser
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from stack import Database, Stack, eventually

HOSTILE = '<script>alert(1)</script>"\u0301 onmouseover=alert(2) onfocus=alert(3) autofocus \'\u202e<svg onload=alert(4)>'
# The names that WCAG's levels A and AA have in axe; of its own advice, what it calls best.
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """With something of each kind, and the account demo an operator."""
    with Stack(tmp_path_factory.mktemp("browser"), WORKERS="1") as stack:
        stack.admin("account", "set", "demo", "--role", "blobs", "--role", "entries", "--role", "operator")
        for key in "pypi:numpy=2.0.1", "pypi:numpy=1.26.4", HOSTILE, "w" * 1024:
            digest = stack.upload(key.encode())
            stack.index(quote(key, safe=""), json.dumps({
                "sha512": digest, "file": "a.tar.gz", "long": "o" * 300, HOSTILE: [HOSTILE], "html": f"</pre></bdi>{HOSTILE}"}))
        stack.base = f"http://localhost:{stack.settings['HTTP_PORT']}"
        yield stack


@pytest.fixture(scope="module")
def browser(cache, tmp_path_factory):
    """An operator's, which shows the certificate over HTTPS."""
    browser = Browser(tmp_path_factory.mktemp("home"), cache, cache.env["CLIENT_CERT"], cache.env["CLIENT_KEY"])
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def operator(cache):
    """Where the same is seen with that certificate."""
    return f"https://localhost:{cache.settings['HTTPS_PORT']}"


def path_of(key):
    return f"/-/page/key?key={quote(key, safe='')}"


def open_page(browser, base, path):
    """Waits while nginx says that it is too much at once."""
    def opened():
        browser.get(base + path)
        return browser.find_elements(By.TAG_NAME, "main")
    eventually(opened)


def say(browser):
    return browser.find_element(By.TAG_NAME, "main").text


def nothing_ran(browser):
    assert browser.execute_script("return window.alerts") == []
    assert browser.execute_script("return window.violations") == []
    assert [line for line in browser.get_log("browser") if line["source"] != "network"] == []


def test_a_person_looks_something_up(browser, cache):
    open_page(browser, cache.base, "/")
    box = browser.find_element(By.NAME, "q")
    box.send_keys("numpy==2.0.1", Keys.ENTER)
    eventually(lambda: "Looking for" in browser.title)
    browser.find_element(By.LINK_TEXT, "pypi:numpy=2.0.1").click()
    eventually(lambda: browser.title.startswith("Key "))
    browser.find_element(By.PARTIAL_LINK_TEXT, "Entry ").click()
    eventually(lambda: browser.title.startswith("Entry "))
    assert "pypi:numpy=2.0.1" in say(browser) and "a.tar.gz" in say(browser) and "unsigned" in say(browser)
    link = browser.find_element(By.LINK_TEXT, "Download the blob").get_attribute("href")
    digest = hashlib.sha512(b"pypi:numpy=2.0.1").hexdigest()
    assert link == f"{cache.base}/shacache/{digest}"
    nothing_ran(browser)


# The policy of PageAnswer would stop it too, and then say so here.
@pytest.mark.parametrize("path", [path_of(HOSTILE), f"/?q={quote(HOSTILE, safe='')}", "ENTRY"])
def test_a_strangers_text_is_read_and_never_runs(browser, cache, path):
    if path == "ENTRY":
        open_page(browser, cache.base, path_of(HOSTILE))
        path = browser.find_element(By.PARTIAL_LINK_TEXT, "Entry ").get_attribute("href").removeprefix(cache.base)
    open_page(browser, cache.base, path)
    for summary in browser.find_elements(By.TAG_NAME, "summary"):
        summary.click()
    assert "<script>alert(1)</script>" in say(browser) and "[U+202E]" in say(browser)
    assert browser.find_elements(By.CSS_SELECTOR, "script, img, svg:not(.band), [onload], [onmouseover], [onfocus]") == []
    nothing_ran(browser)


def test_the_policy_stops_what_would_get_past_the_escaping(browser, cache):
    open_page(browser, cache.base, "/")
    browser.execute_script("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=alert(5)>')")
    eventually(lambda: browser.execute_script("return window.violations"))
    assert browser.execute_script("return window.alerts") == []
    browser.get_log("browser")  # which said so, too


def test_an_operator_reads_reports_and_nobody_else(browser, cache, operator):
    open_page(browser, cache.base, "/-/page/reports")
    assert "client certificate" in say(browser) and "operator" in say(browser)
    open_page(browser, operator, "/")
    browser.find_element(By.LINK_TEXT, "Reports").click()
    eventually(lambda: browser.title.startswith("Reports"))
    browser.find_element(By.LINK_TEXT, "Uploads").click()
    eventually(lambda: browser.title.startswith("Uploads"))
    assert len(browser.find_elements(By.CSS_SELECTOR, "tbody tr")) > 0
    nothing_ran(browser)


PAGES = ["/", "/?q=numpy", "/?q=nothing-like-it", path_of(HOSTILE), path_of("w" * 1024), "/-/page/entry/2", "/-/page/entry/5",
         "/-/page/reports", "/-/page/report/upload", "/-/page/report/uploads", "/-/page/absent"]


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_has_to_be_scrolled_sideways(browser, operator, path, width):
    browser.narrow(width)
    open_page(browser, operator, path)
    for summary in browser.find_elements(By.TAG_NAME, "summary"):
        browser.execute_script("arguments[0].parentNode.open = true", summary)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_it(browser, operator, path, scheme):
    browser.narrow(1280)
    browser.prefer(scheme)
    open_page(browser, operator, path)
    found = Axe().run(browser, options=RULES)
    assert len(found["passes"]) > 10
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]] == []


def test_light_and_dark_are_the_systems_choice(browser, cache):
    colours = {}
    for scheme in "light", "dark":
        browser.prefer(scheme)
        open_page(browser, cache.base, "/")
        colours[scheme] = browser.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")
    brightness = {scheme: sum(eval(colour.removeprefix("rgba").removeprefix("rgb"))[:3]) for scheme, colour in colours.items()}
    assert brightness["light"] > 600 and brightness["dark"] < 150


def test_the_keyboard_goes_through_the_page_in_its_order(browser, cache):
    browser.narrow(1280)
    open_page(browser, cache.base, "/")
    seen = []
    for _ in range(6):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        active = browser.switch_to.active_element
        seen.append(active.text or active.get_attribute("name"))
        assert active.value_of_css_property("outline-style") != "none"
    assert seen == ["Skip to the content", "ShaCache", "Home", "For operators", "q", "Search"]


# style.css: `overflow: clip` of the blocks that hold strangers' text; it does nothing on what stands in a line.
@pytest.mark.parametrize("path, above", [
    ("/?q=stall", "main h2"), ("/-/page/report/keys", "main caption"), ("/?q={}", "header .name"),
    ("/-/page/entry/{number}", "#said")])
def test_stacked_accents_stay_below_the_line_above(browser, cache, operator, path, above):
    browser.narrow(1280)
    browser.prefer("light")
    stacked = "stall" + "\u0301" * 360
    # Of the report, it shall be the first row: several entries.
    for number in range(3):
        cache.index(quote(stacked, safe=""), json.dumps({"sha512": "0" * 128, "number": number, stacked: stacked}))
    (row,) = Database(cache).run("SELECT max(id) FROM shacache.entry")
    open_page(browser, operator, path.format(quote(stacked, safe=""), number=row[0]))
    line = browser.find_element(By.CSS_SELECTOR, above)
    seen = line.screenshot_as_png
    browser.execute_script("for (const e of document.querySelectorAll('bdi')) e.style.visibility = 'hidden'")
    assert line.screenshot_as_png == seen
    # Unclipped, they would have been seen there.
    browser.execute_script("""for (const e of document.querySelectorAll('bdi')) e.style.visibility = '';
        for (const e of document.querySelectorAll('h1, li, dd, td, th')) e.style.overflow = 'visible'""")
    assert line.screenshot_as_png != seen


@pytest.mark.parametrize("path", ["/", "/?q=numpy", "/-/page/entry/2", "/-/page/report/uploads", "/-/page/report/upload"])
@pytest.mark.parametrize("width", [320, 390])
def test_on_a_phone_no_number_and_no_hash_is_broken(browser, cache, operator, path, width):
    browser.narrow(width)
    open_page(browser, operator, path)
    lines = browser.execute_script("""
        return [...document.querySelectorAll(".totals dd, td.number, .hash.short")].map(e => {
            const range = document.createRange();
            range.selectNodeContents(e);
            return new Set([...range.getClientRects()].map(box => Math.round(box.top / 8))).size;
        })""")
    assert set(lines) <= {1}
    # One column.
    assert len({place["x"] for place in map(lambda e: e.location, browser.find_elements(By.CSS_SELECTOR, ".totals div"))}) <= 1


def test_on_paper_hashes_are_whole(browser, operator):
    browser.narrow(1280)
    open_page(browser, operator, "/-/page/report/upload")
    cut = "return [...document.querySelectorAll('.hash.short')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
    assert browser.execute_script(cut) > 0
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.execute_script(cut) == 0
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_a_menu_says_where_one_is(browser, operator):
    for path, here in ("/", ["Home"]), ("/-/page/reports", ["Reports"]), ("/-/page/report/upload", ["Reports"]), ("/?q=x", []):
        open_page(browser, operator, path)
        assert [link.text for link in browser.find_elements(By.CSS_SELECTOR, "nav [aria-current]")] == here, path


@pytest.fixture(scope="module")
def lively(cache):
    """With two months of uploads and downloads behind it."""
    Database(cache).run("""
        INSERT INTO shacache.upload (
            at, account_id, certificate, client_address, target, sha512, bytes, duplicate, outcome, status, reason,
            duration, request_id)
        SELECT now() - day * interval '1 day', account.id, sha256(''), '192.0.2.1', 'blob', sha512((day || '/' || n)::bytea),
            20000000 + 1000000 * (n * day % 17), n % 5 = 0, CASE WHEN n % 9 = 0 THEN 'refused' ELSE 'accepted' END,
            CASE WHEN n % 9 = 0 THEN 403 ELSE 201 END, CASE WHEN n % 9 = 0 THEN 'quota' END, '120 ms', 'made-up'
        FROM generate_series(1, 70) AS day, shacache.account, generate_series(1, (7 + 5 * sin(day / 3.0) + day % 4)::integer) AS n
        WHERE name = 'demo';
        INSERT INTO shacache.download_day (day, kind, whole, partial, probes, not_found, bytes)
        SELECT now()::date - day, kind, (300 + 200 * sin(day / 4.0))::bigint, day % 7, 40, 3, (300 + 200 * sin(day / 4.0)) * 18000000
        FROM generate_series(1, 70) AS day, (VALUES ('blob'), ('key')) AS kind (kind)""")
    processes.send(cache, "page")
    eventually(lambda: cache.request("GET", "/")[0] == 200)


SEEN = {"home": "/", "search": "/?q=numpy", "entry": "/-/page/entry/2", "report": "/-/page/report/uploads",
        "table": "/-/page/report/upload"}


# To look at them: SCREENSHOTS=/tmp/shots ops/test-system -k pictures
@pytest.mark.parametrize("name", SEEN)
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_of_the_pages_can_be_taken(browser, lively, operator, tmp_path, name, width, scheme):
    browser.narrow(width)
    browser.prefer(scheme)
    open_page(browser, operator, SEEN[name])
    directory = Path(os.environ.get("SCREENSHOTS", tmp_path))
    directory.mkdir(parents=True, exist_ok=True)
    browser.keep(file := directory / f"{name}-{width}-{scheme}.png")
    assert file.stat().st_size > 10_000
