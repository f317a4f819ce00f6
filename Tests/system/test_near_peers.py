"""A near cache among others: the deployed programs through it, and SlapOS's slapproxy on both sides of it."""

import json
import os
import subprocess
import urllib.request

import pytest
from deployed import metadata_of, new_key, selected, sign
from nearby import bytes_of, name_of, restart
from node import CLEAN, Node
from slapgrid import install, key_of, publish
from slapproxy import SlapproxyCache
from stack import Stack, eventually
from test_near_keys import HOUR, age, withdraw
from test_real_client import SCRIPTS


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    with Stack(tmp_path_factory.mktemp("far"), ANONYMOUS="1") as far:
        yield far


@pytest.fixture(scope="module")
def near(tmp_path_factory, far):
    url = f"http://localhost:{far.settings['HTTP_PORT']}/shacache"
    with Stack(tmp_path_factory.mktemp("near"), UPSTREAM=url) as near:
        yield near


@pytest.fixture
def back(far, near):
    """The far one is away for a while; afterwards it is there again, and asked."""
    yield
    if far.runner.poll() is not None:
        far.start()
    restart(near)


def reading(near, far, directory):
    """A machine with the keys of the far cache, which downloads from the near one."""
    urls = {name: near.env[f"SHA{service}_URL"] for name, service in (("download_cache_url", "CACHE"), ("download_dir_url", "DIR"))}
    return Node.of(far, directory, **urls, **{name.replace("download", "download_binary"): url for name, url in urls.items()})


def script(node, *words):
    return subprocess.run([SCRIPTS / "networkcache-download", "-c", node.config, *words], env=CLEAN, capture_output=True, timeout=120)


# In each of the four states, for what was asked for before, and for what was not.
def test_networkcache_download_cold_warm_with_the_upstream_dead_and_back(far, near, tmp_path, back):
    node, (key, unknown), data = reading(near, far, tmp_path / "node"), (new_key(), new_key()), os.urandom(300_000)
    for each in key, unknown:
        metadata = metadata_of(far.upload(data), name=each)
        far.index(each, metadata, sign(far, metadata))
    cold, warm = script(node, "-k", key), script(node, "-k", key)
    assert (cold.returncode, cold.stdout) == (warm.returncode, warm.stdout) == (0, data), (cold.stderr, warm.stderr)
    far.stop()
    for seconds in 0, 100, 2 * HOUR:
        age(near, key, seconds)
        assert script(node, "-k", key).stdout == data
        assert [found["name"] for found in json.loads(script(node, "-k", key, "-l").stdout)] == [key]
    assert script(node, "-k", unknown).returncode != 0
    far.start()
    restart(near)
    assert script(node, "-k", unknown).stdout == data
    withdraw(far, key)
    age(near, key, 2 * HOUR)
    assert script(node, "-k", key).returncode != 0 and near.entries(key) == []
    assert script(node, "-k", unknown).stdout == data


# By slapos.core's own functions: SlapObject.Software.install.
def test_slapgrid_installs_through_it_cold_warm_with_the_upstream_dead_and_back(far, near, tmp_path, back):
    url = f"https://example.org/{os.urandom(8).hex()}/software.cfg"
    (release := tmp_path / "built" / key_of(url)).mkdir(parents=True)
    (release / "file").write_bytes(data := os.urandom(5000))
    assert publish(Node.of(far, tmp_path / "builder"), release, url, str(tmp_path / "up.tar.gz"))
    node = reading(near, far, tmp_path / "node")

    def installed(name):
        (root := tmp_path / name).mkdir()
        if not install(node, url, root, str(root / "archive.tar.gz")):
            return None
        return (root / key_of(url) / "file").read_bytes()

    assert installed("cold") == installed("warm") == data
    far.stop()
    age(near, key_of(url), 2 * HOUR)
    assert installed("dead") == data
    far.start()
    restart(near)
    withdraw(far, key_of(url))
    age(near, key_of(url), 2 * HOUR)
    assert installed("withdrawn") is None


def update(slapproxy):
    """Lets it ask its upstream for all keys that it has."""
    with urllib.request.urlopen(urllib.request.Request(f"{slapproxy.url}/shacache/update", method="POST")) as answer:
        return json.load(answer)


def entry(client, key):
    (found,) = selected(client, key)
    return found


def test_the_real_slapproxy_has_a_near_cache_as_upstream(far, near, tmp_path, back):
    with SlapproxyCache(tmp_path / "slapproxy", upstream=near) as slapproxy:
        client, key, data = slapproxy.client(far), new_key(), os.urandom(200_000)
        metadata = metadata_of(far.upload(data))
        far.index(key, metadata, sign(far, metadata))
        assert client.download(entry(client, key)["sha512"]).read() == data
        eventually(near.blob_file(name_of(data)).exists)
        assert near.entries(key) == [[metadata, sign(far, metadata)]]
        # Its own copies, then those of the near cache behind which nothing answers.
        far.stop()
        assert client.download(entry(client, key)["sha512"]).read() == data
        age(near, key, 2 * HOUR)
        assert key in update(slapproxy)["updated"] and entry(client, key)["sha512"] == name_of(data)
        far.start()
        restart(near)
        withdraw(far, key)
        age(near, key, 2 * HOUR)
        assert key in update(slapproxy)["removed"] and selected(client, key) == []


# client -> slapproxy -> near cache -> slapproxy
def test_a_near_cache_between_two_slapproxies(tmp_path):
    with SlapproxyCache(tmp_path / "one") as one:
        with Stack(tmp_path / "near", UPSTREAM_SHACACHE=one.cache_url, UPSTREAM_SHADIR=one.dir_url) as near:
            with SlapproxyCache(tmp_path / "other", upstream=near) as other:
                made = {}
                for number in range(5):
                    (file := tmp_path / f"file-{number}").write_bytes(data := bytes_of(50_000))
                    with file.open("rb") as opened:
                        one.client(near).upload(opened, key := new_key(), urlmd5="x", file_name="file")
                    made[key] = data
                one.stop()
                assert all(near.entries(key) is None for key in made)
                restart(near)
                with SlapproxyCache(tmp_path / "one", port=one.port):
                    for key, data in made.items():
                        found = entry(other.client(near), key)
                        assert other.client(near).download(found["sha512"]).read() == data
                # Whoever is away now, it is nearer than that.
                for key, data in made.items():
                    age(near, key, 2 * HOUR)
                    assert near.request("GET", f"/shacache/{name_of(data)}")[2] == data and near.entries(key)
