"""`shacache binary-cache`: slapgrid's releases, published and installed by either side, and never half of one."""

import hashlib
import io
import json
import os
import shutil
import socket
import stat
import tarfile
import threading
from pathlib import Path

import pytest
import slapgrid
from deployed import client_of, sign
from impostor import reply
from node import DONE, FAILED, MISSING, MISUSE, UNREACHABLE, UNTRUSTED, Node, assert_ended
from slapgrid import key_of
from slapos.grid.networkcache import is_compatible, machine_info_tuple
from stack import eventually, free_port

HERE = machine_info_tuple()


def new_url():
    return f"https://lab.example.org/{os.urandom(8).hex()}/software.cfg"


def make_release(directory):
    """What compiled releases hold."""
    directory.mkdir(parents=True)
    (directory / "bin").mkdir()
    (directory / "bin/python3.11").write_bytes(os.urandom(200_000))
    (directory / "bin/python3.11").chmod(0o755)
    (directory / "bin/python").symlink_to("python3.11")
    os.link(directory / "bin/python3.11", directory / "bin/python3")
    (directory / "absolute").symlink_to(directory / "bin/python3")
    (directory / "up/and").mkdir(parents=True)
    (directory / "up/and/away").symlink_to("../../bin")
    (directory / "dangling").symlink_to("nowhere")
    (directory / "empty").mkdir(mode=0o750)
    (directory / "empty file").touch()
    (directory / "Ünïcode 😀").write_text("é")
    (directory / os.fsdecode(b"latin1-\xe9")).write_text("bytes")
    (directory / ("x" * 200) / ("y" * 200)).mkdir(parents=True)
    (directory / ("x" * 200) / ("y" * 200) / ("z" * 250)).write_text("deep")
    (directory / "private").write_text("private")
    (directory / "private").chmod(0o600)
    (directory / "read-only").mkdir()
    (directory / "read-only/file").write_text("fixed")
    (directory / "read-only/file").chmod(0o444)
    (directory / "read-only").chmod(0o555)
    with open(directory / "sparse", "wb") as file:
        file.seek(3_000_000)
        file.write(b"end")
    for path in sorted(directory.rglob("*"), reverse=True):
        os.utime(path, (1_500_000_000, 1_500_000_000), follow_symlinks=False)
    os.utime(directory, (1_500_000_001, 1_500_000_001))
    return directory


def described(directory):
    """Everything about a tree that an archive keeps."""
    tree = {}
    for path in [directory, *directory.rglob("*")]:
        status = path.lstat()
        mode = 0 if path.is_symlink() else stat.S_IMODE(status.st_mode)
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        tree[os.fsencode(path.relative_to(directory))] = (
            stat.S_IFMT(status.st_mode), mode, content, None if path.is_symlink() else int(status.st_mtime),
            status.st_nlink if path.is_file() else None)
    return tree


@pytest.fixture
def root(tmp_path):
    (tmp_path / "slapgrid").mkdir()
    return tmp_path / "slapgrid"


def publish(node, directory, url, *words):
    return node.run("binary-cache", "publish", directory, "--software-url", url, *words)


def install(node, root, url, *words, **options):
    return node.run("binary-cache", "install", "--software-url", url, "--software-root", root, *words, **options)


def published_by_us(node, directory, url, tmp_path):
    assert_ended(publish(node, directory, url, "--strict"), DONE)


def published_by_slapgrid(node, directory, url, tmp_path):
    assert slapgrid.publish(node, directory, url, tmp_path / "archive")


def installed_by_us(node, root, url, tmp_path):
    done = assert_ended(install(node, root, url, "--strict"), DONE)
    assert done.stdout.decode() == f"{root}/{key_of(url)}\n"


def installed_by_slapgrid(node, root, url, tmp_path):
    assert slapgrid.install(node, url, root, tmp_path / "archive")


# Either side may be slapgrid


@pytest.mark.parametrize("published, installed", [
    (published_by_us, installed_by_us), (published_by_us, installed_by_slapgrid), (published_by_slapgrid, installed_by_us)])
def test_a_release_arrives_as_it_was(node, root, tmp_path, published, installed):
    url = new_url()
    directory = make_release(root / key_of(url))
    wanted = described(directory)
    if published is published_by_us:  # slapgrid on Python 3.14 takes no absolute links
        wanted[b"absolute"] = (*wanted[b"absolute"][:2], "bin/python3", *wanted[b"absolute"][3:])
    published(node, directory, url, tmp_path)
    directory.rename(tmp_path / "before")
    installed(node, root, url, tmp_path)
    assert described(directory) == wanted
    assert os.listdir(root) == [key_of(url)]


def test_its_entry_is_slapgrids_byte_for_byte(stack, node, root, tmp_path):
    texts = []
    for published in published_by_us, published_by_slapgrid:
        url = new_url()
        published(node, make_release(root / key_of(url)), url, tmp_path)
        ((metadata, _),) = stack.entries(key_of(url))
        digest = json.loads(metadata)["sha512"]
        texts.append(metadata.replace(url, "URL").replace(digest, "SHA512"))
    assert texts[0] == texts[1]


def test_published_again_nothing_is_sent_and_one_entry_stays(stack, node, root):
    url = new_url()
    directory = make_release(root / key_of(url))
    first, second = (publish(node, directory, url) for _ in range(2))
    assert b": sent, " in first.stderr and b": was there, " in second.stderr and b"was listed" in second.stderr
    assert first.stdout == second.stdout and len(stack.entries(key_of(url))) == 1


def test_the_mark_of_slapgrids_own_report_is_left_out(node, root, tmp_path):
    # slapgrid writes it after it has told of a release, which the next node hasn't.
    url = new_url()
    directory = make_release(root / key_of(url))
    (directory / ".completed").write_text("")
    published_by_us(node, directory, url, tmp_path)
    shutil.rmtree(directory)
    installed_by_us(node, root, url, tmp_path)
    assert (directory / "bin/python").exists()


# What publishing refuses, and tells


def test_a_release_with_shared_parts_is_not_published(stack, node, root):
    url = new_url()
    directory = make_release(root / key_of(url))
    (directory / ".shared").mkdir()
    assert_ended(publish(node, directory, url), MISUSE, ".shared")
    assert stack.entries(key_of(url)) is None
    assert_ended(publish(node, directory / "bin/python", url), MISUSE, "not a directory")
    assert_ended(publish(node, root / "missing", url), MISUSE)


def test_what_nodes_would_miss_is_a_warning(node, root):
    url = new_url()
    directory = make_release(root / "another-name")
    (directory / "out").symlink_to("/usr/bin/env")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(directory)  # a socket's path is short
        listener.bind("socket")
        os.chdir(here)
    done = assert_ended(publish(node, directory, url, "--allow-links-out"), DONE)
    for words in "socket: left out", "out: a link that leads out, to /usr/bin/env", f"nodes install it as {key_of(url)}":
        assert words in done.stderr.decode(), done
    assert_ended(publish(node, directory, url, "--allow-links-out", "--strict"), FAILED)


def test_an_upload_blacklist_is_honoured_and_reported(stack, node, root, tmp_path):
    url = new_url()
    directory = make_release(root / key_of(url))
    node.change(upload_to_binary_cache_url_blacklist="\nhttps://other.example.org/\nhttps://lab.example.org/")
    done = assert_ended(publish(node, directory, url), DONE, "blacklisted by https://lab.example.org/")
    assert done.stdout == b"" and stack.entries(key_of(url)) is None
    assert_ended(publish(node, directory, url, "--strict"), FAILED)
    node.change(upload_to_binary_cache_url_blacklist="https://other.example.org/")
    published_by_us(node, directory, url, tmp_path)


# What installing refuses, and tells


@pytest.fixture
def release(node, root, tmp_path):
    """The URL of a release that is in the cache, and not here."""
    url = new_url()
    directory = make_release(root / key_of(url))
    published_by_us(node, directory, url, tmp_path)
    (directory / "read-only").chmod(0o755)
    shutil.rmtree(directory)
    return url


@pytest.mark.parametrize("option", ["download-from-binary-cache-url-blacklist", "binary-cache-url-blacklist"])
def test_a_download_blacklist_is_honoured_and_reported(node, root, release, option):
    node.change(**{option: "\nhttps://lab.example.org/"})
    assert_ended(install(node, root, release), MISSING, "blacklisted by https://lab.example.org/")
    assert os.listdir(root) == []


def test_the_old_blacklist_counts_only_when_the_new_one_is_empty(node, root, release):
    node.change(
        download_from_binary_cache_url_blacklist="https://other.example.org/",
        binary_cache_url_blacklist="https://lab.example.org/")
    assert_ended(install(node, root, release), DONE)


def test_when_the_binary_cache_is_forced_a_failure_says_so(node, root):
    node.change(download_from_binary_cache_force_url_list="\nhttps://lab.example.org/")
    assert_ended(install(node, root, new_url()), MISSING, "not to be compiled here: the binary cache is forced for https://lab.")
    node.change(download_from_binary_cache_force_url_list="https://other.example.org/")
    assert b"forced" not in assert_ended(install(node, root, new_url()), MISSING).stderr


def test_a_release_that_is_there_already_is_left_alone(node, root, release):
    (root / key_of(release) / "bin").mkdir(parents=True)
    done = assert_ended(install(node, root, release), DONE, "already")
    assert done.stdout.decode() == f"{root}/{key_of(release)}\n" and os.listdir(root / key_of(release)) == ["bin"]


def test_where_releases_are_is_the_option_else_slapos_cfgs(node, root, release):
    node.config.write_text(node.config.read_text() + f"[slapos]\nsoftware_root = {root}\n")
    done = assert_ended(node.run("binary-cache", "install", "--software-url", release), DONE)
    assert done.stdout.decode() == f"{root}/{key_of(release)}\n"


def test_a_software_root_that_is_not_there_is_1(node, root, release):
    assert_ended(install(node, root / "missing", release), MISUSE, "missing")


# requireReleaseURL: it would be listed under the MD5 of the MD5.
@pytest.mark.parametrize("md5", ["0123456789abcdef" * 2, "0123456789ABCDEF" * 2])
def test_a_releases_md5_is_no_url(stack, node, root, md5):
    for run in publish, install:
        assert_ended(run(node, root, md5), MISUSE, "give the URL of the release's profile itself")
    assert stack.entries(key_of(md5)) is None


def test_an_empty_name_is_called_so(node, root):
    for run in publish, install:
        assert_ended(run(node, "", new_url()), MISUSE, "the name of the file is empty")


def test_the_exit_code_says_why_there_is_none(stack, node, root, release):
    assert_ended(install(node, root, new_url()), MISSING)
    unsigned = new_url()
    stack.index(key_of(unsigned), json.dumps({"sha512": "0" * 128, "multiarch": HERE[0], "os": HERE[1]}))
    assert_ended(install(node, root, unsigned), UNTRUSTED)
    node.change(download_binary_dir_url=f"http://127.0.0.1:{free_port()}")
    assert_ended(install(node, root, release, "--retries", "0"), UNREACHABLE)
    node.change(download_binary_dir_url=None)
    assert_ended(install(node, root, release), MISUSE, "download-binary-dir-url")
    assert os.listdir(root) == []


def listed(stack, impostor, url, data, **metadata):
    """Lists an archive at the impostor's, signed."""
    text = json.dumps({"sha512": impostor.has(data), **{"multiarch": HERE[0], "os": HERE[1], **metadata}})
    impostor.listings.setdefault(key_of(url), []).append([text, sign(stack, text)])


def archive(url, *members):
    """A tar.gz of (name, type, link target or content)."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name, kind, rest in [("", tarfile.DIRTYPE, ""), *members]:
            info = tarfile.TarInfo(f"{key_of(url)}/{name}".rstrip("/") if not name.startswith(("/", "=")) else name.lstrip("="))
            info.type, info.mode = kind, 0o755
            content = rest if isinstance(rest, bytes) else b""
            info.size, info.linkname = len(content), rest if isinstance(rest, str) else ""
            tar.addfile(info, io.BytesIO(content))
    return data.getvalue()


PLATFORMS = [
    {}, {"multiarch": "m68k-linux-gnu"}, {"os": ["debian", "1", ""]}, {"os": ["gentoo", *HERE[1][1:]]}, {"os": []}, {"os": 5},
    {"multiarch": None}, {"os": [HERE[1][0].upper(), HERE[1][1] + ".7", "other"]}, {"os": ["Raspbian", HERE[1][1], ""]},
    {"os": list(HERE[1]) + ["more"]}, {"os": " ".join(HERE[1])}]


# Platform.runs is slapgrid's is_compatible.
@pytest.mark.parametrize("platform", PLATFORMS, ids=str)
def test_what_fits_this_machine_is_what_slapgrid_takes(stack, deceived, impostor, root, tmp_path, platform):
    url = new_url()
    listed(stack, impostor, url, archive(url, ("file", tarfile.REGTYPE, b"fits")), **platform)
    theirs = slapgrid.install(deceived, url, root, tmp_path / "archive")
    if theirs:
        shutil.rmtree(root / key_of(url))
    done = install(deceived, root, url)
    assert done.returncode == (DONE if theirs else MISSING), done
    # As slapos cachelookup shows it, which gives up on some of them.
    (row,) = deceived.json("lookup", "-s", url, status=DONE if theirs else MISSING)["entries"]
    try:
        fits = is_compatible(HERE, (platform.get("multiarch", HERE[0]), platform.get("os", HERE[1])))
    except (AttributeError, ValueError, TypeError):
        fits = False
    assert bool(row["fits"]) == fits == bool(theirs)


def test_entries_from_before_2021_are_taken_as_slapgrid_takes_them(stack, deceived, impostor, root, tmp_path):
    url, text = new_url(), None
    for os_text in str(("gentoo", "1", "")), str(tuple(HERE[1])):
        data = archive(url, ("file", tarfile.REGTYPE, os_text.encode()))
        text = json.dumps({"sha512": impostor.has(data), "machine": "x86_64", "os": os_text})
        impostor.listings.setdefault(key_of(url), []).append([text, sign(stack, text)])
    assert slapgrid.install(deceived, url, root, tmp_path / "archive") is (HERE[0] == "x86_64-linux-gnu")
    shutil.rmtree(root / key_of(url), ignore_errors=True)
    assert install(deceived, root, url).returncode == (DONE if HERE[0] == "x86_64-linux-gnu" else MISSING)


def test_the_first_that_fits_is_taken_and_the_next_when_its_blob_is_not_there(stack, deceived, impostor, root):
    url = new_url()
    for text, platform in (b"other", {"multiarch": "m68k-linux-gnu"}), (b"gone", {}), (b"right", {}), (b"late", {}):
        listed(stack, impostor, url, archive(url, ("file", tarfile.REGTYPE, text)), **platform)
    del impostor.blobs[json.loads(impostor.listings[key_of(url)][1][0])["sha512"]]
    done = assert_ended(install(deceived, root, url, "--verbose"), DONE, "tries the next entry")
    assert f"{key_of(url)}: passed over, SHA-512 " in done.stderr.decode() and b": for m68k-linux-gnu " in done.stderr
    assert (root / key_of(url) / "file").read_bytes() == b"right"


def hostile(path):
    """Members that must not be extracted; `path` is a directory outside."""
    return {
        "an absolute path": [(f"{path}/pwned", tarfile.REGTYPE, b"pwned")],
        "a path that goes up": [("../pwned", tarfile.REGTYPE, b"pwned")],
        "another release": [("=" + "0" * 32 + "/pwned", tarfile.REGTYPE, b"pwned")],
        "a link that leads out": [("link", tarfile.SYMTYPE, "../../outside")],
        "an absolute link that leads out": [("link", tarfile.SYMTYPE, str(path))],
        "a file behind a link": [("link", tarfile.SYMTYPE, str(path)), ("link/pwned", tarfile.REGTYPE, b"pwned")],
        "a link by way of a link": [
            ("a/b", tarfile.DIRTYPE, ""), ("c", tarfile.SYMTYPE, "a/b"), ("d", tarfile.SYMTYPE, "c/../../../outside")],
        "a hard link to what is outside": [("link", tarfile.LNKTYPE, f"{path}/precious")],
        "a device": [("null", tarfile.CHRTYPE, "")],
    }


@pytest.mark.parametrize("name", hostile(""))
def test_a_hostile_archive_is_refused_and_leaves_nothing(stack, deceived, impostor, root, tmp_path, name):
    outside, url = tmp_path / "outside", new_url()
    outside.mkdir()
    (outside / "precious").write_text("precious")
    listed(stack, impostor, url, archive(url, ("before", tarfile.REGTYPE, b"harmless"), *hostile(outside)[name]))
    done = assert_ended(install(deceived, root, url), FAILED)
    assert done.stdout == b"" and os.listdir(root) == []
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"precious": "precious"}
    assert sorted(os.listdir(tmp_path)) == ["node", "outside", "slapgrid"] and (outside / "precious").stat().st_nlink == 1


@pytest.mark.parametrize("damage", [
    lambda data: data[:-20], lambda data: data[:len(data) // 2], lambda data: b"", lambda data: b"no archive",
    lambda data: data[:-8] + bytes(4) + data[-4:]])
def test_an_archive_that_is_none_leaves_nothing(stack, deceived, impostor, root, damage):
    url = new_url()
    listed(stack, impostor, url, damage(archive(url, ("file", tarfile.REGTYPE, os.urandom(50_000)))))
    assert_ended(install(deceived, root, url), FAILED)
    assert os.listdir(root) == []


def test_an_archive_with_other_bytes_than_the_entrys_is_not_extracted(stack, deceived, impostor, root):
    url = new_url()
    listed(stack, impostor, url, archive(url, ("file", tarfile.REGTYPE, b"right")))
    (digest,) = impostor.blobs
    impostor.blobs[digest] = archive(url, ("file", tarfile.REGTYPE, b"wrong"))
    assert_ended(install(deceived, root, url), UNTRUSTED)
    assert os.listdir(root) == []


def test_setuid_is_dropped_and_what_is_made_belongs_to_the_owner_of_the_root(stack, deceived, impostor, root):
    url = new_url()
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name, kind, mode in ("", tarfile.DIRTYPE, 0o755), ("/su", tarfile.REGTYPE, 0o6755), ("/tmp", tarfile.DIRTYPE, 0o777):
            info = tarfile.TarInfo(key_of(url) + name)
            info.type, info.mode, info.uid, info.gid, info.uname = kind, mode, 4321, 4321, "root"
            tar.addfile(info)
    listed(stack, impostor, url, data.getvalue())
    if os.geteuid() == 0:
        os.chown(root, 1234, 2345)
    assert_ended(install(deceived, root, url), DONE)
    owner = root.stat()
    for path in [root / key_of(url), *(root / key_of(url)).iterdir()]:
        assert (path.stat().st_uid, path.stat().st_gid) == (owner.st_uid, owner.st_gid)
    assert (root / key_of(url) / "su").stat().st_mode & 0o7777 == 0o755


# Killed


MEMBERS = 8_000


@pytest.fixture
def many(stack, deceived, impostor):
    """A release of very many files."""
    url = new_url()
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz", compresslevel=1) as tar:
        for number in range(MEMBERS):
            info = tarfile.TarInfo(f"{key_of(url)}/{number % 100}/{number}")
            info.size, info.mode = 10, 0o644
            tar.addfile(info, io.BytesIO(b"0123456789"))
    listed(stack, impostor, url, data.getvalue())
    return url


def test_a_client_that_is_killed_while_it_extracts_leaves_no_half_release(deceived, root, many):
    def has_begun():
        for entry in os.scandir(root):
            if entry.name.startswith(".") and os.path.exists(f"{root}/{entry.name}/{key_of(many)}/50"):
                return True

    with deceived.start("binary-cache", "install", "--software-url", many, "--software-root", root) as client:
        while not has_begun():
            assert client.poll() is None, client.stderr.read()
        client.kill()
    assert not (root / key_of(many)).exists()
    # The next call takes away what the killed one left.
    assert_ended(install(deceived, root, many), DONE)
    assert os.listdir(root) == [key_of(many)]
    assert sum(len(files) for _, _, files in os.walk(root / key_of(many))) == MEMBERS


def test_a_client_that_is_killed_while_it_downloads_leaves_nothing(stack, deceived, impostor, root):
    url, held = new_url(), threading.Event()
    listed(stack, impostor, url, data := archive(url, ("file", tarfile.REGTYPE, os.urandom(500_000))))

    def half(handler):
        if handler.path.startswith("/shacache/"):
            reply(handler, 200, data[:200_000], length=len(data))
            return held.wait(30) or True

    impostor.answer = half
    with deceived.start("binary-cache", "install", "--software-url", url, "--software-root", root) as client:
        descriptors = Path(f"/proc/{client.pid}/fd")
        eventually(lambda: any(
            os.readlink(link).startswith(str(root)) and os.stat(link).st_size == 200_000 for link in descriptors.iterdir()))
        assert os.listdir(root) == []
        client.kill()
    held.set()
    assert os.listdir(root) == []
    impostor.answer = None
    assert_ended(install(deceived, root, url), DONE)
