"""A whole network cache for the tests, started as a person starts one: by ops/run, with nothing of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from administration import name
from impostor import Impostor
from node import Node
from stack import REPOSITORY, Database, Stack, let_others_in

sys.path.append(str(REPOSITORY / "ops"))
from runner.commands import Users
from runner.postgresql import make_cluster
from runner.state import State


# First, so that it precedes the plugin that makes tmp_path.
@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    config.addinivalue_line("markers", "slow: minutes; `make test` leaves it out")
    config.addinivalue_line("markers", "quiet: measures time or memory; ops/test-system runs it beside no other")
    if worker := getattr(config, "workerinput", None):
        # A socket's path has room for 107 bytes, and xdist's name of the directory takes seven of them more.
        config.option.basetemp = str(Path(config.option.basetemp).with_name(worker["workerid"]))


@pytest.fixture(scope="session", autouse=True)
def empty_cluster(tmp_path_factory):
    """Made by the first steps of `make run`, for all caches that are started here."""
    state, users = State(tmp_path_factory.mktemp("cluster")), Users.of_this_run()
    let_others_in(state.root)
    make_cluster(state, users)
    Stack.empty_cluster = state.pgdata


@pytest.fixture(scope="session")
def stack(tmp_path_factory):
    """The cache that tests share: they leave it as they found it, but for what they uploaded."""
    with Stack(tmp_path_factory.mktemp("shared"), ANONYMOUS="1") as stack:
        yield stack


@pytest.fixture(scope="session")
def direct(tmp_path_factory):
    """The same, with nginx serving blobs by itself."""
    with Stack(tmp_path_factory.mktemp("direct"), ANONYMOUS="1", DIRECT="1") as stack:
        yield stack


@pytest.fixture(scope="session")
def closed(tmp_path_factory):
    """The same, with no writes over plain HTTP."""
    with Stack(tmp_path_factory.mktemp("closed")) as stack:
        yield stack


@pytest.fixture
def account(closed):
    """A new account."""
    closed.admin("account", "add", made := name(), "--comment", "Somebody's")
    return made


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory):
    """The same, and it believes a request that says in X-Test-Address where it comes from; a monitor is 192.0.2.7."""
    with Stack(tmp_path_factory.mktemp("elsewhere"), ANONYMOUS="1") as stack:
        site = stack.state / "nginx/site.conf"
        trust = "set_real_ip_from 127.0.0.1; set_real_ip_from ::1; real_ip_header X-Test-Address;"
        monitored = site.read_text().replace("geo $shacache_monitor {", "geo $shacache_monitor {\n    192.0.2.7 1;")
        site.write_text(f"{trust}\n{monitored}")
        stack.reload_nginx()
        yield stack


@pytest.fixture(scope="module")
def upstream():
    """What a near cache fetches from."""
    with Impostor() as impostor:
        yield impostor


@pytest.fixture(scope="module")
def second():
    """Another one."""
    with Impostor() as impostor:
        yield impostor


@pytest.fixture(scope="module")
def near(tmp_path_factory, upstream):
    """A near cache; modules have it as they need it."""
    with Stack(tmp_path_factory.mktemp("near"), UPSTREAM=f"{upstream.url}/shacache") as near:
        yield near


@pytest.fixture(autouse=True)
def well(request):
    """No test leaves an upstream's fault to the next one."""
    yield
    for name in {"upstream", "second"} & {*request.fixturenames}:
        request.getfixturevalue(name).answer = None


@pytest.fixture(params=["stack", "direct"])
def cache(request):
    """Each way of serving blobs."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def start(tmp_path):
    """Starts a cache of the test's own, for what would disturb others: `start(WORKERS="1")`."""
    started = []

    def start(**settings):
        started.append(Stack(tmp_path / str(len(started)), **settings))
        return started[-1].__enter__()

    yield start
    for stack in started:
        stack.__exit__(None, None, None)


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """An empty database with all migrations."""
    with Stack(tmp_path_factory.mktemp("database")) as stack:
        database = Database(stack)
        # What other rows name is never deleted (refuse_to_forget), but for here.
        keepers = [f"ALTER TABLE shacache.{table} %s TRIGGER USER" for table in ("account", "certificate", "signer")]
        emptying = "TRUNCATE shacache.upload, shacache.entry, shacache.blob, shacache.signer, shacache.certificate, shacache.account, shacache.account_usage, shacache.withdrawal, shacache.visibility_change, shacache.key_count, shacache.entry_before_blob, shacache.upload_day, shacache.closed_day, shacache.audit, shacache.import, shacache.collection, shacache.collection_sum, shacache.trash, shacache.pin, shacache.upstream, shacache.upstream_day, shacache.upstream_fault, shacache.upstream_absence, shacache.mirror, shacache.mirror_item, shacache.fetched_key, shacache.fetched_entry, shacache.fetched_total, shacache.account_request RESTART IDENTITY"
        database.run("; ".join([*(k % "DISABLE" for k in keepers), emptying, *(k % "ENABLE" for k in keepers)]))
        yield database


@pytest.fixture
def node(stack, tmp_path):
    """A machine that uses the cache that tests share."""
    return Node.of(stack, tmp_path / "node")


@pytest.fixture
def impostor():
    """A server that is no ShaCache."""
    with Impostor() as impostor:
        yield impostor


@pytest.fixture
def deceived(stack, impostor, tmp_path):
    """A machine that takes the impostor for its cache, and trusts the same signers as others."""
    node = Node.of(stack, tmp_path / "node")
    node.options |= impostor.options
    node.write()
    return node


@pytest.fixture
def on_disk(start, tmp_path):
    """A cache whose store is an ext4 on a loop device; (stack, the device's file)."""
    if os.getuid() != 0:
        pytest.skip("mounting a file system needs root")
    image = tmp_path / "disk"
    with open(image, "wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", image], check=True)
    stack = start(ANONYMOUS="1", WORKERS="1")
    stack.stop()
    subprocess.run(["cp", "-a", stack.store, kept := tmp_path / "kept"], check=True)
    mounted = subprocess.run(["mount", "-o", "loop", image, stack.store], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no loop device: {mounted.stderr}")
    try:
        (stack.store / "lost+found").rmdir()
        subprocess.run(["cp", "-a", f"{kept}/.", stack.store], check=True)
        stack.start()
        yield stack, image
    finally:
        stack.stop()
        subprocess.run(["umount", "--lazy", stack.store], check=True)
