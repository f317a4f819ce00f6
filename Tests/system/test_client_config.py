"""What the client reads of slapos.cfg, and what counts before it."""

import json
from configparser import ConfigParser
from pathlib import Path

import pytest
from certificates import self_signed
from deployed import new_key
from node import DONE, MISUSE, assert_ended
from test_client_download import pair, published


def settings(node, *words, **options):
    """What is in force: option → (value, source)."""
    rows = node.json("config", *words, **options)
    return {name: (row["value"], row["source"]) for name, row in rows.items() if row}


def read(node, text, *words):
    node.config.write_bytes(text.encode())
    return {name: value for name, (value, _) in settings(node, *words).items()}


def test_it_says_of_each_option_where_it_was_set(node):
    node.config.write_text(
        "# a comment\n[slapos]\nsoftware_root = /srv/slapgrid\n\n[networkcache]\n; another\ndownload-cache-url = http://a\n"
        "download_dir_url: http://b\nupload-cache-url =\n")
    found = settings(node, "-O", "upload_dir_url=http://c")
    assert found == {
        "software_root": ("/srv/slapgrid", f"{node.config}:3"), "download-cache-url": ("http://a", f"{node.config}:7"),
        "download-dir-url": ("http://b", f"{node.config}:8"), "upload-cache-url": ("", f"{node.config}:9"),
        "upload-dir-url": ("http://c", "--option")}
    table = node.run("config").stdout.decode()
    for words in "http://a", f"{node.config}:7", "not set", "signature-certificate-list":
        assert words in table
    # Every option has a row.
    assert len(node.json("config")) == 25 and all(name in table for name in node.json("config"))


FILES = [
    "[networkcache]\ndownload-cache-url=http://a", "[networkcache]\ndownload-cache-url : http://a:80/x\n",
    "[networkcache]\r\ndownload-cache-url = http://a\r\ndownload-dir-url = http://b\r\n",
    "[networkcache]\r\nbinary-cache-url-blacklist =\r\n  http://a\r\n  http://b\r\n",
    "[networkcache]\nDownload-Cache-URL = http://a\n", "[networkcache]\n\tdownload-cache-url\t=\thttp://a\t\n",
    "[other]\ndownload-cache-url = http://no\n[networkcache]\ndownload-cache-url = http://a\n[more]\ndownload-cache-url = http://no\n",
    "[networkcache]\ndownload-cache-url = http://a # no comment\n", "[networkcache]\ndownload-cache-url = http://a?x=1;y=2:3\n",
    "[networkcache]\nbinary-cache-url-blacklist =\n  http://a\n  # a comment\n  http://b\n\n  http://c\n; another\n  http://d\nupload-cache-url = x\n",
    "[networkcache]\nbinary-cache-url-blacklist = http://a\n  http://b\n", "[networkcache]\nbinary-cache-url-blacklist =\n\n  http://a\n",
    "[networkcache]\nx = http://x\ndownload-cache-url = %(x)s/shacache\ndownload-dir-url = %(download-cache-url)s/../100%%25\n",
    "[DEFAULT]\nbase = http://d\n[networkcache]\ndownload-cache-url = %(base)s/a\n", "[DEFAULT]\ndownload-cache-url = http://d\n[networkcache]\n",
    "[networkcache]\ndownload-cache-url = http://é/😀\n", "[networkcache]\nsignature-certificate-list =\n  -----BEGIN=\n  a:b=c\n  [no section]\n",
]


# LineReader; what isn't understood by ConfigParser at all is buildout's, below.
@pytest.mark.parametrize("text", FILES)
def test_a_file_says_what_it_says_to_the_deployed_client(node, text):
    parser = ConfigParser()
    parser.read_string(text.replace("\r\n", "\n"))
    theirs = dict(parser.items("networkcache"))

    def lines(value):
        return [line.strip() for line in value.splitlines() if line.strip()]

    ours = read(node, text)
    assert ours
    assert {name: lines(value) for name, value in ours.items()} == {
        name: lines(theirs[name]) for name in ours}
    assert not set(theirs) & set(json.loads(node.run("config", "--json").stdout)) - set(ours)


def test_old_names_and_the_section_of_slapos_count_where_the_new_ones_say_nothing(node):
    assert read(node, "[slapos]\ndownload-binary-cache-url = http://slapos\nsignature_private_key_file = /k\n")[
        "download-binary-cache-url"] == "http://slapos"
    found = read(node, (
        "[slapos]\nsignature_private_key_file = /old\nupload_cache_url = http://old\nbinary-cache-url-blacklist = s\n"
        "[networkcache]\nsignature-private-key-file = /new\nupload-cache-url =\nbinary_cache_url_blacklist = n\n"))
    assert (found["signature-private-key-file"], found["upload-cache-url"], found["binary-cache-url-blacklist"]) == (
        "/new", "http://old", "n")


def test_buildouts_way_of_adding_lines_and_what_belongs_to_others_is_no_obstacle(node):
    found = read(node, """\
[buildout]
extends =
    ../stack/slapos.cfg
parts +=
    networkcache
eggs -= x
${section:option}
[part:with colon]
recipe = x
    %(broken
[networkcache]
binary-cache-url-blacklist = http://a
binary-cache-url-blacklist += http://b
  http://c
[networkcache:other]
download-cache-url = http://no
""")
    assert found == {"binary-cache-url-blacklist": "http://a\nhttp://b\nhttp://c"}


# Which configuration


def configuration(node, name, url):
    path = node.directory / name
    path.write_text(f"[networkcache]\ndownload-cache-url = {url}\n")
    return path


def test_the_option_counts_before_the_environment_and_that_before_the_default(node):
    environment = {"SHACACHE_CONFIG": str(configuration(node, "environment.cfg", "http://environment"))}
    configuration(node, "option.cfg", "http://option")
    assert settings(node, "--config", "option.cfg", config=False, env=environment)["download-cache-url"][0] == "http://option"
    assert settings(node, config=False, env=environment)["download-cache-url"][0] == "http://environment"
    over = settings(node, "--option", "download-cache-url=http://single", config=False, env=environment)
    assert over["download-cache-url"] == ("http://single", "--option")
    assert_ended(node.run("config", config=False, env={"SHACACHE_CONFIG": "/missing"}), MISUSE, "/missing")
    if not Path("/etc/opt/slapos/slapos.cfg").exists():
        for nothing in {}, {"SHACACHE_CONFIG": ""}:
            assert settings(node, config=False, env=nothing) == {}


def test_without_any_configuration_options_suffice(stack, node):
    if Path("/etc/opt/slapos/slapos.cfg").exists():
        pytest.skip("there is one on this machine")
    wanted = "download-cache-url", "download-dir-url", "signature-certificate-list"
    words = [word for name in wanted for word in ("-O", f"{name}={node.options[name]}")]
    key = published(stack, b"there")
    assert assert_ended(node.run("download", "-k", key, *words, config=False), DONE).stdout == b"there"


def test_an_option_that_there_is_not_is_told(node):
    assert_ended(node.run("config", "-O", "download-cash-url=x"), MISUSE, "no option download-cash-url")
    assert_ended(node.run("config", "-O", "nothing"), MISUSE, "NAME=VALUE")


# The list of certificates


LISTS = [
    "{0}{1}", "\n# signature certificates of the following uploaders:\n#   Somebody\n{0}\n\n# and\n\n{1}", "{1}{0}", "{1}\n\n\n{0}",
    "text before\n{0}text between\n{1}text behind\n"]


@pytest.mark.parametrize("form", LISTS)
def test_every_certificate_of_the_list_is_trusted(stack, node, tmp_path, form):
    certificate, key_file = self_signed(tmp_path, "second")
    both = form.format(Path(stack.env["SIGN_CERT"]).read_text(), certificate.read_text())
    node.change(signature_certificate_list=both)
    for signer in None, key_file:
        stack.index(key := new_key(), *pair(stack, stack.upload(b"there"), signer))
        assert b"warning" not in assert_ended(node.run("download", "-k", key), DONE).stderr
    assert "2 certificates: " in node.run("config").stdout.decode()


def test_a_list_over_several_additions_counts_whole(stack, node, tmp_path):
    certificate, key_file = self_signed(tmp_path, "second")
    node.change(signature_certificate_list=None)
    for sign, path in ("=", stack.env["SIGN_CERT"]), ("+=", certificate):
        lines = "".join(f"    {line}\n" for line in Path(path).read_text().splitlines())
        node.config.write_text(f"{node.config.read_text()}signature-certificate-list {sign}\n{lines}")
    for signer in None, key_file:
        stack.index(key := new_key(), *pair(stack, stack.upload(b"there"), signer))
        assert_ended(node.run("download", "-k", key, "--strict"), DONE)
