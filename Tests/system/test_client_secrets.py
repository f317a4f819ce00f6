"""A password in a URL: the key is that of the whole URL, and nothing that anybody sees has the password."""

import hashlib
import json
import os
from base64 import b64encode

import pytest
from deployed import client_of, metadata_of, new_key, sign
from impostor import Impostor, reply
from node import DONE, FAILED, MISSING, assert_ended
from stack import Database, free_port

SECRET = "n0t-a-s3cr3t"
DATA = b"from the origin"


@pytest.fixture
def origin():
    """Has something for who knows the password."""
    expected = "Basic " + b64encode(f"alice:{SECRET}".encode()).decode()

    def answer(handler):
        if handler.headers.get("Authorization") != expected:
            return reply(handler, 401)
        return reply(handler, 404 if "missing" in handler.path else 200, DATA)

    with Impostor(answer) as origin:
        origin.url = origin.url.replace("//", f"//alice:{SECRET}@") + f"/{os.urandom(4).hex()}"
        yield origin


def key_of(url):
    return f"file-urlmd5:{hashlib.md5(url.encode()).hexdigest()}"


def without(url):
    return url.replace(f"alice:{SECRET}@", "")


def assert_kept(done, status=DONE):
    """That neither stream has the password, nor what a name that is cut short may have of it."""
    assert_ended(done, status)
    said = done.stdout + done.stderr
    said = said if isinstance(said, str) else said.decode()
    assert SECRET[:5] not in said and SECRET[-6:] not in said, done
    return said


def listed(stack, key):
    """The metadata of a key's one entry, as everybody gets it."""
    (found,) = client_of(stack).select(key)
    assert SECRET not in str(Database(stack).run(f"SELECT metadata FROM shacache.entry WHERE key = '{key}'"))
    return found


# Metadata.setDefault(_:url:), Terminal.say and Terminal.output; the key is made of the URL as given.
@pytest.mark.parametrize("more", [["-v"], ["--json"], []])
def test_an_upload_by_url_shows_and_lists_it_without_the_password(stack, node, origin, more):
    assert without(origin.url) in assert_kept(node.run("upload", "--url", origin.url, *more, text=True))
    assert listed(stack, key_of(origin.url))["url"] == without(origin.url)
    assert node.run("download", "--url", origin.url).stdout == DATA


@pytest.mark.parametrize("url", [
    "HTTPS://alice:{}@example.org/{}", "https://{}@example.org/{}", "ftp://alice:{}@example.org/{}",
    "https://alice:a@{}@example.org/{}", "https://alice:a/{}@example.org/{}", "https://alice:a b{}@example.org/{}",
    "https://mirror.example.org/{1}?https%3A%2F%2Falice:{0}%40example.org"])
def test_a_file_that_stands_for_a_url_is_listed_without_its_password(stack, node, url):
    url = url.format(SECRET, os.urandom(4).hex())
    (node.directory / "file").write_bytes(os.urandom(9))
    assert_kept(node.run("upload", "--url", url, "file", "-v"))
    assert "example.org" in listed(stack, key_of(url))["url"]


def test_what_is_uploaded_from_a_url_with_a_password_has_a_name_without(stack, node, origin):
    pypi = f"p{os.urandom(4).hex()}==1.0"
    root = origin.url.rsplit("/", 1)[0]
    assert_kept(node.run("upload", "--pypi", pypi, root.replace("http", "HTTP"), f"{origin.url}?1", "--json", text=True))
    names = {found["basename"] for found in client_of(stack).select(f"pypi:{pypi.replace('==', '=')}")}
    assert names == {without(root).removeprefix("http://"), origin.url.rsplit("/", 1)[1]}


# UploadSummary: the name stands before the reason once. -v adds the request.
@pytest.mark.parametrize("more, times", [([], 1), (["--json"], 3), (["-v"], 2)])
def test_an_upload_that_fails_says_so_without_the_password(node, origin, more, times):
    url = f"{origin.url}-missing"
    said = assert_kept(node.run("upload", "--url", url, *more, text=True), FAILED)
    assert said.count(without(url)) == times


def test_an_upload_on_miss_shows_and_lists_it_without_the_password(stack, node, origin):
    words = ["download", "--url", origin.url, "--origin", origin.url, "--upload-on-miss", "-o", "out", "-v"]
    assert without(origin.url) in assert_kept(node.run(*words, "--json", text=True))
    assert listed(stack, key_of(origin.url))["url"] == without(origin.url)


def test_a_release_is_published_without_the_password(stack, node):
    url = f"https://alice:{SECRET}@example.org/{os.urandom(4).hex()}/software.cfg"
    name = hashlib.md5(url.encode()).hexdigest()
    (node.directory / name / "bin").mkdir(parents=True)
    assert_kept(node.run("binary-cache", "publish", name, "--software-url", url, "-v"))
    assert listed(stack, name)["software_url"] == without(url)
    assert_kept(node.run("lookup", "-s", url))
    assert_kept(node.run("binary-cache", "install", "--software-url", url, "--software-root", ".", "-v"))


# Metadata.object is where all that is signed goes through.
@pytest.mark.parametrize("way", ["--meta", "--metadata"])
def test_metadata_of_ones_own_loses_passwords_too_and_that_is_a_warning(stack, node, way):
    key = new_key()
    (node.directory / "m.json").write_text(json.dumps({"from": [f"see https://alice:{SECRET}@example.org/a"]}))
    (node.directory / "file").write_bytes(os.urandom(9))
    told = {"--meta": f"from=https://alice:{SECRET}@example.org/a", "--metadata": "m.json"}[way]
    words = ["upload", "-k", key, "file", way, told]
    assert_kept(node.run(*words, "--strict"), FAILED)
    assert_ended(node.run("lookup", "-k", key), MISSING)
    assert "metadata from: a URL there has a user or a password" in assert_kept(node.run(*words))
    assert "https://example.org/a" in str(listed(stack, key)["from"])


def test_the_old_name_lists_it_without_the_password(stack, node, origin):
    assert_kept(node.run_as("networkcache-upload", "-u", origin.url))
    assert listed(stack, key_of(origin.url))["url"] == without(origin.url)
    assert_kept(node.run_as("networkcache-upload", "-u", f"ftp://alice:{SECRET}@example.org"), 1)


# Terminal.output: what others have signed stays as it is, and is shown without. LookupReport.gist cuts only after that.
def test_passwords_that_others_have_published_are_not_shown(stack, node):
    key = new_key()
    data = os.urandom(9)
    metadata = metadata_of(stack.upload(data), url=f"https://{'alice' * 8}:{SECRET}@example.org/{'a' * 60}")
    stack.index(key, metadata, sign(stack, metadata))
    for words in [
            ["lookup", "-k", key], ["lookup", "-k", key, "--json"], ["download", "-k", key, "-o", "out", "--json"]]:
        assert_kept(node.run(*words, text=True))
    assert_kept(node.run_as("networkcache-download", "-k", key, "-l"))
    assert node.run("download", "-k", key, f"url=={json.dumps(json.loads(metadata)['url'])}").stdout == data


def test_passwords_of_the_configuration_and_in_wrong_arguments_are_not_shown(node):
    node.change(download_dir_url=f"http://alice:{SECRET}@127.0.0.1:{free_port()}/shadir")
    url = f"https://alice:{SECRET}@example.org"
    for status, words in [
            (DONE, ["config"]), (DONE, ["config", "--json"]), (FAILED, ["doctor", "--read-only"]),
            (FAILED, ["doctor", "--read-only", "--json"]), (5, ["lookup", "-k", "a", "--retries", "0"]),
            (1, ["lookup", "-k", "a", url]), (1, ["lookup", "-k", "a", "-O", f"no-such-url={url}"])]:
        assert_kept(node.run(*words, text=True), status)


# HTTPFailure.init: libcurl's own words have the proxy's URL.
@pytest.mark.parametrize("proxy", [
    f"http://alice:{SECRET}@127.0.0.1:1", f"alice:{SECRET}@127.0.0.1:1", f"alice:{SECRET}@127.0.0.1:port",
    f"http://alice:{SECRET}@127.0.0.1:port", f"gopher://alice:{SECRET}@127.0.0.1:1", f"http://alice:{SECRET}@nowhere.invalid"])
def test_passwords_of_proxies_are_not_shown(node, proxy):
    node.change(download_dir_url="http://cache.example.org/shadir")
    done = node.run("lookup", "-k", "a", "--retries", "0", "-v", env={"http_proxy": proxy})
    assert_kept(done, done.returncode)
    assert done.returncode in (1, 5)


# libcurl sends a password to the host and port that it is for.
def test_a_redirect_takes_no_password_elsewhere_and_one_in_it_is_not_shown(stack, node, origin):
    seen = []
    with Impostor(lambda handler: seen.append(handler.headers.get("Authorization"))
                  or reply(handler, 200 if "?" in handler.path else 404, DATA)) as other:
        plain = origin.answer
        origin.answer = lambda handler: reply(handler, 302, headers={"Location": other.url + handler.path})
        assert_kept(node.run("upload", "--url", f"{origin.url}?1", "-v"))
        assert seen == [None]
        other.answer = lambda handler: reply(handler, 302, headers={"Location": f"{origin.url}-missing"})
        origin.answer = plain
        assert_kept(node.run("upload", "--url", f"{other.url}/{SECRET[:3]}", "-v"), FAILED)


# secretParameters, and Job.warnOfSecrets before anything is sent.
@pytest.mark.parametrize("query", ["X-Amz-Signature=1f", "a=b&access_token=c", "sv=1&sig=d%3D"])
def test_a_url_that_lets_in_whoever_has_it_is_a_warning_before_anything_is_sent(deceived, impostor, query):
    url = f"{impostor.url}/origin?{query}"
    impostor.answer = lambda handler: handler.path.startswith("/origin") and reply(handler, 200, DATA)
    name = hashlib.md5(url.encode()).hexdigest()
    (deceived.directory / name).mkdir()
    for words in [["upload", "--url", url], ["download", "--url", url, "--origin", url, "--upload-on-miss", "-o", "out"],
                  ["binary-cache", "publish", name, "--software-url", url]]:
        assert_ended(deceived.run(*words, "--strict"), FAILED, "looks like a secret")
        assert impostor.asked("POST") == impostor.asked("PUT") == []
        assert_ended(deceived.run(*words), DONE, "looks like a secret")
        assert impostor.asked("POST") and impostor.asked("PUT")
        impostor.requests.clear()
        impostor.blobs.clear()
        impostor.listings.clear()
    done = deceived.run_as("networkcache-upload", "-u", url)
    assert_ended(done, DONE, "looks like a secret")


def test_a_key_with_a_password_is_a_warning(deceived, impostor):
    (deceived.directory / "file").write_bytes(DATA)
    for key in f"https://alice:{SECRET}@example.org", "https://example.org?token=a":
        assert_ended(deceived.run("upload", "-k", key, "file", "--strict"), FAILED, "keys are public")
        assert impostor.asked("PUT") == []
