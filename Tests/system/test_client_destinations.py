"""`shacache download -o NAME`, where NAME is more than a free name in an ordinary directory."""

import fcntl
import os
import signal
import socket
import stat
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest
from deployed import new_key
from impostor import Impostor, reply
from node import CLEAN, DONE, FAILED, MISUSE, UNREACHABLE, Node, assert_ended
from test_client_download import leftovers, published
from test_client_robust import list_signed

DATA = b"some bytes\n" * 1000
ROOT = os.getuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="only root may do that")


@pytest.fixture(scope="module")
def key(stack):
    return published(stack, DATA)


@pytest.fixture
def everybodys(stack):
    """A node that any user may use, in a directory of that user's: `everybodys.run(..., user="nobody")`."""
    with tempfile.TemporaryDirectory() as directory:
        node = Node.of(stack, Path(directory) / "node")
        # Without files that are only root's.
        node.options = {name: value for name, value in node.options.items() if not name.endswith("-file")}
        node.write()
        for path in Path(directory), node.directory, node.config:
            path.chmod(0o755)
        yield node


def nobody():
    if not ROOT:
        pytest.skip("as an ordinary user, this can't be set up")
    return {"user": "nobody", "group": "nogroup", "extra_groups": []}


def download(node, key, name, **more):
    return node.run("download", "--quiet", "-k", key, "-o", name, **more)


# What the process was given


# Destination.ownDescriptor: opened anew, the file would be written from its start, or be replaced.
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/proc/thread-self/fd/1", "link"])
def test_a_name_of_standard_output_appends_where_it_stands(node, key, name):
    (node.directory / "link").symlink_to("/proc/self/fd/1")
    for mode, before in ("wb", b""), ("ab", b"before\n"):
        out = node.directory / "redirected"
        out.write_bytes(before)
        with open(out, mode) as redirected:
            assert_ended(download(node, key, name, capture_output=False, stdout=redirected, stderr=-1), DONE)
            redirected.write(b"after")
        assert out.read_bytes() == before + DATA + b"after"
    assert (node.directory / "link").is_symlink() and os.path.islink("/dev/stdout")
    piped = download(node, key, name)
    assert piped.stdout == DATA and leftovers(node.directory) == []


def test_a_descriptor_that_the_caller_opened_is_written_to(node, key):
    with open(node.directory / "third", "wb") as third:
        third.write(b"before\n")
        third.flush()
        assert_ended(download(node, key, f"/dev/fd/{third.fileno()}", pass_fds=[third.fileno()]), DONE)
    assert (node.directory / "third").read_bytes() == b"before\n" + DATA
    assert_ended(download(node, key, "/dev/fd/77"), FAILED, "/dev/fd/77: bad file descriptor")
    with open(node.config) as reading:
        assert_ended(download(node, key, "/dev/stdin", stdin=reading), MISUSE, "isn't open for writing")


# Main.holdStandardDescriptors: a file of ours would get the number, and what is said or delivered would get into it.
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_descriptors_are_not_taken_by_files(node, key, closed):
    words = node.command("download", "-v", "-k", key, "-o", "out")
    subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *words], cwd=node.directory, env=CLEAN, timeout=60)
    assert (node.directory / "out").read_bytes() == DATA
    words = node.command("download", "--quiet", "-k", key)
    lost = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *words], cwd=node.directory, env=CLEAN, timeout=60, stderr=-1)
    assert_ended(lost, FAILED, "bad file descriptor")


# Links


# Destination.step follows links to what they lead to.
@pytest.mark.parametrize("steps", [
    [("link", "target")], [("link", "other"), ("other", "target")],
    [("link", "dir/inner"), ("dir/inner", "../target")]])
@pytest.mark.parametrize("old", [b"old", None])
def test_a_link_stays_and_its_target_gets_the_bytes(node, key, steps, old):
    (node.directory / "dir").mkdir()
    for name, target in steps:
        (node.directory / name).symlink_to(target)
    if old is not None:
        (node.directory / "target").write_bytes(old)
    assert_ended(download(node, key, "link"), DONE)
    assert (node.directory / "target").read_bytes() == DATA
    assert all((node.directory / name).is_symlink() for name, _ in steps)
    assert leftovers(node.directory) == [] and leftovers(node.directory / "dir") == []


@pytest.mark.parametrize("target, status, says", [
    ("link", FAILED, "too many levels"), ("dir", MISUSE, "is a directory"), ("away/file", FAILED, "no such file"),
    ("slapos.cfg/file", FAILED, "not a directory")])
def test_a_link_that_leads_to_no_file_is_refused_before_anything_is_asked(deceived, impostor, target, status, says):
    (deceived.directory / "dir").mkdir()
    (deceived.directory / "link").symlink_to(target)
    assert_ended(download(deceived, "a", "link"), status, says)
    assert impostor.requests == []
    assert (deceived.directory / "link").is_symlink()


# Destination.checkPlanted: the kernel's protected_regular and protected_fifos. Whoever put it there would own what we
# proved, as a file keeps its owner, or read along.
@as_root
@pytest.mark.parametrize("kind, make", [("file", lambda path: path.write_bytes(b"old")), ("fifo", os.mkfifo)])
def test_what_somebody_else_put_where_everybody_may_write_is_left_alone(deceived, impostor, kind, make):
    public = deceived.directory / "public"
    public.mkdir()
    public.chmod(0o1777)
    make(public / "out")
    os.chown(public / "out", 65534, 65534)
    (public / "out").chmod(0o666)
    assert_ended(download(deceived, "a", "public/out"), MISUSE, f"somebody else's {kind}")
    assert impostor.requests == [] and os.listdir(public) == ["out"]
    assert kind == "fifo" or (public / "out").read_bytes() == b"old"


# PartialDownload.takePlace looks again.
@as_root
def test_what_somebody_else_puts_there_meanwhile_gets_nothing(deceived, impostor, stack):
    public = deceived.directory / "public"
    public.mkdir()
    public.chmod(0o1777)
    list_signed(impostor, stack, "a", impostor.has(DATA))

    def answer(handler):
        (public / "out").write_bytes(b"planted")
        os.chown(public / "out", 65534, 65534)

    impostor.answer = answer
    assert_ended(download(deceived, "a", "public/out"), MISUSE, "somebody else's file")
    assert (public / "out").read_bytes() == b"planted"


# Destination.checkPlanted: the kernel's protected_symlinks.
@as_root
def test_somebody_elses_link_where_everybody_may_write_is_not_followed(node, key):
    public = node.directory / "public"
    public.mkdir()
    public.chmod(0o1777)
    victim = node.directory / "victim"
    victim.write_text("precious")
    (public / "out").symlink_to(victim)
    os.chown(public / "out", 65534, 65534, follow_symlinks=False)
    assert_ended(download(node, key, "public/out"), MISUSE, "somebody else's link")
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("name, says", [
    ("", "is empty"), ("new/", "is no file"), (".", "is a directory"), ("socket", "is a socket")])
def test_what_can_be_no_file_is_refused(deceived, impostor, monkeypatch, name, says):
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(deceived.directory)
        listener.bind("socket")
        assert_ended(download(deceived, "a", name), MISUSE, says)
    assert impostor.requests == []


# What stays as it was chosen


def attributes(path):
    status = os.stat(path)
    names = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    return stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, names


# Descriptor.adoptAttributes.
def test_mode_owner_access_list_and_attributes_stay(node, key):
    out = node.directory / "out"
    out.write_bytes(b"old")
    out.chmod(0o640)
    os.setxattr(out, "user.origin", b"chosen")
    # A list in the kernel's form: owner rw, user 1 r, group r, mask r, others none.
    entries = [(1, 6, -1), (2, 4, 1), (4, 4, -1), (16, 4, -1), (32, 0, -1)]
    os.setxattr(out, "system.posix_acl_access", b"\2\0\0\0" + b"".join(
        tag.to_bytes(2, "little") + rights.to_bytes(2, "little") + (who & 0xFFFFFFFF).to_bytes(4, "little")
        for tag, rights, who in entries))
    if ROOT:
        os.chown(out, 65534, 65534)
    before, inode = attributes(out), out.stat().st_ino
    assert_ended(download(node, key, "out"), DONE)
    assert out.read_bytes() == DATA and attributes(out) == before
    assert out.stat().st_ino != inode  # at once, by a rename


def test_the_bytes_gather_where_only_their_readers_can_read(deceived, impostor, stack):
    data = os.urandom(1_000_000)
    list_signed(impostor, stack, "a", impostor.has(data))
    (deceived.directory / "out").write_bytes(b"old")
    (deceived.directory / "out").chmod(0o600)
    seen = []

    def answer(handler):
        if handler.command == "GET" and handler.path.startswith("/shacache/"):
            seen.extend(stat.S_IMODE(path.stat().st_mode) for path in leftovers(deceived.directory))

    impostor.answer = answer
    assert_ended(download(deceived, "a", "out"), DONE)
    assert seen == [0o600]


def test_a_new_file_gets_the_mode_of_new_files(node, key):
    for mask, mode in (0o022, 0o644), (0o077, 0o600), (0o002, 0o664):
        assert_ended(download(node, key, f"out-{mask}", umask=mask), DONE)
        assert attributes(node.directory / f"out-{mask}")[0] == mode


# PartialDownload.openToOthers: what gathers in place of a file is for nobody else.
def test_a_file_that_gathered_for_one_that_has_gone_gets_the_mode_of_new_files(deceived, impostor, stack):
    data = os.urandom(1_000_000)
    list_signed(impostor, stack, "a", impostor.has(data))
    out = deceived.directory / "out"
    out.write_bytes(b"old")

    def cut(handler):
        if handler.command == "GET" and handler.path.startswith("/shacache/"):
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data[:500_000])
            handler.close_connection = True
            return True

    impostor.answer = cut
    assert_ended(deceived.run("download", "-k", "a", "-o", "out", "--retries", "0"), UNREACHABLE)
    assert [stat.S_IMODE(path.stat().st_mode) for path in leftovers(deceived.directory)] == [0o600]
    out.unlink()
    impostor.answer = None
    assert_ended(deceived.run("download", "-k", "a", "-o", "out", umask=0o022), DONE)
    assert out.read_bytes() == data and attributes(out)[0] == 0o644


# Descriptor.copy(over:), where a rename would part the names.
def test_all_names_of_a_file_get_the_bytes(node, key):
    out = node.directory / "out"
    out.write_bytes(b"old" * 10_000)
    (node.directory / "other").hardlink_to(out)
    assert_ended(download(node, key, "out"), DONE)
    assert out.read_bytes() == DATA and (node.directory / "other").read_bytes() == DATA
    assert out.samefile(node.directory / "other") and leftovers(node.directory) == []


def test_a_file_that_may_be_written_in_a_directory_that_may_not(everybodys, key):
    user, directory = nobody(), everybodys.directory
    (directory / "out").write_bytes(b"old")
    os.chown(directory / "out", 65534, 65534)
    assert_ended(download(everybodys, key, "out", **user), DONE)
    assert (directory / "out").read_bytes() == DATA
    done = assert_ended(download(everybodys, key, "new", **user), FAILED, "permission denied")
    assert b"shacache: new: " in done.stderr and leftovers(directory) == []


def test_a_read_only_file_is_left_alone(everybodys, key):
    user, directory = nobody(), everybodys.directory
    os.chown(directory, 65534, 65534)
    (directory / "out").write_bytes(b"old")
    os.chown(directory / "out", 65534, 65534)
    (directory / "out").chmod(0o444)
    assert_ended(download(everybodys, key, "out", **user), FAILED, "out: permission denied")
    assert (directory / "out").read_bytes() == b"old" and leftovers(directory) == []


@pytest.mark.parametrize("owner, status", [(65534, DONE), (1, MISUSE)])
def test_in_a_sticky_directory_only_ones_own_file_is_replaced(everybodys, key, owner, status):
    user, public = nobody(), everybodys.directory / "public"
    public.mkdir()
    public.chmod(0o1777)
    (public / "out").write_bytes(b"old")
    os.chown(public / "out", owner, owner)
    (public / "out").chmod(0o666)
    assert_ended(download(everybodys, key, "public/out", **user), status)
    assert (public / "out").read_bytes() == (DATA if status == DONE else b"old")
    assert leftovers(public) == []


def in_own_mounts(node, script, *words):
    """Runs words in a shell script's mount namespace, where it has mounted what it wants."""
    command = ["unshare", "--mount", "sh", "-ec", f'{script}; exec "$@"', "sh", *words]
    return subprocess.run(command, cwd=node.directory, env=CLEAN, capture_output=True, timeout=60)


# PartialDownload.takePlace: rename(2) says EBUSY.
@as_root
def test_a_mount_of_one_file_is_written_into(node, key):
    (node.directory / "out").write_bytes(b"old")
    words = node.command("download", "--quiet", "-k", key, "-o", "out")
    done = in_own_mounts(node, "mount --bind out out", *words)
    assert_ended(done, DONE)
    assert (node.directory / "out").read_bytes() == DATA and leftovers(node.directory) == []


def into_a_full_disk(node, key, preload=""):
    """A file on a disk that has no room is mounted over the wanted one; says its size at the end."""
    (node.directory / "small").mkdir()
    (node.directory / "out").touch()
    words = node.command("download", "--quiet", "-k", key, "-o", "out")
    script = f"""
        mount -t tmpfs -o size=8k,nr_inodes=10 tmpfs small; printf old >small/out; mount --bind small/out out
        LD_PRELOAD={preload} "$@" || echo "exit $?"; wc -c <out; ls -A small"""
    command = ["unshare", "--mount", "sh", "-ec", script, "sh", *words]
    return subprocess.run(command, cwd=node.directory, env=CLEAN, capture_output=True, timeout=60)


# Descriptor.reserve, before anything is overwritten.
@as_root
def test_without_room_in_place_the_old_bytes_stay(node, key):
    done = into_a_full_disk(node, key)
    assert done.stdout == b"exit 2\n3\nout\n", done
    assert b"out: no space left on device; it holds what it held" in done.stderr


# Descriptor.reserve: ext4 keeps what it had found, and so would fill the disk behind the old bytes' end.
def test_without_room_in_place_the_disk_stays_as_full_as_it_was(node, key, lacking):
    out = node.directory / "out"
    out.write_bytes(b"old")
    os.link(out, node.directory / "other")
    before = out.stat().st_blocks
    preload = lacking("""
        #include <sys/syscall.h>
        #include <unistd.h>
        int fallocate(int file, int mode, off_t start, off_t count) {
            syscall(SYS_fallocate, file, mode, start, 1 << 20);
            errno = ENOSPC;
            return -1;
        }""")
    assert_ended(download(node, key, "out", env=preload), FAILED, "no space left on device; it holds what it held")
    assert out.read_bytes() == b"old" and out.stat().st_blocks <= before + 8


# Descriptor.copy(over:), where the file system can't reserve room.
@as_root
def test_without_room_in_the_middle_the_file_is_empty_and_that_is_said(node, key, lacking):
    preload = lacking("int fallocate(int file, int mode, off_t start, off_t count) { errno = EOPNOTSUPP; return -1; }")
    done = into_a_full_disk(node, key, preload["LD_PRELOAD"])
    assert done.stdout == b"exit 2\n0\nout\n" and b"no space left on device; it could only be" in done.stderr, done
    # What was proved is still there, and needn't be fetched again.
    assert [path.stat().st_size for path in leftovers(node.directory)] == [len(DATA)]


# Names


# PartFile.name: the hidden file's name would be longer than a name can be.
@pytest.mark.parametrize("name", ["n" * 255, "é" * 127, "n" * 240])
def test_a_name_as_long_as_a_name_can_be(node, key, name):
    for _ in range(2):
        assert_ended(download(node, key, name), DONE)
        assert (node.directory / name).read_bytes() == DATA and leftovers(node.directory) == []
    assert_ended(download(node, key, "n" * 256), FAILED, "file name too long")


@pytest.mark.parametrize("words", [["-o", "./-"], ["-o./-"], ["--output=./-"]])
def test_a_file_may_be_named_as_standard_output_is(node, key, words):
    done = assert_ended(node.run("download", "-k", key, *words), DONE)
    assert done.stdout == b"" and (node.directory / "-").read_bytes() == DATA


def test_a_fifo_and_a_device_are_written_to(node, key):
    os.mkfifo(node.directory / "fifo")
    with node.start("download", "--quiet", "-k", key, "-o", "fifo") as started:
        assert (node.directory / "fifo").read_bytes() == DATA
    assert started.returncode == DONE
    assert_ended(download(node, key, "/dev/null"), DONE)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


# What is left


@pytest.fixture
def slow():
    """An origin that never ends, and says when it has begun."""
    begun = threading.Event()

    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "100000000")
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * 10_000)
                begun.set()
                handler.impostor.over.wait(0.05)
        except OSError:
            pass
        handler.close_connection = True
        return True

    with Impostor(answer) as impostor:
        impostor.over, impostor.begun = threading.Event(), begun
        yield impostor


# PartialDownload.init: the file has no name before it is whole.
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_leaves_nothing_of_an_origin(node, slow, end):
    for _ in range(2):
        slow.begun.clear()
        words = ["download", "--quiet", "--url", f"{slow.url}/a", "--origin", f"{slow.url}/a", "-o", "out"]
        with node.start(*words) as started:
            assert slow.begun.wait(20)
            started.send_signal(end)
        assert started.returncode == -end
        assert list(node.directory.iterdir()) == [node.config]


@pytest.fixture
def lacking(tmp_path):
    """What to set for a program so that the file system lacks something: `lacking(source of functions in C)`."""
    def build(source):
        library = tmp_path / "lacking.so"
        head = b"#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <errno.h>\n#include <fcntl.h>\n#include <stdarg.h>\n"
        command = ["cc", "-x", "c", "-shared", "-fPIC", "-o", library, "-"]
        subprocess.run(command, input=head + source.encode(), check=True)
        return {"LD_PRELOAD": str(library)}

    return build


# PartFile.claimAny, where files must have names.
def test_without_files_that_have_no_name_the_next_call_takes_the_hidden_one(node, slow, lacking):
    named = lacking("""
        int openat(int directory, const char *path, int flags, ...) {
            if ((flags & O_TMPFILE) == O_TMPFILE) { errno = EOPNOTSUPP; return -1; }
            va_list more; va_start(more, flags); mode_t mode = va_arg(more, int); va_end(more);
            int (*next)(int, const char *, int, ...) = dlsym(RTLD_NEXT, "openat");
            return next(directory, path, flags, mode);
        }
        """)
    for _ in range(3):
        slow.begun.clear()
        words = ["download", "--quiet", "--url", f"{slow.url}/a", "--origin", f"{slow.url}/a", "-o", "out"]
        with node.start(*words, env=named) as started:
            assert slow.begun.wait(20)
            started.send_signal(signal.SIGKILL)
        assert [path.name for path in leftovers(node.directory)] == [".out.0.part"]
    with Impostor(lambda handler: reply(handler, 200, DATA) or True) as origin:
        words = ["download", "--quiet", "--url", f"{origin.url}/a", "--origin", f"{origin.url}/a", "-o", "out"]
        assert_ended(node.run(*words, env=named), DONE)
    assert (node.directory / "out").read_bytes() == DATA and leftovers(node.directory) == []


# Descriptor.linkedBeside takes the first hidden name that no other call has.
def test_an_origins_bytes_replace_a_file_whatever_is_hidden_beside_it(node):
    (node.directory / "out").write_bytes(b"old")
    for number in 0, 1:
        (node.directory / f".out.{number}.part").write_bytes(b"begun")
    with Impostor(lambda handler: reply(handler, 200, DATA) or True) as origin:
        with open(node.directory / ".out.0.part") as begun:
            fcntl.flock(begun, fcntl.LOCK_EX)
            words = ["download", "--quiet", "--url", f"{origin.url}/a", "--origin", f"{origin.url}/a", "-o", "out"]
            assert_ended(node.run(*words), DONE)
    assert (node.directory / "out").read_bytes() == DATA
    assert [path.name for path in leftovers(node.directory)] == [".out.0.part"]


# PartFile.sweep.
def test_what_was_begun_for_other_bytes_goes_when_the_file_is_there(node, key):
    mine = [f".out.{'0' * 16}.part", ".out.3.part"]
    others = [".out.part", ".outer.3.part", ".out.99.part", f".out.{'0' * 15}.part", "out.3.part"]
    for name in mine + others:
        (node.directory / name).write_bytes(b"begun")
    assert_ended(download(node, key, "out"), DONE)
    assert sorted(os.listdir(node.directory)) == sorted([*others, "out", "slapos.cfg"])


def test_what_another_call_is_at_stays(node, key):
    with open(node.directory / ".out.3.part", "wb") as begun:
        fcntl.flock(begun, fcntl.LOCK_EX)
        assert_ended(download(node, key, "out"), DONE)
        assert (node.directory / ".out.3.part").exists()
