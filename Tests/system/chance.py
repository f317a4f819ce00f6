"""A cache's rows of seventy days until now, made by chance."""

import hashlib
from datetime import datetime, timedelta, timezone

from reports import NOTED

NOW = datetime.now(timezone.utc)
# dora never uploads, cleo is disabled.
ACCOUNTS = ["ann", "ben", "cleo", "dora"]
SIGNERS = ["sig-a", "sig-b"]
PLATFORMS = [
    ("NULL", "NULL", "NULL"), ("'https://a'", "'x86'", "'{debian,12}'::text[]"), ("'https://b'", "'x86'", "'{debian,11}'::text[]"),
    ("'https://a'", "NULL", "NULL")]
HOSTS = ["cache-1", "cache-2"]
KINDS = ["referenced", "unreferenced", "withdrawn", "exposed", "damaged", "quarantined", "trash", "journal", "arriving",
         "orphan", "temporary", "unknown", "directory", "dangling"]


def made_by_chance(random):
    """The statements that make them."""
    yield "INSERT INTO shacache.account (name, disabled_at) VALUES " + rows(
        (f"'{name}'", "now()" if name == "cleo" else "NULL") for name in ACCOUNTS)
    yield "INSERT INTO shacache.signer (name, certificate, public_key) VALUES " + rows(
        (f"'{name}'", "''", f"'{name}'") for name in SIGNERS)
    yield from uploaded(random)
    yield from withdrawn(random)
    yield from downloaded(random)
    yield from surveyed(random)
    yield from scrubbed(random)
    yield from imported(random)
    yield from collected(random)
    yield from pinned(random)
    yield from fetched(random)
    yield """
        INSERT INTO shacache.archive_check (sha512, key, checked_at, problem)
        SELECT DISTINCT sha512, key, now() - get_byte(sha512, 2) * interval '6 hours',
            CASE WHEN get_byte(sha512, 1) % 2 = 0 THEN 'it is none' END
        FROM shacache.entry WHERE length(key) = 32 AND get_byte(sha512, 0) % 3 > 0"""
    yield "INSERT INTO shacache.certificate (fingerprint, account_id, subject, issuer, serial, not_before, not_after, origin, revoked_at) VALUES " + rows(
        (f"sha256('{n}')", random.randint(1, 4), "''", "''", "''", "now() - interval '9 years'",
         f"now() + {random.uniform(-90, 90)} * interval '1 day'", "'issued'", random.choice(["NULL", "NULL", "now()"]))
        for n in range(40))
    yield from account_requests(random)


def rows(values):
    return ", ".join(f"({', '.join(map(str, row))})" for row in values)


def days_ago(days):
    return f"'{NOW - timedelta(days=days)}'::timestamptz"


def uploaded(random):
    """The record, and what its uploads stored. A few keys have many entries; of the blobs some never came."""
    uploads, blobs, entries = [], {}, {}
    for at in sorted((random.uniform(0, 70) for _ in range(2500)), reverse=True):
        at = days_ago(at)
        account = random.randint(1, 3)
        target, bytes_ = random.choice(["blob", "entry"]), random.randint(0, 5000)
        signer = random.choice(["NULL", 1, 2]) if target == "entry" else "NULL"
        unverified = random.choice(["'unsigned'", "'unknown signer'"])
        result = "'verified'" if signer != "NULL" else unverified if target == "entry" else "NULL"
        if random.random() < 0.2:
            account = random.choice(["NULL", account])
            status, reason = random.choice([(403, "not authorized"), (400, "malformed entry"), (507, "no space")])
            outcome = "refused" if status < 500 else "failed"
            result, signer = random.choice([("NULL", "NULL"), (result, signer)])
            uploads.append((at, account, f"'{target}'", "NULL", "NULL", bytes_, "NULL", result, signer, f"'{outcome}'",
                            status, f"'{reason}'"))
            continue
        number = random.randint(1, 600)
        stored, name = (blobs, f"blob {number}") if target == "blob" else (entries, f"entry {number}")
        duplicate = name in stored
        # Some look like those of compiled releases.
        key, blob = hashlib.md5(b"%d" % (number % 90)).hexdigest() if number % 5 == 0 else f"key {number % 3 if number % 2 else number % 90}", f"blob {number if target == 'blob' else number + 40}"
        bytes_ = stored.setdefault(name, (at, account, bytes_, result, signer, key, blob))[2]
        uploads.append((at, account, f"'{target}'", f"'{key}'" if target == "entry" else "NULL", f"sha512('{blob}')", bytes_,
                        duplicate, result, signer, "'accepted'", 201, "NULL"))
    # Some entries come first, and some of these get their blob later.
    put = list(entries.items())
    yield listed(random, put[:100])
    yield NOTED
    yield "INSERT INTO shacache.blob (created_at, account_id, sha512, size) VALUES " + rows(
        (at, account, f"sha512('{name}')", size) for name, (at, account, size, *_) in blobs.items())
    yield listed(random, put[100:])
    yield NOTED
    yield ("INSERT INTO shacache.upload (at, account_id, target, key, sha512, bytes, duplicate, signature_result, "
           "signer_id, outcome, status, reason, duration, request_id) SELECT *, interval '1 ms', '' FROM (VALUES "
           + rows(uploads)
           + ") AS new (at, account_id, target, key, sha512, bytes, duplicate, signature_result, signer_id, outcome, "
             "status, reason)")


def listed(random, entries):
    return ("INSERT INTO shacache.entry (created_at, account_id, key, metadata, signature, digest, sha512, "
            "signature_result, signer_id, software_url, multiarch, os) VALUES " + rows(
                (at, account, f"'{key}'", metadata(name), "'AA'", f"sha256('{name}')", f"sha512('{blob}')", result, signer,
                 *random.choice(PLATFORMS))
                for name, (at, account, _, result, signer, key, blob) in entries))


def metadata(name):
    """Of every seventh entry, with a password."""
    number = int(name.split()[1])
    return f"""'{{"url": "https://me:{number}@example.org/{number}"}}'""" if number % 7 == 0 else "'{}'"


def withdrawn(random):
    """Every second one was lifted."""
    for number in range(1, 13):
        lifted = "NULL, NULL" if number % 2 else "now(), 'root'"
        yield (f"INSERT INTO shacache.withdrawal (at, actor, account_id, target, reason, lifted_at, lifted_by) "
               f"VALUES ({days_ago(random.uniform(0, 70))}, 'root', {random.choice(['NULL', 1, 2])}, "
               f"'{random.choice(['blob', 'entries'])}', 'by chance', {lifted})")
        if number % 2:
            table, column = random.choice([("blob", "size"), ("entry", "id")])
            yield (f"UPDATE shacache.{table} SET withdrawal_id = {number} WHERE withdrawal_id IS NULL AND sha512 IN "
                   f"(SELECT sha512 FROM shacache.entry ORDER BY {random.choice(['key', 'digest'])} LIMIT {number})")


def downloaded(random):
    """Also of blobs that nobody uploaded, and of keys that nobody listed."""
    blobs, keys = set(), set()
    for _ in range(1500):
        day = f"'{(NOW - timedelta(days=random.randint(0, 70))).date()}'"
        blobs.add((day, f"sha512('blob {random.randint(1, 700)}')"))
        keys.add((day, random.choice([f"'key {random.randint(0, 100)}'", "''"])))
    figures = lambda count: [random.choice([0, 0, random.randint(0, 9)]) for _ in range(count)]
    yield "INSERT INTO shacache.blob_download (day, sha512, whole, partial, probes, bytes) VALUES " + rows(
        (*subject, *figures(4)) for subject in sorted(blobs))
    yield "INSERT INTO shacache.key_lookup (day, key, found, not_found, bytes) VALUES " + rows(
        (*subject, *figures(3)) for subject in sorted(keys))
    yield """
        INSERT INTO shacache.download_day (day, kind, whole, partial, probes, not_found, bytes)
        SELECT day, 'blob', sum(whole), sum(partial), sum(probes), 0, sum(bytes) FROM shacache.blob_download GROUP BY day
        UNION ALL SELECT day, 'key', sum(found), 0, 0, sum(not_found), sum(bytes) FROM shacache.key_lookup GROUP BY day"""


def surveyed(random):
    """One of the hosts was taken away."""
    nights = [(night, host) for night in range(70, 0, -1) for host in HOSTS if host != HOSTS[1] or night > 50]
    yield "INSERT INTO shacache.survey (started_at, at, host, filesystem_bytes, free_bytes, filesystem_inodes, free_inodes) VALUES " + rows(
        (days_ago(night + 0.01), days_ago(night), f"'{host}'", 10000, random.randint(0, 10000), 0, 0) for night, host in nights)
    yield "INSERT INTO shacache.survey_sum (survey_id, kind, files, bytes, allocated) VALUES " + rows(
        (number, f"'{kind}'", *(random.randint(0, 900) for _ in range(3)))
        for number in range(1, len(nights) + 1) for kind in KINDS)
    lost = lambda: hashlib.sha512(f"blob {random.randint(1, 700)}".encode()).hexdigest()
    yield "INSERT INTO shacache.survey_finding (survey_id, kind, name, bytes, detail) VALUES " + rows(
        (number, *random.choice([("'dangling'", f"'{lost()}'"), ("'unknown'", f"'file {n}'")]), n, "''")
        for number in range(1, len(nights) + 1) for n in range(12))


def scrubbed(random):
    """Some of the blobs never were; one that is damaged still was so before."""
    healed = ["NULL", "NULL"], ["now()", "'an upload'"]
    seen = set()
    values = []
    for n in range(300):
        blob = random.randint(1, 900)
        values.append((
            days_ago(random.uniform(0, 70)), f"sha512('blob {blob}')", f"'{random.choice(HOSTS)}'", n, "'has other bytes'",
            random.choice(["true", "false"]), *healed[random.random() < 0.5 or blob in seen]))
        seen.add(blob)
    yield "INSERT INTO shacache.scrub_finding (found_at, sha512, host, bytes, problem, is_quarantined, healed_at, healed_by) VALUES " + rows(values)


def imported(random):
    """Some are under way, or were killed."""
    yield "INSERT INTO shacache.import (started_at, finished_at, actor, account_id, kind, source, blobs, bytes, entries, duplicates, absent, refused, problem) VALUES " + rows(
        (days_ago(random.uniform(0, 70)), random.choice(["NULL", "now()"]), f"'actor {n % 3}'", random.randint(1, len(ACCOUNTS)),
         random.choice(["'slapproxy'", "'http'", "'tree'", "'exported'"]), f"'source {n}'",
         *(random.randint(0, 900) for _ in range(6)), random.choice(["NULL", "'no room'"])) for n in range(100))


def collected(random):
    """Some are under way, or were killed; some did nothing."""
    yield "INSERT INTO shacache.collection (started_at, finished_at, host, actor, problem) VALUES " + rows(
        (days_ago(random.uniform(0, 70)), random.choice(["NULL", "now()"]), f"'{random.choice(HOSTS)}'", f"'actor {n % 3}'",
         random.choice(["NULL", "'no room'"])) for n in range(100))
    yield ("INSERT INTO shacache.collection_sum (collection_id, policy, hidden_entries, removed_entries, marked_blobs,"
           " removed_blobs, removed_bytes, freed_blobs, freed_bytes) VALUES ") + rows(
        (n, f"'policy {policy}'", *(random.randint(0, 900) for _ in range(7)))
        for n in range(1, 101) for policy in range(random.randint(0, 3)))


def pinned(random):
    """Every third one was removed."""
    for number in range(60):
        what = [f"'key {number}'", number, f"sha512('blob {number}')", f"'https://example.org/{number}'"]
        only = random.randrange(4)
        removed = f"{days_ago(random.uniform(0, 70))}, 'root'" if number % 3 == 0 else "NULL, NULL"
        yield ("INSERT INTO shacache.pin (at, actor, reason, key, entry_id, sha512, software_url, removed_at, removed_by) VALUES "
               f"({days_ago(random.uniform(0, 70))}, 'root', 'why {number}', "
               f"{', '.join(str(value) if index == only else 'NULL' for index, value in enumerate(what))}, {removed})")


def account_requests(random):
    """Of names that have an account, and others: some wait, some were refused."""
    yield "INSERT INTO shacache.account_request (key_sha256, name, contact, request, client_address, created_at, decided_at, reason) VALUES " + rows(
        (f"sha256('{n}')", f"'{random.choice([*ACCOUNTS, 'new'])}'", f"'contact {n}'", "''", "'192.0.2.1'", days_ago(random.uniform(1, 70)),
         *random.choice([("NULL::timestamptz", "NULL"), (days_ago(random.uniform(0, 1)), f"'why {n}'")])) for n in range(40))


def fetched(random):
    """From two upstreams; not on each day."""
    yield "INSERT INTO shacache.upstream (name) VALUES ('first'), ('second')"
    yield "INSERT INTO shacache.upstream_day (day, upstream_id, blobs, bytes, keys, failures, faults, refused_pairs, downloads, sent_bytes) VALUES " + rows(
        (f"'{(NOW - timedelta(days=day)).date()}'", upstream, *(random.randint(0, 900) for _ in range(8)))
        for day in range(70) for upstream in (1, 2) if random.random() < 0.8)
    yield "INSERT INTO shacache.upstream_fault (upstream_id, reason, sha512, key, detail, times, first_at, last_at) VALUES " + rows(
        (random.randint(1, 2), f"'reason {n % 3}'", *random.choice([(f"sha512('{n}')", "NULL"), ("NULL", f"'key {n}'")]), f"'detail {n}'",
         random.randint(1, 9), days_ago(90), days_ago(random.uniform(0, 70))) for n in range(100))
    yield "INSERT INTO shacache.fetched_key (key, upstream_id, answered_at, list_digest, bytes, refused_pairs, refusal) VALUES " + rows(
        (f"'key {n}'", random.randint(1, 2), days_ago(random.uniform(0, 70)), "sha256('')", random.randint(0, 900),
         *random.choice([(0, "NULL"), (n + 1, "'why'")])) for n in range(60))
    yield "INSERT INTO shacache.fetched_entry (key, position, metadata, signature, digest, sha512, signature_result) VALUES " + rows(
        (f"'key {n}'", number, "'{}'", "''", f"sha256('{n} {number}')", f"sha512('blob {number}')", "'unsigned'")
        for n in range(60) for number in range(random.randint(0, 4)))
