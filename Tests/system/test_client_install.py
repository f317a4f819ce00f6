"""`shacache binary-cache install` of others' archives, on other file systems, and for other software roots."""

import io
import json
import os
import subprocess
import tarfile

import pytest
from deployed import sign
from node import CLEAN, DONE, FAILED, MISUSE, assert_ended
from slapgrid import key_of
from slapos.grid.networkcache import machine_info_tuple

HERE = machine_info_tuple()


@pytest.fixture
def root(tmp_path):
    (tmp_path / "slapgrid").mkdir()
    return tmp_path / "slapgrid"


@pytest.fixture
def url():
    return f"https://lab.example.org/{os.urandom(8).hex()}/software.cfg"


def listed(stack, url, data, **metadata):
    """Puts an archive into the cache, as another program may have made it."""
    text = json.dumps({"sha512": stack.upload(data), "multiarch": HERE[0], "os": HERE[1], **metadata})
    stack.index(key_of(url), text, sign(stack, text))


def tar(url, content=b"x", mode="w:gz", link=None):
    """A release of one file, and a hard link to it; and a symbolic link where one is given."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as archive:
        info = tarfile.TarInfo(f"{key_of(url)}/file")
        info.size, info.mode = len(content), 0o644
        archive.addfile(info, io.BytesIO(content))
        info = tarfile.TarInfo(f"{key_of(url)}/hard")
        info.type, info.linkname = tarfile.LNKTYPE, f"{key_of(url)}/file"
        archive.addfile(info)
        if link:
            info = tarfile.TarInfo(f"{key_of(url)}/link")
            info.type, info.linkname = tarfile.SYMTYPE, link
            archive.addfile(info)
    return data.getvalue()


def install(node, root, url, *words, **options):
    return node.run("binary-cache", "install", "--software-url", url, "--software-root", root, *words, **options)


# Compiled for another software root


def test_a_release_for_another_root_is_a_warning_that_names_both(stack, node, root, url):
    listed(stack, url, tar(url), software_root="/srv/builder")
    done = assert_ended(install(node, root, url), DONE, f"for the software root /srv/builder, and this one is {root}")
    assert done.stderr.decode().count("warning") == 1
    assert (root / key_of(url) / "file").exists()


def test_with_strict_it_is_not_installed(stack, node, root, url):
    # Fails when --strict is looked at behind the installation, as of other warnings.
    listed(stack, url, tar(url), software_root="/srv/builder")
    assert_ended(install(node, root, url, "--strict"), FAILED, "not installed: compiled for the software root /srv/builder")
    assert os.listdir(root) == []


def test_this_roots_release_is_taken_before_older_ones_of_other_roots(stack, node, root, url):
    # Fails without bestFirst.
    listed(stack, url, tar(url, b"other"), software_root="/srv/builder")
    listed(stack, url, tar(url, b"unsaid"))
    assert_ended(install(node, root, url, "--strict"), DONE)
    assert (root / key_of(url) / "file").read_bytes() == b"unsaid"
    (root / key_of(url)).rename(root / "before")
    listed(stack, url, tar(url, b"ours"), software_root=str(root))
    listed(stack, url, tar(url, b"later"), software_root=str(root))
    assert_ended(install(node, root, url, "--strict"), DONE)
    assert (root / key_of(url) / "file").read_bytes() == b"ours"


def test_when_this_roots_blob_is_gone_another_roots_is_taken_with_a_warning(stack, node, root, url):
    listed(stack, url, tar(url, b"other"), software_root="/srv/builder")
    listed(stack, url, ours := tar(url, b"ours"), software_root=str(root))
    stack.blob_file(stack.upload(ours)).unlink()
    assert_ended(install(node, root, url), DONE, "for the software root /srv/builder")
    assert (root / key_of(url) / "file").read_bytes() == b"other"


@pytest.mark.parametrize("spelled", ["{}/", "/{}", "{}/.", "{}/../slapgrid", "{}/../link"])
def test_a_root_is_the_same_however_it_is_spelled(stack, node, root, url, spelled):
    (root.parent / "link").symlink_to("slapgrid")
    listed(stack, url, tar(url), software_root=spelled.format(root))
    assert_ended(install(node, root, url, "--strict"), DONE)


def test_a_root_is_the_same_when_this_nodes_is_a_link_to_it(stack, node, root, url):
    (root.parent / "link").symlink_to("slapgrid")
    listed(stack, url, tar(url), software_root=str(root))
    assert_ended(install(node, root.parent / "link", url, "--strict"), DONE)


def test_links_by_the_builders_spelling_of_this_root_stay_within_it(stack, node, root, url):
    # Fails without otherPaths.
    (root.parent / "link").symlink_to("slapgrid")
    listed(stack, url, tar(url, link=f"{root.parent}/link/{key_of(url)}/file"), software_root=f"{root.parent}/link")
    assert_ended(install(node, root, url, "--strict"), DONE)
    assert (root / key_of(url) / "link").read_bytes() == b"x"


@pytest.mark.parametrize("link", ["{}/link/elsewhere", "{}/link/{}/../elsewhere", "/srv/builder/{1}/file"])
def test_other_links_by_that_spelling_are_refused(stack, node, root, url, link):
    (root.parent / "link").symlink_to("slapgrid")
    listed(stack, url, tar(url, link=link.format(root.parent, key_of(url))), software_root=f"{root.parent}/link")
    assert_ended(install(node, root, url), FAILED, "out of the tree")
    assert os.listdir(root) == []


def test_links_to_another_root_are_refused_behind_the_warning(stack, node, root, url):
    listed(stack, url, tar(url, link=f"/srv/builder/{key_of(url)}/file"), software_root="/srv/builder")
    done = assert_ended(install(node, root, url), FAILED, "out of the tree")
    assert b"compiled for the software root /srv/builder" in done.stderr and os.listdir(root) == []


@pytest.mark.parametrize("other", ["../slapgrid", "/slapgrid"])
def test_a_root_of_the_same_name_elsewhere_is_another(stack, node, root, url, other):
    # A relative one leads nowhere, also where there is something.
    assert (node.directory / "../slapgrid").samefile(root)
    listed(stack, url, tar(url), software_root=other)
    assert_ended(install(node, root, url, "--strict"), FAILED)


@pytest.mark.parametrize("odd", [None, 1, [], ""])
def test_a_root_that_says_nothing_is_none(stack, node, root, url, odd):
    listed(stack, url, tar(url), software_root=odd)
    assert_ended(install(node, root, url, "--strict"), DONE)


def test_publishing_from_another_root_than_the_configured_is_a_warning(node, root, url):
    (root / key_of(url)).mkdir()
    node.config.write_text(node.config.read_text() + f"[slapos]\nsoftware_root = {root.parent}\n")
    words = "binary-cache", "publish", root / key_of(url), "--software-url", url
    assert_ended(node.run(*words), DONE, f"install it in {root.parent}; paths in it lead to {root}")
    (root.parent / "link").symlink_to("slapgrid")
    node.config.write_text(node.config.read_text().replace(str(root.parent), f"{root.parent}/link/"))
    assert_ended(node.run(*words, "--strict"), DONE)


# BinaryCache.obstacle: so ExclusiveRename.overOwn leaves it when it is killed in between.
def test_an_empty_directory_is_no_installed_release(stack, node, root, url):
    listed(stack, url, tar(url))
    (root / key_of(url)).mkdir()
    assert_ended(install(node, root, url), MISUSE, "is there, and empty")
    (root / key_of(url)).rmdir()
    assert_ended(install(node, root, url), DONE)


# Others' archives


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_an_archive_is_read_however_it_is_compressed(stack, node, root, url, mode):
    listed(stack, url, tar(url, mode=mode))
    assert_ended(install(node, root, url), DONE)
    assert (root / key_of(url) / "file").read_bytes() == b"x"


# Other file systems


def install_traced(node, root, url, trace, *options):
    return subprocess.run(
        ["strace", "-f", "-o", str(trace), *(word for option in options for word in ("-e", option)),
         *node.command("binary-cache", "install", "--software-url", url, "--software-root", root)],
        cwd=node.directory, env=CLEAN, capture_output=True, timeout=60)


@pytest.mark.parametrize("error", ["EINVAL", "ENOSYS", "EOPNOTSUPP"])
def test_where_a_rename_takes_no_flags_a_release_is_installed_all_the_same(stack, node, root, url, tmp_path, error):
    # FUSE, NFS. Fails without ExclusiveRename.overOwn.
    listed(stack, url, tar(url))
    trace = tmp_path / "trace"
    assert_ended(install_traced(node, root, url, trace, "trace=renameat2", f"inject=renameat2:error={error}"), DONE)
    assert (root / key_of(url) / "file").read_bytes() == b"x" and os.listdir(root) == [key_of(url)]
    assert trace.read_text().count("INJECTED") == 1


@pytest.mark.parametrize("error", ["EPERM", "EOPNOTSUPP", "EMLINK"])
def test_where_a_file_gets_no_hard_link_it_is_copied(stack, node, root, url, tmp_path, error):
    # As tarfile does. Fails without TreeWriter's copy.
    listed(stack, url, tar(url, content := os.urandom(600_000)))
    trace = tmp_path / "trace"
    assert_ended(install_traced(node, root, url, trace, "trace=linkat", f"inject=linkat:error={error}"), DONE)
    file, copy = root / key_of(url) / "file", root / key_of(url) / "hard"
    assert file.read_bytes() == copy.read_bytes() == content and file.stat().st_ino != copy.stat().st_ino
    assert (file.stat().st_mode, file.stat().st_mtime) == (copy.stat().st_mode, copy.stat().st_mtime)
    assert "INJECTED" in trace.read_text()


def test_where_no_rename_can_do_it_that_is_said_before_anything_is_unpacked(stack, node, root, url, tmp_path):
    listed(stack, url, tar(url))
    trace = tmp_path / "trace"
    renames = "rename,renameat,renameat2"
    done = install_traced(node, root, url, trace, f"trace={renames},openat", f"inject={renames}:error=EINVAL")
    assert_ended(done, FAILED, "rename a directory in the root, whose file system can't do it without replacing")
    assert os.listdir(root) == [] and f'"{key_of(url)}/file"' not in trace.read_text()
