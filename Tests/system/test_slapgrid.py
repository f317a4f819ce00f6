"""SlapOS's own `slapos node software` at a cache of ours: what it builds, uploads and installs, and what stops it.

Those marked slow run by `make test-slapgrid`, the others in `make test` too."""

import json
import os
import shutil
import subprocess
import tarfile
import textwrap
from types import SimpleNamespace

import pytest
from administration import listed
from certificates import self_signed
from deployed import sign
from impostor import Impostor, reply
from nearby import restart
from node import DONE, MISUSE, assert_ended
from slapgrid import key_of
from slapos_node import BUILDER, Master, SlaposNode, client_for_builders, install_slapos
from stack import Stack, free_port, let_others_in
from test_client_binary_cache import HERE, archive, install, publish
from test_near_keys import HOUR, age, withdraw

SOURCE = b'#include <stdio.h>\nint main(void) { puts("compiled"); }\n'


@pytest.fixture(scope="module")
def master(tmp_path_factory):
    """The master, and the packages that it and the nodes are made of."""
    directory = tmp_path_factory.mktemp("master")
    let_others_in(directory)
    with Master(directory, install_slapos(directory)) as master:
        yield master


@pytest.fixture(scope="module")
def tools(stack, tmp_path_factory):
    """What a build uses: shacache, with a configuration that only downloads."""
    directory = tmp_path_factory.mktemp("tools")
    let_others_in(directory)
    config = directory / "networkcache.cfg"
    config.write_text(textwrap.dedent(f"""\
        [networkcache]
        download-cache-url = {stack.env["SHACACHE_URL"]}
        download-dir-url = {stack.env["SHADIR_URL"]}
        """))
    with open(stack.env["SIGN_CERT"]) as certificate, open(config, "a") as file:
        file.write("signature-certificate-list =\n" + textwrap.indent(certificate.read(), "  "))
    return SimpleNamespace(client=client_for_builders(directory), config=config)


@pytest.fixture(scope="module")
def site():
    """Where profiles and sources come from; `files` is what it has."""
    files = {}
    with Impostor(lambda handler: handler.path in files and (reply(handler, 200, files[handler.path]) or True)) as site:
        site.files = files
        yield site


@pytest.fixture(scope="module")
def make_release(master, site, tools):
    """Makes software releases that the master wants on its computer: a program, compiled from a source that is fetched."""
    def make():
        name = os.urandom(8).hex()
        site.files[f"/{name}/program.c"] = SOURCE
        site.files[f"/{name}/software.cfg"] = textwrap.dedent(f"""\
            [buildout]
            parts = program

            [program]
            recipe = slapos.recipe.build
            url = {site.url}/{name}/program.c
            install =
              import os
              from subprocess import check_call
              os.makedirs(location)
              check_call((
                "{tools.client}", "download", "--config", "{tools.config}", "--url", options["url"],
                "--origin", options["url"], "-o", location + "/program.c"))
              check_call(("gcc", "-o", location + "/program", location + "/program.c"))
            """).encode()
        master.supply(url := f"{site.url}/{name}/software.cfg")
        return url

    return make


@pytest.fixture
def url(make_release):
    return make_release()


@pytest.fixture(scope="module")
def published(stack, master, make_release, tmp_path_factory):
    """A release that slapgrid has built and uploaded; tests leave its entry as it is."""
    return published_by(SlaposNode(tmp_path_factory.mktemp("builders") / "publisher", stack, master), make_release())


@pytest.fixture
def machine(stack, master, tmp_path):
    """Makes machines: `machine("builder", download_binary_cache_url=None)`."""
    return lambda name, **changes: SlaposNode(tmp_path / name, stack, master, **changes)


def published_by(builder, url):
    content, said, _ = builder.slapgrid(url)
    assert content, said
    return url


def dies(site, url, *names):
    """The origin of a release's files has them no more."""
    for name in names:
        del site.files[url.removeprefix(site.url).replace("software.cfg", name)]


def strangers(tmp_path):
    """Certificates of somebody who has signed nothing here."""
    certificate, _ = self_signed(tmp_path, "stranger")
    return "\n" + certificate.read_text()


DOWNLOADS_ONLY = dict.fromkeys(["upload_binary_cache_url", "upload_binary_dir_url", "signature_private_key_file"])


def output_of(node, url):
    return subprocess.run([node.release(url) / "parts/program/program"], capture_output=True, check=True).stdout


def built(said):
    """Whether buildout was at work."""
    return "Installing program" in said


# The path from a builder to a node


def test_a_node_installs_what_a_builder_compiled_while_the_origin_is_dead(stack, machine, site, url):
    builder = machine("builder")
    content, said, told = builder.slapgrid(url)
    assert content and built(said) and told == ["building", "available"], said
    ((metadata, _),) = stack.entries(key_of(url))
    assert json.loads(metadata)["software_root"] == str(builder.root) and output_of(builder, url) == b"compiled\n"
    dies(site, url, "software.cfg", "program.c")
    node = machine("node")
    content, said, told = node.slapgrid(url)
    assert content and not built(said) and told == ["building", "available"], said
    assert output_of(node, url) == b"compiled\n" and (node.release(url) / ".completed").exists()
    # Having told its master, it leaves the release alone.
    assert node.slapgrid(url)[0] and node.slapgrid(url)[2] == []


def test_a_source_whose_origin_is_dead_comes_from_the_cache(stack, node, machine, site, url):
    assert_ended(node.run("upload", "--url", url.replace("software.cfg", "program.c")), DONE)
    dies(site, url, "program.c")
    builder = machine("builder", **DOWNLOADS_ONLY)
    content, said, _ = builder.slapgrid(url)
    assert content and built(said) and output_of(builder, url) == b"compiled\n", said


# Each state of the upstream has a machine of its own, whose software root is empty.
@pytest.mark.slow
def test_machines_install_through_a_near_cache_whatever_becomes_of_the_far_one(master, make_release, site, tmp_path):
    with Stack(tmp_path / "far") as far, Stack(tmp_path / "near", UPSTREAM=far.env["SHACACHE_URL"]) as near:
        url = published_by(SlaposNode(tmp_path / "builder", far, master), make_release())
        dies(site, url, "program.c")

        urls = {"download_binary_cache_url": near.env["SHACACHE_URL"], "download_binary_dir_url": near.env["SHADIR_URL"]}
        machines = [SlaposNode(tmp_path / f"node-{number}", far, master, **DOWNLOADS_ONLY, **urls) for number in range(4)]

        def installs(node):
            content, said, _ = node.slapgrid(url)
            return content and not built(said) and output_of(node, url) == b"compiled\n"

        assert installs(machines[0]) and installs(machines[1])
        far.stop()
        age(near, key_of(url), 2 * HOUR)
        assert installs(machines[2])
        far.start()
        restart(near)
        withdraw(far, key_of(url))
        age(near, key_of(url), 2 * HOUR)
        assert not installs(machines[3])


@pytest.mark.slow
@pytest.mark.parametrize("options", [
    pytest.param(lambda path: {"signature_certificate_list": strangers(path)}, id="nobody it trusts"),
    pytest.param(lambda path: {"download_binary_cache_url": f"http://localhost:{free_port()}/", "download_binary_dir_url": f"http://localhost:{free_port()}/"}, id="the cache down"),
    pytest.param(lambda path: {"download_from_binary_cache_url_blacklist": "http://127.0.0.1"}, id="blacklisted"),
])
def test_a_node_that_finds_nothing_compiles(machine, published, tmp_path, options):
    node = machine("node", **DOWNLOADS_ONLY, **options(tmp_path))
    content, said, told = node.slapgrid(published)
    assert content and built(said) and told == ["building", "available"], said


@pytest.mark.slow
def test_a_cache_that_never_answers_costs_a_node_a_minute(machine, impostor, published):
    def silent(handler):
        handler.connection.settimeout(90)
        return handler.rfile.read(1) or True  # until the other side gives up

    impostor.answer = silent
    node = machine("node", **DOWNLOADS_ONLY, download_binary_cache_url=impostor.url, download_binary_dir_url=impostor.url)
    content, said, _ = node.slapgrid(published, seconds=120)
    assert content and built(said) and "timed out" in said, said


@pytest.mark.slow
def test_where_the_cache_is_forced_a_node_waits_for_it_and_gets_it_later(machine, url):
    forced = {"download_from_binary_cache_force_url_list": "\nhttp://127.0.0.1"}
    node = machine("node", **forced)
    content, said, told = node.slapgrid(url)
    assert not content and told == ["building", "error"] and "failed to download, will retry again" in said
    assert machine("builder").slapgrid(url)[0]
    content, said, told = node.slapgrid(url)
    assert content and not built(said) and told == ["building", "available"], said


def test_an_entry_whose_blob_is_lost_is_passed_over_for_the_next(stack, machine, url):
    published = published_by(machine("builder"), url)
    ((metadata, _),) = stack.entries(key_of(published))
    stack.blob_file(json.loads(metadata)["sha512"]).unlink()
    assert machine("another", download_binary_cache_url=None).slapgrid(published)[0]  # compiles, and uploads
    assert len(stack.entries(key_of(published))) == 2
    content, said, _ = machine("node", **DOWNLOADS_ONLY).slapgrid(published)
    assert content and not built(said), said


@pytest.mark.slow
def test_a_damaged_blob_is_no_blob_and_a_node_compiles(stack, machine, url):
    published = published_by(machine("builder"), url)
    ((metadata, _),) = stack.entries(key_of(published))
    file = stack.blob_file(json.loads(metadata)["sha512"])
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.chmod(0o600)
    file.write_bytes(data)
    content, said, _ = machine("node", **DOWNLOADS_ONLY).slapgrid(published)
    assert content and built(said), said


@pytest.mark.slow
def test_bytes_that_arrive_wrong_make_a_node_compile_though_another_entry_fits(stack, machine, impostor, url):
    for name in "first", "second":
        data = archive(url, (name, tarfile.REGTYPE, b"file"))
        text = json.dumps({"sha512": impostor.has(data), "multiarch": HERE[0], "os": HERE[1]})
        impostor.listings.setdefault(key_of(url), []).append([text, sign(stack, text)])
    first = next(iter(impostor.blobs))
    impostor.blobs[first] = impostor.blobs[first][:-1] + b"x"
    here = {f"download_binary_{service}_url": f"{impostor.url}/sha{service}" for service in ("cache", "dir")}
    node = machine("node", **DOWNLOADS_ONLY, **here)
    content, said, _ = node.slapgrid(url)
    assert content and built(said), said
    (node.directory / "ours").mkdir()
    assert_ended(install(node, node.directory / "ours", url), DONE)
    assert os.listdir(node.directory / "ours" / key_of(url)) == ["second"]


def test_a_trusted_entry_of_no_archive_makes_a_node_fail_until_it_is_withdrawn(stack, machine, url):
    # As shacache binary-cache install takes the next entry, and the operator's reports name this one.
    text = json.dumps({"sha512": stack.upload(b"no archive" + os.urandom(9)), "multiarch": HERE[0], "os": HERE[1]})
    stack.index(key_of(url), text, sign(stack, text))
    node = machine("node", **DOWNLOADS_ONLY)
    for _ in range(2):
        content, said, told = node.slapgrid(url)
        assert not content and "ReadError" in said and told == ["building", "error"], said
    assert not node.release(url).exists()
    (entry,) = listed(stack, "entry", "list", key_of(url))
    stack.admin("entry", "withdraw", str(entry["number"]), "--reason", "no archive")
    assert node.slapgrid(url)[0]


@pytest.mark.slow
def test_a_failed_build_forbids_the_binary_cache_until_its_directory_is_removed(machine, site, url):
    node = machine("node")
    profile = url.removeprefix(site.url)
    text = site.files.pop(profile)
    content, said, told = node.slapgrid(url)
    assert not content and told == ["building", "error"] and node.release(url).exists()
    site.files[profile] = text
    assert machine("builder").slapgrid(url)[0]
    del site.files[profile]
    content, said, _ = node.slapgrid(url)
    assert not content and "binary from network cache" not in said, said
    shutil.rmtree(node.release(url))
    assert node.slapgrid(url)[0]
    assert output_of(node, url) == b"compiled\n"


@pytest.mark.slow
def test_without_a_command_gcc_a_node_gets_no_release(machine, published, tmp_path):
    # slapgrid asks it for the triplet, also for a release that needs no compiler.
    tools = tmp_path / "tools"
    tools.mkdir(mode=0o755)
    for name in os.listdir("/usr/bin"):
        if "gcc" not in name:
            (tools / name).symlink_to(f"/usr/bin/{name}")
    node = machine("node", **DOWNLOADS_ONLY)
    node.environment["PATH"] = str(tools)
    content, said, told = node.slapgrid(published)
    assert "No such file or directory: 'gcc'" in said and not content and told == ["building", "error"], said


# What shacache installs on a node that slapgrid runs


def test_shacache_installs_nothing_that_slapgrid_would_compile_over(machine, published):
    # Fails without refuseBesideSlapgrid.
    node = machine("node")
    done = assert_ended(install(node, node.root, published), MISUSE, "is slapgrid's")
    assert "--mark-completed" in done.stderr.decode() and os.listdir(node.root) == []
    # By whatever name it is called.
    (node.directory / "link").symlink_to(node.root)
    assert_ended(install(node, node.directory / "link", published), MISUSE, "is slapgrid's")
    # Elsewhere on the same machine it is as ever.
    (node.directory / "elsewhere").mkdir()
    assert_ended(install(node, node.directory / "elsewhere", published), DONE)


@pytest.mark.parametrize("forced", [None, "http://127.0.0.1"])
def test_marked_as_completed_slapgrid_takes_it_as_it_is_and_tells_nobody(machine, published, forced):
    # Fails without addReplacements.
    node = machine("node", download_from_binary_cache_force_url_list=forced)
    assert_ended(install(node, node.root, published, "--mark-completed"), DONE)
    content, said, told = node.slapgrid(published)
    assert content and not built(said) and told == [], said
    mark = node.release(published) / ".completed"
    assert mark.stat().st_uid == BUILDER.pw_uid and mark.stat().st_mode & 0o777 == 0o644
    # Again, it is there.
    assert_ended(install(node, node.root, published, "--mark-completed"), DONE, "is there already")


@pytest.mark.slow
def test_what_is_installed_before_slapgrid_comes_needs_the_mark(machine, published):
    # So says docs/use.md of a node's image.
    node = machine("node", **DOWNLOADS_ONLY)
    node.slapos_options["computer_id"] = ""
    node.write()
    assert_ended(install(node, node.root, published), DONE)
    node.slapos_options["computer_id"] = "local_computer"
    node.change(download_from_binary_cache_force_url_list="http://127.0.0.1")
    content, said, _ = node.slapgrid(published)
    assert not content and "already exists, will retry again" in said, said
    node.change(download_from_binary_cache_force_url_list=None)
    content, said, _ = node.slapgrid(published)
    assert content and built(said), said


def test_a_build_that_failed_is_neither_installed_nor_marked(machine, published):
    # Fails without `obstacle`, which else says that the release is there already.
    node = machine("node")
    node.release(published).mkdir()
    for words in [], ["--mark-completed"]:
        assert_ended(install(node, node.root, published, *words), MISUSE, "without slapgrid's mark .completed")
    assert os.listdir(node.release(published)) == []
    (node.release(published) / ".completed").touch()
    assert_ended(install(node, node.root, published), DONE, "is there already")


def test_the_mark_in_an_archive_is_left_out(stack, deceived, impostor, tmp_path):
    # `slapos node software --all` builds again what has the mark, and uploads it with that. Fails without isReplaced.
    url = "https://lab.example.org/marked/software.cfg"
    data = archive(url, (".completed", tarfile.REGTYPE, b"there"), ("file", tarfile.REGTYPE, b"file"))
    text = json.dumps({"sha512": impostor.has(data), "multiarch": HERE[0], "os": HERE[1]})
    impostor.listings[key_of(url)] = [[text, sign(stack, text)]]
    (tmp_path / "slapgrid").mkdir()
    assert_ended(install(deceived, tmp_path / "slapgrid", url), DONE)
    assert os.listdir(tmp_path / "slapgrid" / key_of(url)) == ["file"]


def test_publishing_what_slapgrid_has_not_completed_is_a_warning(machine, published):
    node = machine("node")
    assert node.slapgrid(published)[0]
    assert b"warning" not in assert_ended(publish(node, node.release(published), published), DONE).stderr
    (node.release(published) / ".completed").unlink()
    assert_ended(publish(node, node.release(published), published), DONE, "has no .completed")


# What makes it sleep for half an hour, three times


@pytest.mark.slow
@pytest.mark.parametrize("changes, says", [
    ({"shacache_cert_file": None, "shacache_key_file": None}, "TypeError: certfile should be a valid filesystem path"),
    ({"shadir_cert_file": None, "shadir_key_file": None}, "TypeError: certfile should be a valid filesystem path"),
    ({"signature_certificate_list": None}, "no matching certificate for private key"),
    ({"shacache_ca_file": None}, "CERTIFICATE_VERIFY_FAILED"),
    pytest.param({"upload_binary_cache_url": f"https://localhost:{free_port()}/shacache"}, "Connection refused"),
])
def test_an_upload_that_fails_makes_it_sleep(machine, url, changes, says):
    asleep, said = machine("builder", **changes).sleeps_after_upload(url)
    assert asleep and says in said, said


@pytest.mark.slow
@pytest.mark.parametrize("status", [200, 302, 403, 429, 503])
def test_an_answer_that_is_not_201_makes_it_sleep_and_of_it_only_the_status_line_is_logged(machine, impostor, url, status):
    def answer(handler):
        if handler.command == "POST":
            handler.rfile.read(int(handler.headers["Content-Length"]))
            handler.send_response(status, "what to mend")
            handler.send_header("Content-Length", "5")
            handler.end_headers()
            handler.wfile.write(b"body\n")
            return True

    impostor.answer = answer
    asleep, said = machine("builder", upload_binary_cache_url=impostor.url).sleeps_after_upload(url)
    assert asleep and (f"HTTP Error {status}: what to mend" if status != 200 else "Response code: 200") in said, said
    assert status == 200 or "body" not in said


@pytest.mark.slow
def test_without_the_library_it_sleeps_and_says_nothing(machine, url):
    builder = machine("builder")
    venv = builder.master.slapos.parent.parent
    file = next(venv.glob("lib/*/site-packages/slapos/libnetworkcache.py"))
    file.rename(hidden := file.with_suffix(".hidden"))
    try:
        asleep, said = builder.sleeps_after_upload(url)
    finally:
        hidden.rename(file)
    assert asleep and "Uploading" not in said, said
