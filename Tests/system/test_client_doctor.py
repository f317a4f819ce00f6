"""`shacache doctor`: each thing that it finds, provoked once, and a configuration in which it finds nothing."""

import json
import re
import shutil
import subprocess
import sys
import time
from email.utils import formatdate
from importlib.util import find_spec
from pathlib import Path

import pytest
from certificates import Authority, self_signed
from impostor import Impostor, read, reply
from node import DONE, FAILED, MISUSE, Node
from stack import REPOSITORY, free_port
from test_client_silence import Silent
from test_real_client import printed


def findings(node, *words, status=FAILED):
    """(verdict, subject, text) of all that isn't all right; each of them says how to mend it."""
    found = node.json("doctor", *words, status=status)
    bad = [finding for finding in found if finding["verdict"] != "ok"]
    assert all(finding["mend"] for finding in bad) and all(finding["mend"] is None for finding in found if finding not in bad)
    return [(finding["verdict"], finding["subject"], finding["text"]) for finding in bad]


def assert_found(node, verdict, subject, words, *options, status=FAILED):
    found = findings(node, *options, status=status)
    assert any(f[0] == verdict and f[1] == subject and words in f[2] for f in found), found


def without_uses(node, *prefixes):
    """Leaves out the options that begin so: fewer questions, and one place where a finding can come from."""
    node.options = {name: value for name, value in node.options.items() if not name.startswith(prefixes)}
    node.write()
    return node


@pytest.fixture
def sources(node):
    """Only the download cache."""
    return without_uses(node, "download-binary", "upload-binary")


# Nothing wrong


def test_a_right_configuration_has_no_findings(node):
    assert findings(node, status=DONE) == []
    done = node.run("doctor", text=True)
    assert done.returncode == DONE and "0 failed, 0 warnings" in done.stderr
    assert all(line.startswith("ok ") for line in done.stdout.splitlines())


def test_what_it_uploads_is_there_once_however_often_it_is_asked(node, stack):
    for _ in range(2):
        assert node.run("doctor").returncode == DONE
    entries = stack.entries("shacache-doctor:probe")
    assert len([entry for entry in entries if entry[1]]) == 1


def test_read_only_uploads_nothing(start):
    cache = start()
    node = Node.of(cache, cache.state.parent / "node")
    assert node.run("doctor", "--read-only").returncode == DONE
    assert cache.entries("shacache-doctor:probe") is None


def test_the_commands_for_shacache_work_as_make_run_prints_them(cache):
    commands = printed(cache, "with shacache, in another terminal:", "with curl:")
    assert all(f"shacache {word} " in f"{commands} ".replace("\n", " ") for word in ("doctor", "upload", "lookup", "download"))
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", commands], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.endswith("the same bytes\n"), (commands, done)


def test_strict_makes_a_warning_a_failure(sources, tmp_path):
    key = Path(sources.options["signature-private-key-file"])
    copy = tmp_path / "open.key"
    copy.write_bytes(key.read_bytes())
    copy.chmod(0o644)
    sources.change(signature_private_key_file=copy)
    assert sources.run("doctor").returncode == DONE
    assert sources.run("doctor", "--strict").returncode == FAILED
    assert_found(sources, "warning", "signature-private-key-file", "can be read by others", status=DONE)


# The configuration


def test_a_configuration_that_is_not_there_is_a_misuse(node):
    node.config.unlink()
    assert node.run("doctor").returncode == MISUSE


def test_without_any_it_says_where_it_looked(node):
    done = node.run("doctor", "--json", config=False)
    assert done.returncode == FAILED
    first = json.loads(done.stdout)[0]
    assert (first["verdict"], first["subject"]) == ("warning", "/etc/opt/slapos/slapos.cfg")


@pytest.mark.parametrize("option", ["download-cache-url", "download-dir-url"])
def test_a_download_url_that_is_not_set(sources, option):
    sources.change(**{option: None})
    assert_found(sources, "warning", option, "not set", status=DONE)


@pytest.mark.parametrize("option", ["upload-cache-url", "upload-dir-url"])
def test_an_upload_url_without_the_other(sources, option):
    sources.change(**{option: None})
    assert_found(sources, "failed", option, "not set")


# slapgrid


def slapos(directory, interpreter, text="import sys\n"):
    """A machine's `slapos`, run by this; returns the environment that finds it, and nothing else but what `commands` name."""
    directory.mkdir()
    (directory / "slapos").write_text(f"#!{interpreter}\n{text}")
    (directory / "slapos").chmod(0o755)
    for command in "sh", "gcc":
        (directory / command).symlink_to(shutil.which(command))
    return {"PATH": str(directory)}


def judged(node, subject, env):
    return [finding for finding in json.loads(node.run("doctor", "--read-only", "--json", env=env).stdout)
            if finding["subject"] == str(subject)]


# Doctor.examineSlapgrid. slapgrid logs nothing at all where its Python lacks the library.
def test_the_library_of_the_python_that_runs_slapgrid(node, tmp_path):
    env = slapos(tmp_path / "with", sys.executable)
    (found,) = judged(node, tmp_path / "with/slapos", env)
    assert found["verdict"] == "ok" and "has slapos.libnetworkcache" in found["text"]
    env = slapos(tmp_path / "without", f"{sys.executable} -IS")
    (found,) = judged(node, tmp_path / "without/slapos", env)
    assert found["verdict"] == "failed" and "can't import slapos.libnetworkcache" in found["text"]
    assert found["mend"].endswith("-m pip install slapos.libnetworkcache")
    # As buildout writes it.
    paths = [path for path in sys.path if path]
    env = slapos(tmp_path / "buildout", f"{sys.executable} -IS", f"import sys\nsys.path[0:0] = {paths!r}\nif __name__ == '__main__':\n  sys.exit(1)\n")
    (found,) = judged(node, tmp_path / "buildout/slapos", env)
    assert found["verdict"] == "ok", found
    # What else it may be, the doctor can't look into.
    env = slapos(tmp_path / "shell", "/bin/sh", "exec somewhere/slapos\n")
    assert judged(node, tmp_path / "shell/slapos", env) == []
    without_uses(node, "download-binary", "upload-binary")
    assert judged(node, tmp_path / "with/slapos", {"PATH": str(tmp_path / "with")}) == []


def test_the_compiler_that_slapgrid_asks(node, tmp_path):
    env = slapos(tmp_path / "bin", sys.executable)
    (found,) = judged(node, "gcc", env)
    machine = subprocess.run(["gcc", "-dumpmachine"], capture_output=True, text=True, check=True).stdout.strip()
    assert (found["verdict"], found["text"]) == ("ok", machine)
    (tmp_path / "bin/gcc").unlink()
    (found,) = judged(node, "gcc", env)
    assert found["verdict"] == "failed" and "no such command" in found["text"] and "install gcc" in found["mend"]
    (tmp_path / "bin/gcc").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bin/gcc").chmod(0o755)
    (found,) = judged(node, "gcc", env)
    assert found["verdict"] == "failed" and "gcc -dumpmachine fails" in found["text"]


# Doctor.examineSlapgrid: a slapgrid that runs from its own place isn't on the PATH of who calls the doctor.
def test_a_node_of_a_master_whose_slapos_is_not_on_the_path(node, tmp_path):
    env = slapos(tmp_path / "bin", sys.executable)
    (tmp_path / "bin/slapos").unlink()
    assert judged(node, "slapos", env) == judged(node, "gcc", env) == []
    node.config.write_text("[slapos]\ncomputer_id = COMP-7\n" + node.config.read_text())
    (found,) = judged(node, "slapos", env)
    assert found["verdict"] == "warning" and found["text"] == "not on the PATH: what its Python has isn't checked"
    (found,) = judged(node, "gcc", env)
    assert found["verdict"] == "ok"
    (tmp_path / "bin/gcc").unlink()
    (found,) = judged(node, "gcc", env)
    assert found["verdict"] == "failed"
    proxy = f"http://127.0.0.1:{free_port()}"
    node.change(upload_binary_dir_url="http://cache.invalid/shadir")
    node.config.write_text("[slapos]\ncomputer_id = COMP-7\n" + node.config.read_text())
    first = judged(node, "upload-binary-dir-url", {**env, "http_proxy": proxy})[0]
    assert "can't be reached without http_proxy" in first["text"]


# Doctor.examineDistribution
def test_a_machine_whose_distribution_cannot_be_read(node, tmp_path):
    (tmp_path / "os-release").write_text('ID="debian\n')
    env = {"UNIXCONFDIR": str(tmp_path)}
    (found,) = judged(node, "this machine", env)
    assert found["verdict"] == "failed" and "os-release: the closing quotation mark is missing" in found["text"]
    (found,) = judged(node, "this machine", {})
    assert found["verdict"] == "ok"
    without_uses(node, "download-binary", "upload-binary")
    assert judged(node, "this machine", env) == []


# Doctor.examineWayWithout: the doctor goes through the proxy, slapgrid doesn't.
def test_a_cache_that_only_a_proxy_reaches(node, tmp_path):
    def answer(handler):
        handler.path = handler.path.removeprefix("http://cache.invalid")
    with Impostor(answer) as impostor:
        node.options |= {name: value.replace(impostor.url, "http://cache.invalid") for name, value in impostor.options.items()}
        node.write()
        env = slapos(tmp_path / "bin", sys.executable)
        (right,) = judged(node, "upload-binary-dir-url", {**env, "http_proxy": impostor.url, "no_proxy": "none.invalid"})[1:]
        first = judged(node, "upload-binary-dir-url", {**env, "http_proxy": impostor.url})[0]
        assert right["verdict"] == "ok" and first["verdict"] == "failed"
        assert "can't be reached without http_proxy, and slapgrid uses no proxy" in first["text"]
        assert len(judged(node, "upload-binary-dir-url", {"PATH": "/usr/bin:/bin", "http_proxy": impostor.url})) == 1


# Doctor.examineWayWithout: otherwise each URL takes a minute.
def test_a_cache_that_is_silent_without_the_proxy_is_waited_for_as_long_as_others(node, tmp_path):
    with Impostor(lambda handler: reply(handler, 404) or True) as proxy, Silent() as cache:
        node.options = {f"download-binary-{service}-url": f"{cache.url}/{service}" for service in ("cache", "dir")}
        node.write()
        env = {**slapos(tmp_path / "bin", sys.executable), "http_proxy": proxy.url, "no_proxy": "none.invalid"}
        done = node.run("doctor", "--read-only", "--timeout", "1", env=env, text=True)
    assert done.stdout.count("can't be reached without http_proxy") == done.stdout.count("no answer for 1 s") == 2, done


# It uploads without a word, and no node takes it.
def test_a_machine_that_uploads_and_does_not_sign(sources):
    sources.change(signature_private_key_file=None)
    for options in ["--read-only"], []:
        assert_found(sources, "warning", "upload-dir-url", "this machine doesn't sign: no node trusts", *options, status=DONE)


def test_releases_that_are_not_to_be_uploaded(node, tmp_path):
    node.change(upload_to_binary_cache_url_blacklist="\nhttps://lab.example.org/mine")
    (found,) = judged(node, "upload-to-binary-cache-url-blacklist", slapos(tmp_path / "bin", sys.executable))
    assert found["verdict"] == "ok" and "https://lab.example.org/mine" in found["text"]


# Signing


def test_a_list_that_trusts_nobody(sources):
    sources.change(signature_certificate_list=None)
    assert_found(sources, "failed", "signature-certificate-list", "nothing in the cache is trusted")


def test_a_signing_key_without_its_certificate_in_the_list(sources, tmp_path):
    certificate, key = self_signed(tmp_path, "other")
    key.chmod(0o600)
    sources.change(signature_private_key_file=key)
    assert_found(sources, "failed", "signature-private-key-file", "not in signature-certificate-list")


def test_a_signing_key_that_cannot_be_read(sources, tmp_path):
    sources.change(signature_private_key_file=tmp_path / "nothing")
    assert_found(sources, "failed", "signature-private-key-file", "no such file")


def test_a_certificate_of_1024_bits_in_the_list(sources, tmp_path):
    certificate, _ = self_signed(tmp_path, "weak", "RSA:1024")
    sources.change(
        signature_certificate_list=sources.options["signature-certificate-list"] + certificate.read_text())
    assert_found(sources, "warning", "signature-certificate-list", "weak has an RSA key of 1024 bits", status=DONE)


def test_a_certificate_in_the_list_that_cannot_be_read(sources):
    whole = sources.options["signature-certificate-list"]
    sources.change(signature_certificate_list=whole + "-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n")
    assert_found(sources, "warning", "signature-certificate-list", "certificate 2 of 2", status=DONE)
    assert sources.run("doctor", "--strict").returncode == FAILED


# TLS


@pytest.fixture
def authority(tmp_path):
    directory = tmp_path / "authority"
    directory.mkdir()
    return Authority.create(directory, "authority")


def identify(node, certificate, key):
    key.chmod(0o600)
    node.change(shacache_cert_file=certificate, shacache_key_file=key)
    return node


def test_a_certificate_that_has_expired(sources, authority):
    identify(sources, *authority.issue("old", valid_days=(-9, -2)))
    assert_found(sources, "failed", "shacache-cert-file", "expired 2 days ago")


def test_a_certificate_that_is_not_valid_yet(sources, authority):
    identify(sources, *authority.issue("new", valid_days=(2, 9)))
    assert_found(sources, "failed", "shacache-cert-file", "not valid yet")


def test_a_certificate_that_expires_soon(sources, authority):
    identify(sources, *authority.issue("soon", valid_days=(-1, 9.5)))
    assert_found(sources, "warning", "shacache-cert-file", "expires in 9 days")


def test_a_certificate_too_weak_for_tls(sources, authority):
    identify(sources, *authority.issue("weak", kind="RSA:1024"))
    assert_found(sources, "failed", "shacache-cert-file", "RSA key of 1024 bits")


# Certificate.brokenDigest: OpenSSL 3.5 loads it, and nginx answers 400.
def test_a_certificate_signed_with_sha1(sources, authority):
    identify(sources, *authority.issue("aged", digest="sha1"))
    assert_found(sources, "failed", "shacache-cert-file", "is signed with SHA-1: OpenSSL 3.0 doesn't load it")


# Certificate.strictFault: what `openssl req -x509` leaves out, Python sees from 3.13 on (VERIFY_X509_STRICT).
def test_a_private_authority_that_newer_pythons_refuse(sources, stack, tmp_path):
    certificate, _ = self_signed(tmp_path, "plain", "EC")
    both = tmp_path / "both.crt"
    both.write_text(certificate.read_text() + Path(stack.env["CA_FILE"]).read_text())
    sources.change(shacache_ca_file=both)
    assert_found(sources, "warning", "shacache-ca-file", "CN=plain has no keyUsage: Python from 3.13 on refuses it", status=DONE)
    many = tmp_path / "many.crt"
    many.write_text(both.read_text() * 3)
    sources.change(shacache_ca_file=many)
    assert findings(sources, status=DONE) == []


# Doctor.examineUploadCertificate: a TypeError of Python's ssl module, before anything is sent.
@pytest.mark.parametrize("service, option", [("shacache", "upload-cache-url"), ("shadir", "upload-dir-url")])
def test_an_https_upload_url_without_a_certificate(sources, service, option):
    sources.change(**{f"{service}_cert_file": None, f"{service}_key_file": None})
    assert_found(
        sources, "failed", option, f"{service}-cert-file and {service}-key-file are not set: slapgrid", "--read-only")


def test_a_certificate_that_the_server_refuses(sources, authority):
    identify(sources, *authority.issue("stranger"))
    assert_found(sources, "failed", "upload-cache-url", "the client certificate was refused")


def test_another_certificates_key(sources, authority):
    certificate, _ = authority.issue("one")
    _, key = authority.issue("two")
    identify(sources, certificate, key)
    assert_found(sources, "failed", "shacache-key-file", "another certificate's key")


def test_a_certificate_without_a_key(sources):
    sources.change(shacache_key_file=None)
    assert_found(sources, "failed", "shacache-key-file", "not set")


def test_an_authority_that_did_not_sign_the_servers_certificate(sources, authority):
    sources.change(shacache_ca_file=authority.certificate)
    assert_found(sources, "failed", "upload-cache-url", "certificate")


def test_a_file_is_named_once(sources, tmp_path):
    missing = tmp_path / "nothing"
    for option in "shadir-ca-file", "shadir-key-file":
        sources.change(**{option: missing})
        assert_found(sources, "failed", option, f"{missing}: no such file or directory")
        assert not any(f"{missing}: {missing}" in text for _, _, text in findings(sources))


def test_a_file_that_is_no_certificate(sources, tmp_path):
    (tmp_path / "text").write_text("hello")
    sources.change(shadir_ca_file=tmp_path / "text")
    assert_found(sources, "failed", "shadir-ca-file", "read a certificate")


# The server


@pytest.mark.parametrize("option", ["download-cache-url", "download-dir-url", "upload-cache-url", "upload-dir-url"])
def test_a_url_that_nobody_answers(sources, option):
    sources.change(**{option: f"http://127.0.0.1:{free_port()}/x"})
    assert_found(sources, "failed", option, "Failed to connect")


def test_a_download_url_over_https_without_a_certificate(sources, stack):
    sources.change(
        download_cache_url=stack.env["UPLOAD_SHACACHE_URL"], shacache_cert_file=None, shacache_key_file=None,
        upload_cache_url=None, upload_dir_url=None)
    assert_found(sources, "warning", "download-cache-url", "is https without a client certificate", status=DONE)


def test_no_right_to_upload(closed, tmp_path):
    node = Node.of(closed, tmp_path / "node")
    node.change(**{f"{where}_{what}_file": None for where in ("shacache", "shadir") for what in ("cert", "key")})
    assert_found(node, "failed", "upload-cache-url", "403")
    assert_found(node, "failed", "upload-dir-url", "403")


def test_a_signature_policy_that_refuses_this_signer(start, tmp_path):
    cache = start()
    cache.configure('[uploads]\nsignatures = "require"\n')
    node = without_uses(Node.of(cache, tmp_path / "node"), "download-binary", "upload-binary")
    assert findings(node, status=DONE) == []
    certificate, key = self_signed(tmp_path, "unregistered")
    key.chmod(0o600)
    node.change(
        signature_private_key_file=key, signature_certificate_list="\n" + certificate.read_text())
    assert_found(node, "failed", "upload-dir-url", "registered signers")
    mend = [finding["mend"] for finding in node.json("doctor", status=FAILED) if finding["verdict"] == "failed"]
    assert "register the signing certificate" in mend[0]


# EndpointChecks+Uploads: slapproxy answers 415 to JSON that isn't called so.
def test_the_probes_say_what_they_are_as_the_deployed_clients_do(node):
    seen = {}
    def answer(handler):
        if handler.command in ("POST", "PUT"):
            seen[handler.command] = handler.headers.get("Content-Type")
    with Impostor(answer) as impostor:
        node.options |= impostor.options
        node.write()
        assert without_uses(node, "download-binary", "upload-binary").run("doctor").returncode == DONE
    assert seen == {"POST": "application/octet-stream", "PUT": "application/json"}


# The words of slapos.core 1.26.1 (slapos/proxy/shacache_proxy.py) where its options have dashes, or are missing.
def test_a_slapproxy_that_is_not_configured(node):
    proxy = Path(find_spec("slapos").submodule_search_locations[0]) / "proxy"
    assert 'abort(503, "Shacache not configured")' in (proxy / "shacache_proxy.py").read_text()
    assert "conf.shacache_content_directory" in (proxy / "__init__.py").read_text()
    page = b"<!doctype html>\n<html lang=en>\n<title>503 Service Unavailable</title>\n<p>Shacache not configured</p>\n"
    # Its body first, or the connection goes on with it.
    found = examine_impostor(node, lambda handler: [read(handler), reply(handler, 503, page)])
    assert {subject for _, subject, text in found if "is a slapproxy that isn't told where" in text} == {
        "download-cache-url", "download-dir-url", "upload-cache-url", "upload-dir-url"}, found


# EndpointChecks.failed: what was uploaded elsewhere isn't looked for there too.
def test_a_download_url_that_fails_is_not_called_another_cache(sources):
    with Impostor(lambda handler: [read(handler), reply(handler, 503, b"Shacache not configured")]) as proxy:
        sources.options |= {name: url for name, url in proxy.options.items() if name in ("download-cache-url", "download-dir-url")}
        sources.write()
        found = findings(sources)
    assert [subject for _, subject, text in found if "is a slapproxy" in text] == ["download-cache-url", "download-dir-url"]
    assert not any("different caches" in text for _, _, text in found), found


def test_two_caches_taken_for_one(sources, impostor):
    sources.change(
        download_cache_url=impostor.options["download-cache-url"], download_dir_url=impostor.options["download-dir-url"])
    assert_found(sources, "failed", "download-cache-url", "they are different caches")
    assert_found(sources, "failed", "download-dir-url", "they are different caches")


def examine_impostor(node, answer):
    """Of a server that is right but for what `answer` does."""
    with Impostor(answer) as impostor:
        node.options |= impostor.options
        node.write()
        return findings(without_uses(node, "download-binary", "upload-binary"))


def test_a_server_that_redirects(node):
    found = examine_impostor(
        node, lambda handler: handler.command == "GET" and reply(handler, 301, headers={"Location": "http://elsewhere/"}))
    assert ("failed", "download-cache-url") in [finding[:2] for finding in found]
    assert any("redirects to http://elsewhere/" in finding[2] for finding in found)


def test_a_server_that_ignores_ranges(node):
    def answer(handler):
        if handler.headers.get("Range"):
            del handler.headers["Range"]
    found = examine_impostor(node, answer)
    assert any("doesn't send the rest of a file" in finding[2] for finding in found), found


def test_a_server_whose_errors_have_a_body(node):
    def answer(handler):
        name = handler.path.rpartition("/")[2]
        return handler.headers.get("Range") and name not in handler.impostor.blobs and reply(handler, 404, b"not found")
    found = examine_impostor(node, answer)
    assert any("answers errors with a body" in finding[2] for finding in found), found


def test_a_server_whose_clock_is_wrong(node):
    def answer(handler):
        handler.date_time_string = lambda timestamp=None: formatdate(time.time() - 3600, usegmt=True)
    with Impostor(answer) as impostor:
        node.options |= impostor.options
        node.write()
        found = findings(without_uses(node, "download-binary", "upload-binary"), status=DONE)
    assert any("clock" in finding[2] and "3600 s" in finding[2] or "3599 s" in finding[2] for finding in found), found


def test_a_server_that_takes_files_for_something_else(node):
    found = examine_impostor(node, lambda handler: handler.command == "POST" and reply(handler, 201, b"thank you"))
    assert any("something else than its SHA-512" in finding[2] for finding in found), found


# Its manual


PROGRAMS = ["shacache", "shacache-admin", "shacache-fetcher", "shacache-page", "shacached"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_is_ascii_as_the_manual_loses_all_else(program):
    help = subprocess.run(
        [REPOSITORY / ".build/release" / program, "--experimental-dump-help"], capture_output=True, check=True).stdout
    texts = json.dumps(json.loads(help), ensure_ascii=False)
    assert texts.isascii(), re.findall(r".{0,40}[^\x00-\x7F].{0,40}", texts)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_manual_has_every_option_that_help_has(program):
    """`make manual` writes it anew."""
    def options(command):
        for argument in command.get("arguments", []):
            for name in argument.get("names") or []:
                if argument.get("shouldDisplay", True) and name["kind"] == "long":
                    yield name["name"]
        for subcommand in command.get("subcommands", []):
            if subcommand["commandName"] != "help":
                yield from options(subcommand)

    dumped = subprocess.run(
        [REPOSITORY / ".build/release" / program, "--experimental-dump-help"], capture_output=True, check=True).stdout
    manual = (REPOSITORY / f"docs/man/{program}.1").read_text()
    missing = {name for name in options(json.loads(dumped)["command"]) if not re.search(rf"(Fl|,) -{name}\b", manual)}
    assert not missing, missing
