"""Limits of one client: who is over them waits, is refused far beyond them, and takes nothing from others."""

import hashlib
import io
import itertools
import json
import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from cutting import CuttingProxy, ranges
from deployed import client_of, metadata_of
from record import mark
from slapos.libnetworkcache import NetworkcacheException
from stack import REPOSITORY, Stack, eventually
from wire import Wire

SHIPPED = {name: (REPOSITORY / f"nginx/{name}.conf").read_text() for name in ("limits", "limited")}
FRESH = (f"198.51.{third}.{fourth}" for third, fourth in itertools.product(range(100, 256), range(1, 255)))


class Limited(Stack):
    """A cache whose site has figures of its own; a request says in X-Test-Address where it comes from."""

    def limit(self, **figures):
        """Serves with these in place of the shipped ones: by the zone's name, the rate and what its limit_req says,
        or the number of its limit_conn."""
        # Zones of new names: nginx keeps what it has counted when it is reloaded.
        self.generation = getattr(self, "generation", 0) + 1
        texts = dict(SHIPPED)
        for zone, figure in figures.items():
            if isinstance(figure, int):
                texts["limited"], count = re.subn(rf"(limit_conn {zone}) \d+;", rf"\1 {figure};", texts["limited"])
                assert count == 1
                continue
            rate, burst = figure
            texts["limits"], first = re.subn(rf"(zone={zone}:\w+) rate=\S+;", rf"\1 rate={rate};", texts["limits"])
            texts["limited"], second = re.subn(rf"(zone={zone}) [^;]*;", rf"\1 {burst};", texts["limited"])
            assert (first, second) == (1, 1)
        site = self.state / "nginx/site.conf"
        if not (made := site.with_suffix(".made")).exists():
            made.write_text(site.read_text())
        own = made.read_text()
        for name, text in texts.items():
            text = re.sub(r"(shacache_(?:(?:down|up)load(?:s|ing)|sending)(?:_\w+)?)\b", rf"\1_{self.generation}", text)
            (file := self.state / f"nginx/{name}.conf").write_text(text)
            own = own.replace(f"include shacache/{name}.conf;", f"include {file};")
        trust = "set_real_ip_from 127.0.0.1; set_real_ip_from ::1; real_ip_header X-Test-Address;"
        site.write_text(f"{trust}\n{own}")
        self.reload_nginx()

    def ask(self, address, method, target, body=None, headers=(), context=None):
        with Wire(self, context) as wire:
            return wire.request(method, target, body, [("X-Test-Address", address), *headers])


@pytest.fixture(scope="module", params=["accelerated", "direct"])
def limited(request, tmp_path_factory):
    settings = {"DIRECT": "1"} if request.param == "direct" else {}
    with Limited(tmp_path_factory.mktemp("limited"), **settings) as stack:
        yield stack


@pytest.fixture
def address():
    """One that nobody has come from before."""
    return next(FRESH)


def account(stack, directory):
    """A new account's certificate, and its key."""
    stack.admin("account", "add", made := f"n{os.urandom(4).hex()}")
    stack.admin("certificate", "issue", made, "--out", directory)
    return directory / f"{made}.crt", directory / f"{made}.key"


def logged(stack, marked, count):
    """The lines of requests with this User-Agent, when there are so many."""

    def lines():
        found = [json.loads(line) for line in (stack.state / "log/access.log").read_text().splitlines()]
        return [line for line in found if line["agent"] == marked[1]]

    return eventually(lambda: (found := lines()) and len(found) >= count and found)


def assert_refused(answer, line="too many requests at once, try again"):
    headers = answer.headers
    assert (answer.status, headers["retry-after"], headers["cache-control"]) == (429, "10", "no-store"), answer
    assert answer.line == line if line else answer.body == b""


# limited.conf: the figures that are shipped.
def test_a_build_farm_behind_one_address_gets_thousands_of_small_files_at_once(limited, address):
    limited.limit()
    digest = limited.upload(os.urandom(4096))
    limited.index(key := f"farm-{os.urandom(4).hex()}", metadata_of(digest))

    def fetch(_):
        # A connection for each, as the deployed clients have it, and later ones as others do.
        answers = [limited.ask(address, "GET", f"/shadir/{key}")]
        with Wire(limited) as wire:
            answers += [wire.request("GET", f"/shacache/{digest}", None, [("X-Test-Address", address)])
                        for _ in range(15)]
        return [answer.status for answer in answers]

    with ThreadPoolExecutor(100) as threads:
        statuses = [status for found in threads.map(fetch, range(300)) for status in found]
    assert statuses == [200] * 4800


REQUESTS = {
    "a blob": ("GET", "/shacache/{digest}", None, [], 200),
    "the head of a blob": ("HEAD", "/shacache/{digest}", None, [], 200),
    "a part of a blob": ("GET", "/shacache/{digest}", None, [("Range", "bytes=3-")], 206),
    # /-/blob-if/ and /-/blob-whole/: nginx asks itself.
    "a part with If-Range": ("GET", "/shacache/{digest}", None, [("Range", "bytes=3-"), ("If-Range", '"{digest}"')], 206),
    "a part that changed": ("GET", "/shacache/{digest}", None, [("Range", "bytes=3-"), ("If-Range", '"other"')], 200),
    "no blob": ("GET", f"/shacache/{'0' * 128}", None, [], 404),
    "a key": ("GET", "/shadir/{key}", None, [], 200),
    "no key": ("GET", "/shadir/absent", None, [], 404),
    "another method": ("OPTIONS", "/shacache", None, [], 204),
}


# Not by X-Accel-Redirect, try_files, nor by what nginx asks itself.
@pytest.mark.parametrize("method, target, body, headers, status", REQUESTS.values(), ids=REQUESTS)
def test_a_download_is_counted_once(limited, address, method, target, body, headers, status):
    limited.limit(shacache_downloads=("1r/m", "burst=4 nodelay"))
    names = {"digest": limited.upload(b"counted once"), "key": "counted"}
    limited.index("counted", metadata_of(names["digest"]))
    headers = [(name, value.format(**names)) for name, value in headers]
    answers = [limited.ask(address, method, target.format(**names), body, headers) for _ in range(6)]
    assert [answer.status for answer in answers] == [status] * 5 + [429]


# Not by the jump to its location, nor by auth_request.
@pytest.mark.parametrize("size", [10, 3_000_000])
def test_an_upload_is_counted_once_and_by_its_certificate(limited, address, size, tmp_path):
    limited.limit(shacache_uploads=("1r/m", "burst=4 nodelay"))
    mine, theirs = (limited.tls(*account(limited, tmp_path)) for _ in range(2))
    data = os.urandom(size)
    send = lambda address, context: limited.ask(address, "POST", "/shacache", data, context=context)
    assert [send(address, mine).status for _ in range(5)] == [201] * 5
    assert_refused(send(address, mine))
    # Wherever it comes from; and others from there aren't held up, nor are its downloads.
    assert_refused(send(next(FRESH), mine))
    assert send(address, theirs).status == 201
    digest = hashlib.sha512(data).hexdigest()
    assert limited.ask(address, "GET", f"/shacache/{digest}", context=mine).status == 200


# $shacache_uploader_address: else so many certificates would have so many times as much.
def test_all_certificates_of_one_address_have_a_limit_together(limited, address, tmp_path):
    limited.limit(shacache_uploads_address=("1r/m", "burst=4 nodelay"))
    certificates = [limited.tls(*account(limited, tmp_path)) for _ in range(3)]
    send = lambda address, context: limited.ask(address, "POST", "/shacache", b"x", context=context)
    assert [send(address, certificates[number % 3]).status for number in range(5)] == [201] * 5
    for certificate in certificates:
        assert_refused(send(address, certificate))
        assert send(next(FRESH), certificate).status == 201


# $shacache_downloader and $shacache_downloader_address.
@pytest.mark.parametrize("zone", ["shacache_downloads", "shacache_downloads_address"])
def test_downloads_are_counted_by_certificate_and_by_address(limited, address, tmp_path, zone):
    limited.limit(**{zone: ("1r/m", "burst=4 nodelay")})
    mine, theirs = (limited.tls(*account(limited, tmp_path)) for _ in range(2))
    fetch = lambda address, context: limited.ask(address, "GET", "/shadir/absent", context=context)
    assert [fetch(address, mine).status for _ in range(5)] == [404] * 5
    assert_refused(fetch(address, mine))
    elsewhere, another = fetch(next(FRESH), mine), fetch(address, theirs)
    assert (elsewhere.status, another.status) == ((429, 404) if zone == "shacache_downloads" else (404, 429))


def test_a_withdrawal_is_counted_once_as_an_upload(limited, address):
    limited.limit(shacache_uploads=("1r/m", "burst=4 nodelay"), shacache_downloads=("1r/m", "nodelay"))
    send = lambda: limited.ask(address, "DELETE", "/shadir/absent?reason=x", context=limited.tls())
    answers = [send() for _ in range(6)]
    assert [answer.status for answer in answers] == [answers[0].status] * 5 + [429]


def test_uploads_without_a_certificate_are_counted_by_address(limited, address):
    limited.limit(shacache_uploads=("1r/m", "burst=4 nodelay"))
    send = lambda address: limited.ask(address, "POST", "/shacache", b"x")
    assert [send(address).status for _ in range(6)] == [403] * 5 + [429]
    assert send(next(FRESH)).status == 403


# map $binary_remote_addr: whoever has a network has all of its addresses.
def test_addresses_of_one_ipv6_network_are_one_client(limited):
    limited.limit(shacache_downloads=("1r/m", "burst=4 nodelay"))
    network = f"2001:db8:{os.urandom(2).hex()}"
    ask = lambda network, host: limited.ask(f"{network}:1::{host}", "GET", "/shadir/absent").status
    assert [ask(network, f"a{host}") for host in range(6)] == [404] * 5 + [429]
    assert ask(network.replace("db8", "db9"), 1) == 404


# geo $shacache_unlimited in the site.
def test_this_machine_and_those_that_the_site_names_have_no_limits(limited, address):
    limited.limit(shacache_downloads=("1r/m", "burst=1 nodelay"), shacache_uploads=("1r/m", "burst=1 nodelay"))
    site = limited.state / "nginx/site.conf"
    site.write_text(site.read_text().replace("geo $shacache_unlimited {", f"geo $shacache_unlimited {{\n    {address} 1;"))
    limited.reload_nginx()
    for exempt in address, "127.0.0.1":
        assert [limited.ask(exempt, "GET", "/shadir/absent").status for _ in range(5)] == [404] * 5
        assert [limited.ask(exempt, "POST", "/shacache", b"x").status for _ in range(5)] == [403] * 5


# Without `delay` in limited.conf, i.e. with nodelay, nobody would wait.
def test_over_the_rate_a_client_waits_and_others_do_not(limited, address):
    limited.limit(shacache_downloads=("1r/s", "burst=20 delay=1"))
    digest, marked, other = limited.upload(b"waited for"), mark(), mark()

    def fetch(_):
        return limited.ask(address, "GET", f"/shacache/{digest}", None, [marked]).status

    with ThreadPoolExecutor(10) as threads:
        working = [threads.submit(fetch, number) for number in range(10)]
        eventually(lambda: any(line["seconds"] > "0.0" for line in logged(limited, marked, 1)))
        assert limited.ask(next(FRESH), "GET", f"/shacache/{digest}", None, [other]).status == 200
        assert not all(one.done() for one in working)
        assert [one.result() for one in working] == [200] * 10
    # All but two stand in a line which moves up by one each second.
    assert sum(float(line["seconds"]) > 0.5 for line in logged(limited, marked, 10)) >= 3


def as_any_other(stack):
    """From here on, this machine's own addresses have limits, too: the deployed client sends no X-Test-Address."""
    site = stack.state / "nginx/site.conf"
    site.write_text(re.sub(r"(geo \$shacache_unlimited \{)[^}]*", r'\1\n    default "";\n', site.read_text()))
    stack.reload_nginx()


def test_the_deployed_client_waits_and_gets_all(limited):
    limited.limit(shacache_downloads=("1r/s", "burst=20 delay=1"))
    data = os.urandom(10_000)
    digest = client_of(limited).upload(io.BytesIO(data), key := f"wait-{os.urandom(4).hex()}", file="a")
    as_any_other(limited)

    def fetch(_):
        client = client_of(limited)
        (found,) = client.select(key)
        return client.download(found["sha512"]).read()

    with ThreadPoolExecutor(5) as threads:
        assert list(threads.map(fetch, range(5))) == [data] * 5
    limited.wait_for_access_log()
    lines = [line for line in logged(limited, ("", ""), 10) if line["uri"] in (f"/shacache/{digest}", f"/shadir/{key}")]
    assert sum(float(line["seconds"]) > 0.5 for line in lines if line["method"] == "GET") >= 3, lines


# errors.conf and @too_many.
def test_far_beyond_it_is_refused_in_one_line_and_without_a_word_to_a_range(limited, address):
    limited.limit(shacache_downloads=("1r/m", "burst=1 nodelay"))
    digest = limited.upload(b"refused")
    for _ in range(2):
        assert limited.ask(address, "GET", f"/shacache/{digest}").status == 200
    with Wire(limited) as wire:
        ask = lambda *headers: wire.request("GET", f"/shacache/{digest}", None, [("X-Test-Address", address), *headers])
        assert_refused(ask())
        assert_refused(ask(("Range", "bytes=3-")), line=None)
        assert_refused(ask(("Range", "bytes=3-"), ("If-Range", f'"{digest}"')), line=None)
        # The connection goes on.
        assert wire.request("GET", f"/shacache/{digest}").body == b"refused"


# limited.conf: without `delay` they would be refused, and each sleep for half an hour.
def test_deployed_uploaders_wait_and_all_are_served(limited):
    limited.limit(shacache_uploads=("2r/s", "burst=40 delay=1"))
    as_any_other(limited)
    bodies = [os.urandom(1000) for _ in range(6)]

    def upload(data):
        return client_of(limited).upload(io.BytesIO(data), f"wait-{os.urandom(4).hex()}", file="a")

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(upload, bodies)) == [hashlib.sha512(data).hexdigest() for data in bodies]
    limited.wait_for_access_log()
    lines = logged(limited, ("", ""), 12)
    sent = [line for line in lines if line["method"] in ("POST", "PUT") and line["client"] in ("127.0.0.1", "::1")][-12:]
    assert [line["status"] for line in sent] == ["201"] * 12
    assert sum(float(line["seconds"]) > 0.5 for line in sent) >= 8, sent


# The splice: of a refusal with a body, the client would ask again for as many bytes as are missing.
def test_a_download_that_is_refused_when_it_goes_on_does_not_storm(limited):
    limited.limit(shacache_downloads=("1r/m", "nodelay"))
    digest = limited.upload(data := os.urandom(1_000_000))
    as_any_other(limited)
    with CuttingProxy(int(limited.settings["HTTP_PORT"]), [500_000]) as proxy:
        client = client_of(limited, **{"download-cache-url": f"http://127.0.0.1:{proxy.port}/shacache"})
        download, received = client.download(digest), b""
        with pytest.raises(NetworkcacheException, match="checksum"):
            while piece := download.read(65_536):
                received += piece
            download.read()
        assert data.startswith(received) and len(received) < len(data)
        assert ranges(proxy)[0] is None and len(ranges(proxy)) == 2, ranges(proxy)


# limit_conn.
def test_one_address_can_not_take_all_connections(limited, address):
    limited.limit(shacache_downloading=3)
    digest = limited.upload(bytes(30_000_000))
    ask = f"GET /shacache/{digest} HTTP/1.1\r\nHost: localhost\r\nX-Test-Address: {address}\r\n\r\n"
    slow = [Wire(limited) for _ in range(3)]
    for wire in slow:
        wire.send(ask)
        wire.socket.recv(1000)
    assert_refused(limited.ask(address, "GET", f"/shacache/{digest}"))
    assert_refused(limited.ask(address, "GET", f"/shacache/{digest}", None, [("Range", "bytes=3-")]), line=None)
    assert limited.ask(next(FRESH), "HEAD", f"/shacache/{digest}").status == 200
    for wire in slow:
        wire.close()
    eventually(lambda: limited.ask(address, "HEAD", f"/shacache/{digest}").status == 200)


@pytest.mark.parametrize("zone", ["shacache_downloading", "shacache_downloading_address"])
def test_one_certificate_can_not_take_all_connections_nor_can_those_of_one_address(limited, address, tmp_path, zone):
    limited.limit(**{zone: 2})
    digest = limited.upload(bytes(30_000_000))
    mine, theirs = (limited.tls(*account(limited, tmp_path)) for _ in range(2))
    slow = [Wire(limited, mine) for _ in range(2)]
    for wire in slow:
        wire.send(f"GET /shacache/{digest} HTTP/1.1\r\nHost: localhost\r\nX-Test-Address: {address}\r\n\r\n")
        wire.socket.recv(1000)
    fetch = lambda address, context: limited.ask(address, "GET", "/shadir/absent", context=context)
    assert_refused(fetch(address, mine))
    elsewhere, another = fetch(next(FRESH), mine), fetch(address, theirs)
    assert (elsewhere.status, another.status) == ((429, 404) if zone == "shacache_downloading" else (404, 429))
    for wire in slow:
        wire.close()
    eventually(lambda: fetch(address, mine).status == 404)


SENDINGS = {
    "shacache_sending": "Content-Length: 1500000", "shacache_sending_much": "Content-Length: 150000000",
    "shacache_sending_most": "Transfer-Encoding: chunked"}


# $shacache_sender: what is on its way is in no sum yet, and all of it has to lie somewhere.
@pytest.mark.parametrize("zone", SENDINGS)
def test_the_larger_bodies_are_the_fewer_are_received_at_once(limited, address, tmp_path, zone):
    limited.limit(**{zone: 2})
    mine, theirs = (limited.tls(*account(limited, tmp_path)) for _ in range(2))

    def begin(context, framing=SENDINGS[zone]):
        wire = Wire(limited, context)
        wire.send(f"POST /shacache HTTP/1.1\r\nHost: localhost\r\nX-Test-Address: {address}\r\n{framing}\r\n\r\n")
        return wire

    spool = limited.spool
    slow = [begin(mine) for _ in range(2)]
    for wire in slow:
        # The length of a chunk, or a part of the body.
        wire.send(b"100000\r\n" + bytes(900_000))
    eventually(lambda: len(list(spool.iterdir())) == 2)
    with begin(mine) as refused:
        assert_refused(refused.answer("POST"))
    # Small ones go on, as do others'.
    assert limited.ask(address, "POST", "/shacache", b"x", context=mine).status == 201
    with begin(theirs) as other:
        other.send(b"100000\r\n" + bytes(900_000))
        eventually(lambda: len(list(spool.iterdir())) == 3)
    # What is cut leaves nothing that its sender's next try would meet.
    for wire in slow:
        wire.close()
    eventually(lambda: not list(spool.iterdir()))
    for _ in range(2):
        data = os.urandom(1_500_000)
        assert limited.ask(address, "POST", "/shacache", data, context=mine).status == 201


def test_all_certificates_of_one_address_can_not_take_all_uploads(limited, address, tmp_path):
    limited.limit(shacache_uploading_address=2)
    certificates = [limited.tls(*account(limited, tmp_path)) for _ in range(3)]
    slow = [Wire(limited, context) for context in certificates[:2]]
    for wire in slow:
        wire.send(
            f"POST /shacache HTTP/1.1\r\nHost: localhost\r\nX-Test-Address: {address}\r\nContent-Length: 10\r\n\r\nhalf")
    send = lambda address: limited.ask(address, "POST", "/shacache", b"x", context=certificates[2])
    eventually(lambda: send(address).status == 429)
    assert_refused(send(address))
    assert send(next(FRESH)).status == 201
    for wire in slow:
        wire.close()
    eventually(lambda: send(address).status == 201)


def test_one_certificate_can_not_take_all_uploads(limited, address, tmp_path):
    limited.limit(shacache_uploading=2)
    mine, theirs = (limited.tls(*account(limited, tmp_path)) for _ in range(2))
    slow = [Wire(limited, mine) for _ in range(2)]
    for wire in slow:
        wire.send(
            f"POST /shacache HTTP/1.1\r\nHost: localhost\r\nX-Test-Address: {address}\r\nContent-Length: 10\r\n\r\nhalf")
    refused = lambda: limited.ask(next(FRESH), "POST", "/shacache", b"x", context=mine)
    eventually(lambda: refused().status == 429)
    assert_refused(refused())
    assert limited.ask(address, "POST", "/shacache", b"x", context=theirs).status == 201
    for wire in slow:
        wire.send("half..")
        assert wire.answer().status == 201
        wire.close()
    eventually(lambda: refused().status == 201)
