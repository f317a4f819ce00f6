"""What slapgrid does with its binary cache, by slapos.core's own functions: SlapObject.Software.install and
uploadSoftwareRelease, without the buildout between them."""

import hashlib
import logging
import tarfile

from slapos.grid.networkcache import download_network_cached, upload_network_cached

LOGGER = logging.getLogger("slapgrid")


def key_of(url):
    return hashlib.md5(url.encode()).hexdigest()


def publish(node, directory, url, archive):
    """As SlapObject.uploadSoftwareRelease; whether the cache has it."""
    option = node.options.get
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(directory, arcname=key_of(url))
    return upload_network_cached(
        str(directory.parent), url, key_of(url), option("upload-binary-cache-url"), option("upload-binary-dir-url"),
        archive, LOGGER, option("signature-private-key-file"), option("signature-certificate-list"),
        *(option(f"sha{where}-{what}-file") for where in ("cache", "dir") for what in ("ca", "cert", "key")))


def install(node, url, root, archive):
    """As SlapObject.install; whether it was in the cache."""
    option = node.options.get
    found = download_network_cached(
        option("download-binary-cache-url"), option("download-binary-dir-url"), url, str(root), key_of(url), archive,
        LOGGER, option("signature-certificate-list"), [])
    if found:
        with tarfile.open(archive) as tar:
            tar.extractall(path=root)
    return found
