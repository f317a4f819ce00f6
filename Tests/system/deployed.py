"""The deployed client, set up against a cache, and what its tests need beside it."""

import json
import os
from base64 import b64encode
from pathlib import Path

from certificates import openssl
from slapos.libnetworkcache import NetworkcacheClient
from stack import Database
from wire import Wire


def client_of(stack, certificate=None, key=None, **changes):
    """A client with the settings that `make run` writes; with a signing pair of its own, if given."""
    env = stack.env
    certificate, key = certificate or env["SIGN_CERT"], key or env["SIGN_KEY"]
    config = {
        "download-cache-url": env["SHACACHE_URL"],
        "download-dir-url": env["SHADIR_URL"],
        "upload-cache-url": env["UPLOAD_SHACACHE_URL"],
        "upload-dir-url": env["UPLOAD_SHADIR_URL"],
        "signature-private-key-file": str(key),
        "signature-certificate-list": Path(certificate).read_text(),
    }
    for where in "shacache", "shadir":
        for what, name in ("ca", "CA_FILE"), ("cert", "CLIENT_CERT"), ("key", "CLIENT_KEY"):
            config[f"{where}-{what}-file"] = env[name]
    return NetworkcacheClient({**config, **changes})


def new_key():
    return f"test:{os.urandom(8).hex()}"


def sign(stack, metadata, key=None, digest="sha1"):
    signature = openssl("dgst", f"-{digest}", "-sign", key or stack.env["SIGN_KEY"], input=metadata.encode())
    return b64encode(signature).decode()


def metadata_of(digest="0" * 128, **more):
    return json.dumps({"sha512": digest, **more})


def put(stack, key, body):
    """A raw PUT of an entry's body."""
    with Wire(stack, stack.tls()) as wire:
        return wire.request("PUT", f"/shadir/{key}", body)


def selected(client, key):
    return list(client.select(key))


def marks(stack, key):
    return Database(stack).run(
        f"""SELECT signature_result, coalesce(signer.name, '') FROM shacache.entry
            LEFT JOIN shacache.signer ON signer.id = signer_id WHERE key = '{key}' ORDER BY entry.id""")
