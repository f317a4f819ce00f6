"""`shacache generate-signature-key`: keys that are private, strong, never overwritten, and good for both clients."""

import io
import os
import re
import stat
from datetime import datetime, timezone

import pytest
from certificates import openssl
from deployed import client_of, new_key
from node import DONE, FAILED, MISUSE, assert_ended
from slapos.libnetworkcache import NetworkcacheClient


def bits(path):
    return int(re.search(rb"(\d+) bit", openssl("rsa", "-in", path, "-noout", "-text")).group(1))


def public(kind, path):
    return openssl("x509", "-in", path, "-noout", "-pubkey") if kind == "x509" else openssl("rsa", "-in", path, "-pubout")


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_the_key_is_its_owners_alone_whatever_the_umask(node, mask):
    assert_ended(node.run("generate-signature-key", "--cert-file", "me.crt", "me.key", "Me", umask=mask), DONE)
    assert stat.S_IMODE((node.directory / "me.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((node.directory / "me.crt").stat().st_mode) == 0o644 & ~mask


def test_the_pair_fits_together_and_lasts(node):
    assert_ended(node.run("generate-signature-key", "--cert-file", "me.crt", "me.key", "Mé & Co"), DONE)
    key, certificate = node.directory / "me.key", node.directory / "me.crt"
    assert bits(key) == 3072 and public("rsa", key) == public("x509", certificate)
    subject = openssl("x509", "-in", certificate, "-noout", "-subject", "-nameopt", "utf8,sep_comma_plus").decode()
    assert "Mé & Co" in subject
    end = openssl("x509", "-in", certificate, "-noout", "-enddate").decode().strip().removeprefix("notAfter=")
    years = (datetime.strptime(end, "%b %d %H:%M:%S %Y %Z").replace(tzinfo=timezone.utc) - datetime.now(timezone.utc)).days / 365
    assert years > 99
    openssl("verify", "-CAfile", certificate, certificate)


def test_a_key_of_1024_bits_is_there_for_those_who_must(node):
    assert_ended(node.run("generate-signature-key", "--legacy-1024", "me.key", "Me"), DONE)
    assert bits(node.directory / "me.key") == 1024


@pytest.mark.parametrize("taken", ["me.key", "me.crt"])
@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_nothing_is_overwritten(node, taken, kind):
    path = node.directory / taken
    path.write_text("precious") if kind == "file" else path.symlink_to("nowhere")
    done = assert_ended(node.run("generate-signature-key", "--cert-file", "me.crt", "me.key", "Me"), MISUSE, taken)
    assert done.stdout == b""
    assert sorted(os.listdir(node.directory)) == sorted([taken, "slapos.cfg"])
    assert path.is_symlink() or path.read_text() == "precious"


def test_a_key_whose_certificate_cannot_be_written_does_not_stay(node):
    assert_ended(node.run("generate-signature-key", "--cert-file", "missing/me.crt", "me.key", "Me"), FAILED, "missing/me.crt")
    assert os.listdir(node.directory) == ["slapos.cfg"]


@pytest.mark.parametrize("words", [["--legacy-1024"], []])
def test_what_it_prints_can_be_put_into_slapos_cfg_and_both_clients_sign_and_trust_by_it(stack, node, words):
    done = assert_ended(node.run("generate-signature-key", *words, "me.key", "Me"), DONE)
    (node.directory / "more.cfg").write_bytes(b"[networkcache]\n" + done.stdout)
    node.change(signature_certificate_list=None, signature_private_key_file=node.directory / "me.key")
    node.config.write_bytes(node.config.read_bytes() + done.stdout)
    (node.directory / "file").write_bytes(b"signed")
    # Without a warning: the certificate is in the list.
    assert_ended(node.run("upload", "-k", ours := new_key(), "file", "--strict"), DONE)
    with open(node.config) as config:
        real = NetworkcacheClient(config)
    assert len(list(real.select(ours))) == 1 and list(client_of(stack).select(ours)) == []
    real.upload(io.BytesIO(b"theirs"), theirs := new_key(), a="b")
    assert node.run("download", "-k", theirs).stdout == b"theirs"


OLDER = """\
[slapos]
computer_id = COMP-1234
[networkcache]
signature-private-key-file = {0}/me.key
signature-certificate-file = {0}/me.crt
"""


def test_the_older_form_takes_the_files_and_the_name_from_slapos_cfg(node):
    (node.directory / "older.cfg").write_text(OLDER.format(node.directory))
    assert_ended(node.run("generate-signature-key", "older.cfg"), DONE)
    assert b"COMP-1234" in openssl("x509", "-in", node.directory / "me.crt", "-noout", "-subject")
    assert bits(node.directory / "me.key") == 3072 and (node.directory / "me.key").stat().st_mode & 0o777 == 0o600
    before = (node.directory / "me.key").read_bytes()
    assert_ended(node.run("generate-signature-key", "older.cfg"), MISUSE, "exists")
    assert (node.directory / "me.key").read_bytes() == before


def test_the_older_form_without_a_computer_takes_the_hosts_name(node):
    (node.directory / "older.cfg").write_text(OLDER.format(node.directory).replace("computer_id", "#"))
    assert_ended(node.run("generate-signature-key", "older.cfg"), DONE)
    assert os.uname().nodename.encode() in openssl("x509", "-in", node.directory / "me.crt", "-noout", "-subject")


@pytest.mark.parametrize("missing", ["signature-private-key-file", "signature-certificate-file"])
def test_the_older_form_wants_both_files_named(node, missing):
    (node.directory / "older.cfg").write_text(OLDER.format(node.directory).replace(missing, "other"))
    assert_ended(node.run("generate-signature-key", "older.cfg"), MISUSE, "signature-")
    assert_ended(node.run("generate-signature-key", "missing.cfg"), MISUSE, "missing.cfg")
