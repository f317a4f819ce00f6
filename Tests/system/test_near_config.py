"""What `shacached --check-config` says of upstreams and of `[fetching]`: each mistake with its line."""

import os
import subprocess

import pytest
from certificates import self_signed
from stack import REPOSITORY

BEFORE = '[database]\nconnection = "dbname=none"\n[store]\ndirectory = "/nowhere"\n'
URLS = 'shacache = "http://far/shacache"\nshadir = "http://far/shadir"\n'


def check(directory, text, **options):
    """Its exit code, and what it says; `{line}` in a text stands for the last one's number."""
    file = directory / "shacache.toml"
    file.write_text(BEFORE + text)
    done = subprocess.run(
        [REPOSITORY / ".build/release/shacached", "--check-config", "--config", file], capture_output=True, text=True, **options)
    return done.returncode, done.stderr.replace(f"{file}: line {BEFORE.count(chr(10)) + text.count(chr(10)) + 1}: ", "LAST ")


# Configuration.Fetching, Upstream, KeyedDecodingContainer.bytes, .period, .count, .hosts, .url.
@pytest.mark.parametrize("line, words", [
    ('redirect-hosts = ["*"]', '"*" is no host'),
    ('redirect-hosts = ["https://cdn.example.org"]', '"https://cdn.example.org" is no host'),
    ('redirect-hosts = ["cdn.example.org:8080"]', "is no host"),
    ('redirect-hosts = "cdn.example.org"', 'must be like ["cdn.example.org"]'),
    ("redirect-hosts = [5]", 'must be like ["cdn.example.org"]'),
    ('header-timeout = "2 minutes"', "must be 50 seconds at most"),
    ('header-timeout = 5', "must be a text in quotes"),
    ('stall-timeout = "0 seconds"', 'must be like "90 days"'),
    ('limit = "100"', 'must be a number of bytes from 1024 on, or like "500 GB"'),
    ('limit = 100', "is 100 bytes: must be"),
    ('bandwidth = "fast"', "must be a number of bytes"),
    ('feed = "far"', "must be http:// or https://"),
    ('feed = "https://user:secret@far/feed"', "must have no user and no password"),
    ('key = "/etc/shacache/far.key"', "goes with certificate"),
    ('ca-file = ""', "must not be empty"),
    ('ca-file = 5', "must be a text in quotes"),
])
def test_of_an_upstream(tmp_path, line, words):
    status, said = check(tmp_path, f'[[upstream]]\nname = "far"\n{URLS}{line}')
    assert status == 1 and f"LAST upstream.{line.split(' ')[0]}: " in said and words in said, said
    assert "secret" not in said


@pytest.mark.parametrize("line, words", [
    ("clients = 0", "must be a number from 1 to 1000"),
    ("clients = 100000", "must be a number from 1 to 1000"),
    ('clients = "many"', "must be a number from 1 to 1000"),
    ('fresh = "2 hours"', "stale (3600 seconds) must not be shorter than fresh (7200 seconds)"),
    ('stale = "30 seconds"', "stale (30 seconds) must not be shorter than fresh (60 seconds)"),
    ("fresh = 60", "must be a text in quotes"),
    ('stale = "soon"', 'must be like "90 days"'),
    ('bytes = "200"', 'must be a number of bytes from 1048576 on, or like "500 GB"'),
    ("bytes = 200", "is 200 bytes: must be"),
    ('bytes = "lots"', "must be a number of bytes"),
    ('bytes = "-1 GB"', "must be a number of bytes"),
    ('socket = ""', "must not be empty"),
    ("socket = 5", "must be a text in quotes"),
])
def test_of_what_is_fetched(tmp_path, line, words):
    status, said = check(tmp_path, f"[fetching]\n{line}")
    assert status == 1 and f"LAST fetching.{line.split(' ')[0]}: " in said and words in said, said


@pytest.mark.parametrize("url", ["https://user:secret@far/shacache", "https://user@far/shacache"])
def test_credentials_in_a_url_are_refused_and_not_shown(tmp_path, url):
    status, said = check(tmp_path, f'[[upstream]]\nname = "far"\nshadir = "http://far/shadir"\nshacache = "{url}"')
    assert status == 1 and "LAST upstream.shacache: must have no user and no password" in said and "secret" not in said


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pairs")
    return [self_signed(directory, name, "EC") for name in ("one", "two")]


# Configuration.checkUpstreamFiles.
def test_files_that_can_not_be_used(tmp_path, pairs):
    (certificate, key), (_, another) = pairs
    (text := tmp_path / "text").write_text("no certificate\n")
    upstream = f'[[upstream]]\nname = "far"\n{URLS}'
    # In the second of two tables.
    for line, words in (
            (f'ca-file = "{tmp_path}/none.crt"', "none.crt: no such file"),
            (f'ca-file = "{tmp_path}"', "is a directory"),
            (f'ca-file = "{text}"', f"{text}: "),
            (f'certificate = "{tmp_path}/none.crt"', "none.crt: no such file"),
            (f'certificate = "{certificate}"', f"{certificate}: "),  # and no key in it
            (f'certificate = "{certificate}"\nkey = "{tmp_path}/none.key"', "none.key: no such file"),
            (f'certificate = "{certificate}"\nkey = "{another}"', "the key does not belong to the certificate")):
        status, said = check(tmp_path, f'{upstream.replace("far", "near")}{upstream}{line}')
        option = line.splitlines()[-1].split(" ")[0]
        assert status == 1 and f"LAST upstream.{option}: " in said and words in said, said
    (both := tmp_path / "both.pem").write_text(certificate.read_text() + key.read_text())
    for line in f'ca-file = "{certificate}"\ncertificate = "{certificate}"\nkey = "{key}"', f'certificate = "{both}"':
        assert check(tmp_path, upstream + line) == (0, "")


# Nor one that its user may not read.
def test_a_file_that_others_may_not_read_is_found_by_who_may_not(tmp_path, pairs):
    if os.getuid() != 0:
        pytest.skip("takes root, to be somebody else")
    for parent in tmp_path, *tmp_path.parents:
        if parent.name.startswith("pytest-"):
            break
        parent.chmod(0o755)
    (file := tmp_path / "ca.crt").write_bytes(pairs[0][0].read_bytes())
    file.chmod(0o600)
    text = f'[[upstream]]\nname = "far"\n{URLS}ca-file = "{file}"'
    assert check(tmp_path, text) == (0, "")
    (tmp_path / "shacache.toml").chmod(0o644)
    status, said = check(tmp_path, text, user="nobody", group="nogroup", extra_groups=[])
    assert status == 1 and "LAST upstream.ca-file: " in said and "permission denied" in said, said
