"""`make run` as a near cache of one that it reaches by https, whose authority is its own; and tables that a person adds."""

import json
import os
import shutil
import tomllib

import pytest
from deployed import metadata_of, new_key, sign
from nearby import fetcher, get, name_of
from node import DONE, Node
from slapos.grid.networkcache import download_entry_list
from stack import Database, Stack, eventually, let_others_in
from test_client_download import published
from test_runner import refusal


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("far"), WORKERS="1") as far:
        yield far


def https(far):
    return f"https://localhost:{far.settings['HTTPS_PORT']}"


@pytest.fixture(scope="module")
def near(tmp_path_factory, far):
    # The near one's processes are of another user than the file.
    (file := tmp_path_factory.mktemp("authority") / "far.crt").write_bytes(open(far.env["CA_FILE"], "rb").read())
    file.chmod(0o600)
    with Stack(tmp_path_factory.mktemp("near"), WORKERS="1", UPSTREAM=f"{https(far)}/shacache", UPSTREAM_CA=str(file)) as near:
        yield near


def again(near, options=None, **settings):
    """Starts it with these options, and with other settings."""
    near.stop()
    file = near.state / "options.toml"
    file.unlink(missing_ok=True)
    if options is not None:
        file.write_text(options)
    near.settings |= settings
    near.start()


# write_configuration: UPSTREAM_CA.
def test_what_a_private_authority_vouches_for_is_fetched_and_looked_up(far, near):
    data = os.urandom(200_000)
    key = published(far, data)
    assert get(near, name_of(data))[::2] == (200, data) and near.entries(key) == far.entries(key)
    assert "mirror upstream-1 --config" in near.output.read_text()


# Provenance, FetchedKeys.list, LookupReport.
def test_a_lookup_says_which_entries_were_fetched_and_from_where(far, near, tmp_path):
    key, node = published(far, os.urandom(50)), Node.of(near, tmp_path / "node")
    near.index(key, text := metadata_of(near.upload(os.urandom(60))), sign(near, text))
    found = node.json("lookup", "-k", key)
    assert found["fetched"]["upstream"] == "upstream-1" and found["fetched"]["age"] < 60
    assert [entry["upstream"] for entry in found["entries"]] == ["upstream-1", None]
    first, _, heads, *rows = node.run("lookup", "-k", key, text=True).stdout.splitlines()
    assert "; a near cache has 1 from its upstream upstream-1, as of " in first
    assert heads.split()[-1] == "FROM" and [row.split()[-1] for row in rows] == ["upstream-1", "–"]
    # What slapos.core's programs look up by.
    option = node.options.get
    assert download_entry_list(
        option("download-cache-url"), option("download-dir-url"), key, None, option("signature-certificate-list")) == [
            (entry, is_signed_here) for (entry, _), is_signed_here in zip(near.entries(key), [False, True])]
    there = Node.of(far, tmp_path / "far")
    found = there.json("lookup", "-k", key)
    assert found["fetched"] is None and [entry["upstream"] for entry in found["entries"]] == [None]
    assert "FROM" not in there.run("lookup", "-k", key, text=True).stdout


# CircuitBreaker.listed, EndpointChecks.examineUpstreams.
def test_the_doctor_says_when_an_upstream_is_not_trusted(near, tmp_path):
    authority = near.settings["UPSTREAM_CA"]
    again(near, UPSTREAM_CA="")
    try:
        found = Node.of(near, tmp_path / "node").json("doctor", "--read-only", status=DONE)
        said = [(f["verdict"], f["subject"], f["text"]) for f in found if "near cache" in f["text"]]
        assert [line[:2] for line in said] == [("warning", "download-cache-url"), ("warning", "download-binary-cache-url")]
        assert all("upstream-1 isn't trusted: a certificate is not accepted" in text for _, _, text in said), said
    finally:
        again(near, UPSTREAM_CA=authority)


# Options.read, FetchedList: the rule holds for what comes from elsewhere as for what is put here.
def test_tables_of_ones_own_outlast_a_start(far, near):
    options = '[uploads]\nsignatures = "require"\n\n[fetching]  # more\nbytes = "1 GB"\nclients = 1000\n'
    again(near, options)
    again(near, options)
    made = tomllib.loads((near.state / "shacache.toml").read_text())
    assert made["fetching"] == {"socket": str(near.state / "run/fetch.sock"), "bytes": "1 GB", "clients": 1000}
    assert made["upstream"][0]["ca-file"].startswith(str(near.state))
    assert json.loads(near.admin("collect", "fetched", "--json").stdout)[0]["bytes_limit"] == 1 << 30
    near.admin("signer", "add", "far", far.env["SIGN_CERT"])
    data, key = os.urandom(5000), new_key()
    signed, unsigned = metadata_of(far.upload(data), n="1"), metadata_of(name_of(b""), n="2")
    far.index(key, unsigned)
    far.index(key, signed, sign(far, signed))
    assert len(far.entries(key)) == 2 and near.entries(key) == [[signed, sign(far, signed)]]
    assert Database(near).run(f"SELECT refused_pairs FROM shacache.fetched_key WHERE key = '{key}'") == [("1",)]
    assert get(near, name_of(data))[::2] == (200, data)
    again(near)


# Options.upstreams: those of the file alone start a fetcher, too.
def test_upstreams_of_ones_own_are_asked(far, near):
    url, authority = https(far), near.settings["UPSTREAM_CA"]
    shutil.copy(authority, file := near.state / "far-ca.crt")
    file.chmod(0o644)
    upstream = f'[[upstream]]\nname = "far"\nshacache = "{url}/shacache"\nshadir = "{url}/shadir"\nca-file = "{file}"'
    setting = near.settings["UPSTREAM"]
    again(near, upstream, UPSTREAM="", UPSTREAM_CA="")
    try:
        assert eventually(lambda: fetcher(near)) and "mirror far --config" in near.output.read_text()
        data = os.urandom(1000)
        assert get(near, far.upload(data))[::2] == (200, data)
        # For operators there, over https: what the guide says to do.
        done = near.admin("mirror", "far", check=False)
        assert done.returncode == 1 and "answers 403: it is for operators: name in the [[upstream]] the certificate" in done.stderr
        far.admin("account", "add", "near")
        far.admin("account", "set", "near", "--role", "operator")
        far.admin("certificate", "issue", "near", "--out", near.state)
        shutil.chown(near.state / "near.key", "www-data" if os.getuid() == 0 else None)
        again(near, f'{upstream}\ncertificate = "{near.state}/near.crt"\nkey = "{near.state}/near.key"\n')
        key = published(far, data := os.urandom(3000))
        near.admin("mirror", "far", "--json")
        far.stop()
        assert near.entries(key) and get(near, name_of(data))[::2] == (200, data)
    finally:
        if far.runner.poll() is not None:
            far.start()
        again(near, UPSTREAM=setting, UPSTREAM_CA=authority)


@pytest.mark.parametrize("text, words", [
    ("name = 1", "options.toml: name: can't be set here"),
    ('[site]\nname = "x"', "options.toml: site: can't be set here"),
    ('fetching = { bytes = "1 GB" }', "options.toml: fetching: is to be a table of its own"),
    ('[fetching]\nsocket = "/tmp/x"', "options.toml: fetching: is to be a table of its own, and without socket"),
    ("[fetching", "options.toml: "),
    ('[fetching]\nbytes = "200"', 'fetching.bytes: must be a number of bytes'),
])
def test_what_can_not_be_added_is_refused_in_one_line(tmp_path, text, words):
    stack = Stack(tmp_path / "stack")
    stack.state.mkdir(parents=True)
    let_others_in(stack.state.parent)
    (stack.state / "options.toml").write_text(text)
    assert words in refusal(stack)


def test_an_authority_without_upstreams_or_that_is_not_there_is_refused(tmp_path):
    stack = Stack(tmp_path / "stack", UPSTREAM_CA="none.crt")
    let_others_in(stack.state.parent)
    assert "UPSTREAM_CA: goes with UPSTREAM" in refusal(stack)
    stack.settings["UPSTREAM"] = "https://far/shacache"
    assert refusal(stack) == "shacache: none.crt: no such file or directory"
