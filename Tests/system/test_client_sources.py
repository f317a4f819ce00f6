"""What `shacache upload` reads: all bytes that there are, of files that say otherwise, of directories by any name."""

import io
import os
import pty
import subprocess
import tarfile
import threading

import pytest
from deployed import client_of, new_key
from impostor import reply
from node import CLEAN, DONE, FAILED, MISUSE, SHACACHE, assert_ended
from slapgrid import key_of
from test_client_binary_cache import make_release, new_url
from test_client_upload import LARGE, make, name_of, stored


def uploaded(stack, node, *words, **options):
    """The bytes of what an upload put into the cache."""
    done = assert_ended(node.run("upload", "--quiet", *words, **options), DONE)
    return stored(stack, done.stdout.decode().strip())


def members(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return opened.getnames()


# Sizes


# Descriptor.hasSize: procfs says 0, sysfs a page.
@pytest.mark.parametrize("path", [
    "/proc/version", "/proc/self/limits", "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/kernel/fscaps"])
def test_a_file_whose_size_is_made_up_goes_in_whole(stack, node, path):
    if not os.path.exists(path):
        pytest.skip("this kernel has no such file")
    if path.startswith("/proc/self"):
        assert uploaded(stack, node, path).startswith(b"Limit")
    else:
        assert uploaded(stack, node, path) == open(path, "rb").read()


def test_empty_and_sparse_files_go_in_as_they_are(stack, node):
    make(node, "empty", b"")
    assert uploaded(stack, node, "empty") == b""
    with open(node.directory / "sparse", "wb") as sparse:
        sparse.seek(3_000_000)
        sparse.write(b"end")
        sparse.truncate(5_000_000)
    assert name_of(uploaded(stack, node, "sparse")) == name_of((node.directory / "sparse").read_bytes())


# Packing.copy: a header with that size would lose the bytes.
@pytest.mark.parametrize("path, says", [
    ("/proc/sys/kernel/random", "has more bytes than its size says"),
    ("/sys/kernel/mm/transparent_hugepage", "has fewer bytes than its size says")])
def test_such_a_file_in_a_directory_is_refused(node, path, says):
    if not os.path.exists(path):
        pytest.skip("this kernel has no such directory")
    assert_ended(node.run("upload", path), FAILED, says)


def grow(file):
    with open(file, "ab") as opened:
        opened.write(b"more")


def cut(file):
    os.truncate(file, 10)


def write_over(file):
    with open(file, "r+b") as opened:
        opened.write(b"other")


def replace(file):
    other = file.with_name("other")
    other.write_bytes(file.read_bytes()[::-1])
    other.rename(file)


def write_over_with_the_old_time(file):
    before = file.stat()
    write_over(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


# FileStamp.check, when all is hashed, and when all is sent.
@pytest.mark.parametrize("change", [grow, cut, write_over, replace, write_over_with_the_old_time])
@pytest.mark.parametrize("size", [100_000, LARGE])
@pytest.mark.parametrize("method", ["HEAD", "POST"])
def test_a_file_that_changes_while_it_is_read_is_no_success(deceived, impostor, change, size, method):
    def answer(handler):
        if handler.command == method and handler.path.startswith("/shacache"):
            change(deceived.directory / "file")
        if handler.command == "HEAD":
            return reply(handler, 404) or True

    make(deceived, size=size)
    impostor.answer = answer
    done = assert_ended(deceived.run("upload", "-k", "a", "--retries", "0", "file"), FAILED)
    assert any(how in done.stderr for how in (b"changed", b"grew", b"shrank")), done
    assert impostor.asked("PUT") == []


@pytest.mark.parametrize("name", ["tree", "-"])
def test_a_file_in_a_directory_or_redirected_that_is_written_over_is_no_success(deceived, impostor, name):
    (deceived.directory / "tree").mkdir()
    file = deceived.directory / "tree/file"
    file.write_bytes(os.urandom(60_000_000))
    over = threading.Event()

    def disturb():
        while not over.wait(0.01):
            write_over(file)

    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        with open(file, "rb") as redirected:
            done = deceived.run("upload", "-k", "a", name, stdin=redirected)
        assert_ended(done, FAILED, "changed while it was read")
        assert b"shacache: hint: upload it again when nothing writes to it any more" in done.stderr
    finally:
        over.set()
        disturber.join()
    assert impostor.asked("PUT") == []


# Directories


@pytest.fixture
def tree(node):
    """A directory `out` with a file in it, which is the working directory, and a link to it."""
    out = node.directory / "out"
    out.mkdir()
    (out / "x").write_text("x")
    (node.directory / "latest").symlink_to("out")
    return out


# Source.nameOfDirectory.
@pytest.mark.parametrize("name, top", [
    (".", "out"), ("./", "out"), ("./.", "out"), ("../out", "out"), ("../out/.", "out"), ("../out/../out", "out"),
    ("../latest", "latest"), ("../latest/", "latest"), ("../latest/.", "out"), ("sub/..", "out")])
def test_a_directory_may_be_named_in_any_way(stack, node, tree, name, top):
    if name.startswith("sub"):
        (tree / "sub").mkdir()
    names = members(uploaded(stack, node, name, cwd=tree))
    assert names[0] == top and f"{top}/x" in names


def test_the_directory_above_goes_in_by_its_name(stack, node, tree):
    assert "node/out/x" in members(uploaded(stack, node, "..", cwd=tree))
    version = f"1.{int.from_bytes(os.urandom(6))}"
    assert_ended(node.run("upload", "--pypi", f"a=={version}", ".", cwd=tree), DONE)
    assert next(iter(client_of(stack).select(f"pypi:a={version}")))["basename"] == "out.tar.gz"


# BinaryCache.publish reads what a link leads to, and .. as the kernel follows it.
@pytest.mark.parametrize("name", [".", "..", "sub/..", "{root}/link/sub/..", "../{key}", "{root}/{key}/"])
def test_a_release_may_be_named_in_any_way(stack, node, tmp_path, name):
    url = new_url()
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    root.mkdir()
    release = make_release(root / key_of(url))
    (release / "sub").mkdir()
    (root / "link").symlink_to(release)
    words = [name.format(root=root, key=key_of(url)), "--software-url", url]
    done = node.run("binary-cache", "publish", *words, cwd=release / "sub" if name == ".." else release)
    assert b"warning: " not in assert_ended(done, DONE).stderr
    entry = next(iter(client_of(stack).select(key_of(url))))
    assert entry["software_root"] == str(root)


def test_a_release_may_be_a_link(stack, node, tmp_path):
    url = new_url()
    (tmp_path / "root").mkdir()
    (tmp_path / "release").mkdir()
    (tmp_path / "release/x").write_text("x")
    (tmp_path / "root" / key_of(url)).symlink_to(tmp_path / "release")
    assert_ended(node.run("binary-cache", "publish", tmp_path / "root" / key_of(url), "--software-url", url), DONE)
    entry = next(iter(client_of(stack).select(key_of(url))))
    assert entry["software_root"] == str(tmp_path / "root")
    assert members(stored(stack, entry["sha512"])) == [key_of(url), f"{key_of(url)}/x"]
    assert_ended(node.run("binary-cache", "publish", "/", "--software-url", url), MISUSE, "no release")


# Standard input


@pytest.mark.parametrize("size", [0, 100_000, LARGE])
def test_standard_input_goes_in(stack, node, size):
    data = os.urandom(size)
    assert name_of(uploaded(stack, node, "-", input=data)) == name_of(data)


# Descriptor.forEachPiece.
def test_a_redirected_file_goes_in_from_where_it_stands(stack, node):
    data = make(node, size=1000)
    with open(node.directory / "file", "rb") as file:
        os.lseek(file.fileno(), 10, os.SEEK_SET)
        assert uploaded(stack, node, "-", stdin=file) == data[10:]


def test_standard_input_stands_for_what_is_at_a_url(stack, node):
    url = f"https://example.org/{os.urandom(8).hex()}"
    assert uploaded(stack, node, "--url", url, "-", input=b"from there") == b"from there"
    assert node.run("download", "--url", url).stdout == b"from there"


def test_standard_input_has_no_name_of_its_own(stack, node):
    version = f"1.{int.from_bytes(os.urandom(6))}"
    assert_ended(node.run("upload", "--pypi", f"a=={version}", "-", input=b"a"), MISUSE, "--meta basename=NAME")
    words = ["upload", "--pypi", f"a=={version}", "--meta", "basename=a.whl", "-"]
    assert_ended(node.run(*words, input=b"a"), DONE)
    assert next(iter(client_of(stack).select(f"pypi:a={version}")))["basename"] == "a.whl"
    assert_ended(node.run("upload", "-", "-", input=b"a"), MISUSE, "can be read once")


@pytest.mark.parametrize("words", [["./-"], ["--", "./-"], ["--", "-x"]])
def test_a_file_may_be_named_like_an_option(stack, node, words):
    data = make(node, words[-1], size=1000)
    assert uploaded(stack, node, *words, input=b"not this") == data


def test_nobody_types_an_upload(node):
    ours, theirs = pty.openpty()
    try:
        assert_ended(node.run("upload", "-", stdin=theirs), MISUSE, "is a terminal")
    finally:
        os.close(ours)
        os.close(theirs)


# Main.holdStandardDescriptors: /dev/null would be an empty file.
def test_a_closed_standard_input_is_no_empty_file(node):
    words = node.command("upload", "-")
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *words], cwd=node.directory, env=CLEAN, capture_output=True, timeout=60)
    assert_ended(done, FAILED, "bad file descriptor")


def test_the_deployed_names_know_no_standard_input(node, tmp_path):
    """Theirs opens a file that is named so."""
    (tmp_path / "networkcache-upload").symlink_to(SHACACHE)
    run = lambda *words: subprocess.run(
        [tmp_path / "networkcache-upload", "-c", node.config, *words], cwd=node.directory, env=CLEAN, input=b"",
        capture_output=True, timeout=60)
    assert run("-k", "a", "-f", "-").returncode == 1 and run("-u", "-").returncode == 1
