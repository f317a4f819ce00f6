"""Names of files are bytes: what isn't UTF-8 works wherever a name is asked for, and shows as what it is."""

import io
import json
import os
import subprocess
import tarfile

import pytest
from deployed import client_of, new_key
from node import CLEAN, DONE, MISUSE, SHACACHE, Node, assert_ended
from test_client_download import leftovers, published
from test_client_upload import name_of, stored

NAME = os.fsdecode(b"caf\xe9\xff")  # Latin-1, and what is no beginning of anything
# What stands for such bytes inside, and is a name of its own; composed and decomposed; an accent alone.
NAMES = [NAME, os.fsdecode(b"\xf4\x8f\xbf\xa9"), "\u00e9", "e\u0301", "\u0301x", os.fsdecode(b"\xed\xb3\xa9")]


def run(node, *words, **options):
    """As `node.run`, whose words may hold any bytes."""
    return node.run(*words, **{"config": False, "env": {"SHACACHE_CONFIG": str(node.config)}, **options})


# CommandLine.arguments would repair the name, and so look for another file.
@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_any_name_goes_in_and_comes_out(stack, node, name):
    data, key = os.urandom(1000), new_key()
    (node.directory / "in").mkdir()
    (node.directory / "in" / name).write_bytes(data)
    assert_ended(run(node, "upload", "-k", key, f"in/{name}"), DONE)
    for words in ["-o", f"out-{name}"], [f"-oout-{name}"], [f"--output=out-{name}"]:
        assert_ended(run(node, "download", "-k", key, *words), DONE)
        assert (node.directory / f"out-{name}").read_bytes() == data
        (node.directory / f"out-{name}").unlink()
    assert sorted(os.listdir(node.directory)) == ["in", "slapos.cfg"]


@pytest.mark.parametrize("name", NAMES)
def test_a_directory_of_any_name_goes_in(stack, node, name):
    (node.directory / name).mkdir()
    (node.directory / name / name).write_text("inside")
    digest = run(node, "upload", name).stdout.decode().strip()
    with tarfile.open(fileobj=io.BytesIO(stored(stack, digest)), encoding="utf-8", errors="surrogateescape") as archive:
        assert archive.getnames() == [name, f"{name}/{name}"]


def test_a_file_url_may_name_any_bytes(stack, node):
    (node.directory / NAME).write_bytes(b"by URL")
    done = assert_ended(run(node, "upload", f"file://{node.directory}/caf%e9%FF"), DONE)
    assert stored(stack, done.stdout.decode().strip()) == b"by URL"


# environmentVariable, and systemCall's way to the system.
def test_configuration_temporary_files_and_metadata_of_any_name(stack, node, tmp_path):
    away = tmp_path / NAME
    away.mkdir()
    node.config.rename(away / NAME)
    (away / "meta.json").write_text('{"a": "b"}')
    key = new_key()
    (node.directory / "tree").mkdir()
    words = ["upload", "-k", key, "--metadata", f"{away}/meta.json", "tree"]
    assert_ended(run(node, *words, env={"SHACACHE_CONFIG": f"{away}/{NAME}", "TMPDIR": str(away)}), DONE)
    assert_ended(run(node, "download", "--config", f"{away}/{NAME}", "-k", key, env={"TMPDIR": str(away)}), DONE)
    assert next(iter(client_of(stack).select(key)))["a"] == "b"
    assert sorted(os.listdir(away)) == sorted([NAME, "meta.json"])
    # TMPDIR was looked at.
    done = run(node, *words, env={"SHACACHE_CONFIG": f"{away}/{NAME}", "TMPDIR": f"{away}/{NAME}"})
    assert b"not a directory" in done.stderr
    shown = json.loads(run(node, "config", "--json", env={"SHACACHE_CONFIG": f"{away}/{NAME}"}).stdout)
    assert shown["download-cache-url"]["source"].endswith("/caf\\xE9\\xFF:2")


# NodeConfiguration.open keeps the bytes, and Session.set gives them to libcurl.
def test_files_of_any_name_in_the_configuration(closed, tmp_path):
    node = Node.of(closed, tmp_path / "node")
    files = {option: value for option, value in node.options.items() if option.endswith("-file")}
    for number, (option, value) in enumerate(files.items()):
        copy = node.directory / f"{number}{NAME}"
        copy.write_bytes(open(value, "rb").read())
        node.options[option] = str(copy)
    lines = [f"{name} = " + value.replace("\n", "\n  ") for name, value in node.options.items()]
    node.config.write_bytes(b"[networkcache]\n" + os.fsencode("\n".join(lines)) + b"\n")
    (node.directory / "file").write_bytes(data := os.urandom(1000))
    key = new_key()
    assert_ended(run(node, "upload", "-k", key, "file"), DONE)
    assert run(node, "download", "-k", key).stdout == data


def test_a_signing_key_of_any_name(node):
    done = assert_ended(run(node, "generate-signature-key", NAME, "Me", "--cert-file", f"{NAME}.crt"), DONE)
    assert b"caf\\xE9\\xFF" in done.stderr
    assert (node.directory / NAME).stat().st_mode & 0o777 == 0o600 and (node.directory / f"{NAME}.crt").exists()
    assert_ended(run(node, "generate-signature-key", NAME, "Me"), MISUSE, "caf\\xE9\\xFF: exists")


def test_the_old_names_take_any_bytes_too(stack, node, tmp_path):
    for name in "networkcache-upload", "networkcache-download":
        (tmp_path / name).symlink_to(SHACACHE)
    node.config.rename(node.directory / NAME)
    (node.directory / f"file{NAME}").write_bytes(b"in it")
    (node.directory / f"meta{NAME}").write_text('{"a": "b"}')
    key = new_key()
    words = ["networkcache-upload", "-c", NAME, "-k", key, "-f", f"file{NAME}", f"-mmeta{NAME}"]
    for words in words, ["networkcache-download", f"--conf={NAME}", "-k", key, 'a=="b"']:
        done = subprocess.run(
            [tmp_path / words[0], *words[1:]], cwd=node.directory, env=CLEAN, capture_output=True, timeout=60)
        assert_ended(done, DONE)
    assert done.stdout == b"in it"


# How it shows


def test_what_is_said_shows_the_bytes_and_data_holds_them(stack, node):
    (node.directory / NAME).write_bytes(b"a")
    (node.directory / "plain").write_bytes(b"b")
    done = assert_ended(run(node, "upload", NAME, "plain"), DONE)
    # As sha512sum prints them.
    assert done.stdout == b"%s  caf\xe9\xff\n%s  plain\n" % (name_of(b"a").encode(), name_of(b"b").encode())
    assert b"shacache: caf\\xE9\\xFF: " in done.stderr
    assert json.loads(run(node, "upload", "--json", NAME).stdout)[0]["source"] == "caf\\xE9\\xFF"
    assert_ended(run(node, "upload", f"{NAME}-missing"), 2, "caf\\xE9\\xFF-missing: no such file")
    done = run(node, "upload", "plain", f"--{NAME}")
    assert done.returncode == MISUSE and b"caf\\xE9\\xFF" in done.stderr


def test_metadata_holds_text(stack, node):
    """JSON has no other bytes: a name stands in it with percent escapes."""
    version = f"1.{int.from_bytes(os.urandom(6))}"
    (node.directory / NAME).write_bytes(b"a")
    assert_ended(run(node, "upload", "--pypi", f"a=={version}", NAME), DONE)
    assert next(iter(client_of(stack).select(f"pypi:a={version}")))["basename"] == "caf%E9%FF"


# BinaryCache.publish: its directory's name would be signed.
def test_a_release_below_a_name_that_is_no_text_is_not_published(deceived, impostor):
    (deceived.directory / NAME / "release").mkdir(parents=True)
    words = "binary-cache", "publish", f"{NAME}/release", "--software-url", "https://example.org/software.cfg"
    assert_ended(deceived.run(*words), MISUSE, "is not valid UTF-8")
    assert impostor.requests == []


# requireText
@pytest.mark.parametrize("words", [
    ["upload", "-k", NAME, "file"], ["upload", "--url", f"https://example.org/{NAME}", "file"],
    ["upload", "-k", "a", "--meta", f"a={NAME}", "file"], ["upload", f"http://localhost/{NAME}"],
    ["download", "-k", "a", f'a=="{NAME}"'], ["download", "-k", "a", "--origin", f"http://localhost/{NAME}"],
    ["lookup", "-s", NAME], ["generate-signature-key", "key", NAME]])
def test_what_must_be_text_is_refused(deceived, impostor, words):
    (deceived.directory / "file").write_bytes(b"a")
    assert_ended(run(deceived, *words), MISUSE, "is not valid UTF-8")
    assert impostor.requests == [] and leftovers(deceived.directory) == []


@pytest.mark.parametrize("program", ["shacached", "shacache-page", "shacache-admin"])
def test_the_servers_programs_read_a_configuration_of_any_name(stack, tmp_path, program):
    config = tmp_path / NAME
    words = {"shacached": ["--check-config"], "shacache-page": [], "shacache-admin": ["status"]}[program]

    def says(name):
        command = [SHACACHE.parent / program, *words, "--config", name]
        done = subprocess.run(command, cwd=tmp_path, env=CLEAN, capture_output=True, timeout=60)
        return done.stderr + done.stdout

    assert b"caf\\xE9\\xFF: no such file" in says(NAME)
    config.write_text("[nonsense]\n")
    assert b"caf\\xE9\\xFF: " in says(NAME) and b"no such file" not in says(NAME)
    if program != "shacache-page":
        config.write_bytes((stack.state / "shacache.toml").read_bytes())
        assert b"rror" not in says(NAME) and b"nonsense" not in says(NAME)
