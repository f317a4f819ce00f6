"""What is left when something is killed with -9: nothing that was acknowledged is lost, and nothing half done stays."""

import hashlib
import os
import random
import signal

import processes
import pytest
from halfway import LARGE, SMALL, HalfUpload
from history import DOWNLOAD, LIST, LOOK_UP, UPLOAD, History, Load, check_store
from stack import Database, Stack, eventually
from tracing import Trace, calls_of_an_upload, injection, position


@pytest.fixture(scope="module")
def lone(tmp_path_factory):
    """A cache with one worker, so that it is the one that a request meets."""
    with Stack(tmp_path_factory.mktemp("crash"), WORKERS="1") as stack:
        yield stack


@pytest.fixture(scope="module")
def upload_calls(lone, tmp_path_factory):
    return calls_of_an_upload(lone, tmp_path_factory.mktemp("upload"))


def spool(stack):
    return sorted(stack.spool.iterdir())


def is_on_record(stack, digest):
    return bool(Database(stack).run(f"SELECT 1 FROM shacache.blob WHERE sha512 = '\\x{digest}'"))


def kill_nginx(stack):
    """All of it at once, and waits for the next."""
    for pid in processes.children(stack.pid("nginx")):
        os.kill(pid, signal.SIGKILL)
    processes.send(stack, "nginx")
    processes.wait_until_live(stack)


def test_workers_killed_at_random_under_load_lose_nothing_that_was_acknowledged(start):
    # Fails when the answer comes before COMMIT, or COMMIT before the name (BlobRepository.store), and when the runner
    # doesn't revive workers.
    stack = start(WORKERS="2")
    history, generator = History(stack), random.Random(1)
    with Load(stack, history) as load:
        for _ in range(12):
            load.wait_for(generator.randrange(10, 60), UPLOAD)
            processes.send(stack, f"worker-{generator.choice([1, 2])}")
        load.wait_for(50, UPLOAD)
    history.check()
    # 503 to those whose worker was killed, each of the eight uploaders at most once for each time.
    assert set(history.statuses(UPLOAD, LIST)) <= {201, 503}, history.failures()
    assert set(history.statuses(DOWNLOAD, LOOK_UP)) <= {200, 404, 503}, history.failures()
    assert history.statuses(UPLOAD, LIST)[503] <= 12 * 8, history.failures()


def test_an_upload_is_answered_when_bytes_and_name_and_row_have_reached_the_disk_in_this_order(upload_calls):
    # Fails when `seal` moves behind the transaction (BlobRepository.store), `synchronize` is missing in SpooledBody.seal or
    # in PublishedGroup, or publishing leaves the transaction (BlobRepository.storeAlone).
    order = [
        ("pread64", "/incoming/", 0), ("fsync", "/incoming/", 0), ("linkat", "/blobs/", 0), ("fsync", "/blobs/", 0),
        ("sendto", "COMMIT", 1), ("recvfrom", "COMMIT", 0), ("write", "201 Created", 0)]
    places = [position(upload_calls, *call) for call in order]
    assert None not in places and places == sorted(places), list(zip(order, places))
    bytes_durable = places[1]
    changed = [call for call in upload_calls[bytes_durable:] if call.name in ("fsetxattr", "fchmod", "ftruncate")]
    assert not changed, "the file was changed after its fsync"
    assert not [call for call in upload_calls if call.name == "fsync" and call.result != "0"]


# What a worker is about to do when it is killed: the system call, a text in its arguments, how many calls of the same
# name later. And what then stays of the upload; a file without row is harmless.
STEPS = {
    "reads the body": ("pread64", "/incoming/", 0, "nothing"),
    "makes the bytes durable": ("fsync", "/incoming/", 0, "nothing"),
    "begins, and takes the lock": ("sendto", "admit_blobs", 1, "nothing"),
    "gives the file its name": ("linkat", "/blobs/", 0, "nothing"),
    "makes the name durable": ("fsync", "/blobs/", 0, "file"),
    "writes the row, and commits": ("sendto", "COMMIT", 1, "file"),
    "learns that it committed": ("recvfrom", "COMMIT", 0, "row"),
    "answers": ("write", "201 Created", 0, "row"),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_that_is_killed_before_a_step_leaves_what_can_be_sent_again(step, lone, upload_calls, tmp_path):
    # Fails when a step comes sooner or later than the table says: BlobRepository.store, PublishedGroup; and without `client_body_in_file_only clean` (nginx/upload.conf), since the body would stay.
    name, text, further, stays = STEPS[step]
    worker = processes.fresh_worker(lone)
    body = os.urandom(1000)
    digest = hashlib.sha512(body).hexdigest()
    fault = injection(upload_calls, position(upload_calls, name, text, further), "signal=KILL")
    with Trace([worker], tmp_path / "trace", f"trace={name}", fault):
        status, headers, line = lone.request("POST", "/shacache", body, context=lone.tls())
    assert (status, headers["Retry-After"], line) == (503, "10", b"no worker answered, try again\n")
    assert not processes.is_alive(worker)
    has_file = lone.blob_file(digest).exists()
    assert ("row" if is_on_record(lone, digest) else "file" if has_file else "nothing") == stays
    assert lone.request("POST", "/shacache", body, context=lone.tls())[0] == 201
    assert lone.request("GET", f"/shacache/{digest}")[2] == body
    assert check_store(lone) == set()


def test_nginx_killed_under_load_loses_nothing_and_the_next_worker_sweeps_what_it_left(start):
    # Fails without LocalBlobs.sweep.
    stack = start(WORKERS="2")
    history = History(stack)
    with Load(stack, history) as load:
        for _ in range(4):
            load.wait_for(40, UPLOAD)
            kill_nginx(stack)
        load.wait_for(40, UPLOAD)
        # As a killed nginx leaves it when a body was on its way.
        HalfUpload(stack, LARGE)
        eventually(lambda: spool(stack))
        kill_nginx(stack)
    assert spool(stack)
    processes.send(stack, "worker-1", signal.SIGTERM)
    history.check()
    assert set(history.statuses()) <= {200, 201, 404, 503, None}, history.failures()


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_body_that_is_still_coming_is_never_swept(lone, size):
    # Fails without the lease in LocalBlobs.removeIfAbandoned: the other leftover, as young, must go.
    upload = HalfUpload(lone, size)
    [coming] = eventually(lambda: spool(lone))
    leftover = coming.with_name("leftover")
    leftover.write_bytes(b"of a killed nginx")
    os.chown(leftover, coming.stat().st_uid, coming.stat().st_gid)
    log = lone.state / "log/worker-1.log"
    swept = log.read_text().count('"swept"')
    processes.send(lone, "worker-1", signal.SIGTERM)
    eventually(lambda: log.read_text().count('"swept"') > swept)
    assert spool(lone) == [coming]
    assert upload.finish().status == 201
    assert lone.request("GET", f"/shacache/{upload.digest}")[2] == upload.body


def test_workers_that_sweep_at_the_same_time_leave_each_other_alone(start):
    # Fails without the flock in LocalBlobs.sweep and `signal(SIGIO, SIG_IGN)` (Shacached.serve): the kernel tells the
    # holder of a lease by SIGIO that somebody opens the file, and that would end the worker.
    stack = start(WORKERS="4")
    stack.stop()
    incoming = stack.spool
    owner = incoming.stat()
    for number in range(20_000):
        leftover = incoming / f"{number:010}"
        leftover.touch()
        os.chown(leftover, owner.st_uid, owner.st_gid)
    stack.start()
    eventually(lambda: not spool(stack))
    assert "was killed" not in stack.output.read_text()


def test_an_upload_in_flight_survives_the_death_of_nginxs_master(lone):
    # Fails when Nginx.make_room in the runner ends nginx's workers at once.
    uploads = [HalfUpload(lone, SMALL), HalfUpload(lone, LARGE)]
    eventually(lambda: len(spool(lone)) == 2)
    processes.send(lone, "nginx")
    processes.wait_until_live(lone)
    for upload in uploads:
        assert upload.finish().status == 201
        assert lone.request("GET", f"/shacache/{upload.digest}")[2] == upload.body


@pytest.mark.parametrize("size, chunked", [(SMALL, False), (LARGE, False), (LARGE, True)])
def test_an_upload_that_is_cut_leaves_nothing(lone, size, chunked):
    # Fails with `fastcgi_request_buffering off`, or without `clean` (nginx/upload.conf).
    accepted = "SELECT count(*) FROM shacache.upload WHERE outcome = 'accepted'"
    before = Database(lone).run(accepted)
    upload = HalfUpload(lone, size, chunked)
    eventually(lambda: spool(lone))
    upload.cut()
    assert check_store(lone) == set()  # and the spool is empty
    assert Database(lone).run(accepted) == before


def test_an_upload_that_came_whole_is_stored_also_when_its_sender_has_gone(lone):
    # Fails without `fastcgi_ignore_client_abort on` (nginx/upload.conf).
    worker = lone.pid("worker-1")
    upload = HalfUpload(lone, SMALL)
    os.kill(worker, signal.SIGSTOP)
    try:
        upload.send_rest()
        eventually(lambda: [path.stat().st_size for path in spool(lone)] == [SMALL])
        upload.cut()
        # By the time that both of nginx's workers have answered these, they know that the client is gone.
        for _ in range(50):
            assert lone.request("GET", "/-/error")[0] == 404
    finally:
        os.kill(worker, signal.SIGCONT)
    eventually(lambda: is_on_record(lone, upload.digest))
    assert lone.request("GET", f"/shacache/{upload.digest}")[2] == upload.body
