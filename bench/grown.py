"""A cache that has stored much: rows made by the database itself, and files that are links to few."""

import hashlib
import os
import subprocess
from concurrent.futures import ProcessPoolExecutor

LINKS = 60_000  # of one file; ext4 allows 65,000
BYTES = 1  # in each file

# Blob i, the one entry that names it, and the uploads of both. All fall into this month, whose indexes they fill.
ROWS = [
    "SET session_replication_role = replica",
    """INSERT INTO shacache.blob (sha512, size, account_id)
       SELECT sha512(int8send(i)), {bytes}, account.id FROM shacache.account, generate_series(1::bigint, {rows}) AS i
       WHERE name = 'demo'""",
    """INSERT INTO shacache.entry (key, metadata, signature, digest, sha512, account_id, signature_result)
       SELECT 'bench:grown-' || i, '{{"sha512": "' || encode(sha512(int8send(i)), 'hex') || '", "url": "' || repeat('x', 250)
           || '"}}', '', sha256(int8send(i)), sha512(int8send(i)), account.id, 'unsigned'
       FROM shacache.account, generate_series(1::bigint, {rows}) AS i WHERE name = 'demo'""",
    """INSERT INTO shacache.upload (account_id, certificate, client_address, target, key, sha512, bytes, duplicate,
           signature_result, outcome, status, duration, request_id)
       SELECT account.id, sha256(''), '192.0.2.1', target, CASE target WHEN 'entry' THEN 'bench:grown-' || i END,
           sha512(int8send(i)), {bytes}, false, CASE target WHEN 'entry' THEN 'unsigned' END, 'accepted', 201, '12 ms',
           md5(i::text)
       FROM shacache.account, generate_series(1::bigint, {rows}) AS i, (VALUES ('blob'), ('entry')) AS targets (target)
       WHERE name = 'demo'""",
    "INSERT INTO shacache.key_count SELECT key, count(*), max(created_at) FROM shacache.entry GROUP BY key "
    "ON CONFLICT DO NOTHING",
]


def fill_database(cache, rows):
    database = cache.env["DATABASE_URL"].replace("shacache_owner", "postgres")
    words = ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database]
    for statement in ROWS:
        words += ["-c", statement.format(rows=rows, bytes=BYTES)]
    subprocess.run([*words, "-c", "VACUUM ANALYZE", "-c", "CHECKPOINT"], check=True)


def fill_store(cache, files):
    """The files of the first blobs."""
    blobs = cache.store / "blobs"
    owner = cache.store.stat()
    for number in range(256):
        shelf = blobs / f"{number:02x}"
        shelf.mkdir(parents=True, exist_ok=True)
        os.chown(shelf, owner.st_uid, owner.st_gid)
    os.chown(blobs, owner.st_uid, owner.st_gid)
    with ProcessPoolExecutor() as pool:
        firsts = range(1, files + 1, LINKS)
        for _ in pool.map(_link, *zip(*((blobs, first, min(first + LINKS, files + 1), owner) for first in firsts))):
            pass


def _link(blobs, first, end, owner):
    source = None
    for number in range(first, end):
        name = hashlib.sha512(number.to_bytes(8, "big")).hexdigest()
        path = f"{blobs}/{name[:2]}/{name}"
        if source:
            os.link(source, path)
            continue
        source = path
        with open(path, "xb") as file:
            file.write(b"x" * BYTES)
        # As an upload leaves it (SpooledBody.seal).
        os.setxattr(path, "user.shacache.size", str(BYTES).encode())
        os.chmod(path, 0o440)
        os.chown(path, owner.st_uid, owner.st_gid)
