"""What hosts share that have one store or one database."""

import os
import subprocess

import pytest
from stack import Stack


@pytest.fixture(scope="module")
def lone(tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("hosts"), WORKERS="1") as stack:
        yield stack


def test_a_site_that_names_the_one_spool_of_before_goes_on(lone):
    # Fails without LocalBlobs.place(ofBody:): an upgrade leaves the site alone. The first line fails at times when
    # State.make_directories leaves the directory of all spools to the workers.
    assert "is started again" not in lone.output.read_text()
    site = lone.state / "nginx/site.conf"
    made = site.read_text()
    assert made.count(f"client_body_temp_path {lone.spool};") == 2
    site.write_text(made.replace(str(lone.spool), str(lone.spool.parent)))
    lone.reload_nginx()
    try:
        body = os.urandom(300_000)
        assert lone.request("GET", f"/shacache/{lone.upload(body)}")[2] == body
        assert lone.upload(os.urandom(3_000_000))
    finally:
        site.write_text(made)
        lone.reload_nginx()


# What CephFS says, and a file system that counts nothing at all.
STATVFS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/statvfs.h>

int statvfs(const char *path, struct statvfs *answer) {
    int (*real)(const char *, struct statvfs *) = dlsym(RTLD_NEXT, "statvfs");
    int result = real(path, answer);
    answer->f_ffree = answer->f_favail = (fsfilcnt_t)-1;
    CHANGE
    return result;
}
int statvfs64(const char *path, struct statvfs64 *answer) { return statvfs(path, (struct statvfs *)answer); }
"""


@pytest.mark.parametrize("change", [
    "", "answer->f_files = 0;", "answer->f_blocks = answer->f_bavail = 0;",
    "answer->f_blocks = answer->f_bavail = (fsblkcnt_t)-1;"])
def test_a_file_system_that_counts_nothing_is_no_full_one(start, tmp_path, monkeypatch, change):
    # Without `clamping` in LocalBlobs.Free the workers die at the first look (SIGILL), without `countsInodes` or with 0
    # blocks taken for no room each upload is 507.
    (tmp_path / "statvfs.c").write_text(STATVFS.replace("CHANGE", change))
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", tmp_path / "statvfs.so", tmp_path / "statvfs.c"], check=True)
    for directory in [tmp_path, *tmp_path.parents]:
        if directory.name.startswith("pytest-"):
            directory.chmod(0o755)
    tmp_path.chmod(0o755)
    monkeypatch.setenv("LD_PRELOAD", str(tmp_path / "statvfs.so"))
    stack = start(WORKERS="1")
    monkeypatch.delenv("LD_PRELOAD")
    worker = stack.pid("worker-1")
    assert str(tmp_path / "statvfs.so") in open(f"/proc/{worker}/maps").read()
    assert stack.request("GET", "/-/ready")[0] == 200
    stack.upload(os.urandom(3_000_000))
    assert stack.request("GET", "/metrics")[0] == 200
    assert stack.pid("worker-1") == worker
