"""Of each report, the columns that are checked, and the SQL over single rows that checks them: as simple as can be, and
not as fast. In place of the settings it has {since}, {until} and {account}, which are NULL when nobody asks."""

# Of rows with `at`, beside the account's name.
DAYS = "(at AT TIME ZONE 'UTC')::date BETWEEN coalesce({since}::date, '-infinity') AND coalesce({until}::date, 'infinity')"
ACCOUNT = "coalesce(account.name = {account}, {account}::text IS NULL)"
ASKED = f"{DAYS} AND {ACCOUNT}"
# Of rows with `day`.
ON_DAYS = "day BETWEEN coalesce({since}::date, '-infinity') AND coalesce({until}::date, 'infinity')"

# What is visible, and its account and time under the names from above.
VISIBLE = """(
        SELECT entry.*, created_at AS at FROM shacache.entry WHERE withdrawal_id IS NULL
    ) AS entry JOIN shacache.account ON account.id = entry.account_id"""
FIRST_KEY = "(SELECT key FROM shacache.entry WHERE withdrawal_id IS NULL AND sha512 = {0} ORDER BY id LIMIT 1)"
NEWEST = f"""(
        SELECT survey.* FROM shacache.survey WHERE {DAYS}
            AND id = (SELECT max(id) FROM shacache.survey AS other WHERE other.host = survey.host AND {DAYS})
    ) AS survey"""

CHECKS = {
    "uploads": ("*", f"""
        SELECT (at AT TIME ZONE 'UTC')::date AS day, count(*), count(*) FILTER (WHERE status = 201) AS a,
            count(*) FILTER (WHERE status BETWEEN 400 AND 499) AS r, count(*) FILTER (WHERE status >= 500) AS f,
            count(*) FILTER (WHERE status = 201 AND target = 'blob') AS b,
            count(*) FILTER (WHERE status = 201 AND target = 'entry') AS e, count(*) FILTER (WHERE duplicate) AS d,
            coalesce(sum(bytes) FILTER (WHERE status = 201), 0) AS y,
            coalesce(sum(bytes) FILTER (WHERE NOT duplicate), 0) AS n
        FROM shacache.upload LEFT JOIN shacache.account ON account.id = account_id
        WHERE {ASKED} GROUP BY day ORDER BY day DESC"""),
    "refusals": ("outcome, reason, uploads, accounts, last_at", f"""
        SELECT outcome, reason, count(*), count(DISTINCT account_id) AS accounts, max(at)
        FROM shacache.upload LEFT JOIN shacache.account ON account.id = account_id
        WHERE status <> 201 AND {ASKED} GROUP BY outcome, reason ORDER BY 3 DESC, 1, 2"""),
    "accounts": ("account, uploads, duplicates, refused_percent, new_bytes, last_at", f"""
        SELECT account.name, count(at), count(*) FILTER (WHERE duplicate) AS d,
            round(100.0 * count(*) FILTER (WHERE outcome = 'refused') / nullif(count(at), 0), 1) AS p,
            coalesce(sum(bytes) FILTER (WHERE NOT duplicate), 0) AS n, max(at)
        FROM (
            SELECT upload.* FROM shacache.upload LEFT JOIN shacache.account ON account.id = account_id WHERE {ASKED}
        ) AS upload
        FULL JOIN shacache.account ON account.id = account_id
        WHERE coalesce(account.name = {{account}}, {{account}}::text IS NULL)
        GROUP BY account.name ORDER BY coalesce(sum(bytes) FILTER (WHERE status = 201), 0) DESC, 2 DESC, 1"""),
    "signers": ("signature, signer, uploads, accounts, bytes", f"""
        SELECT coalesce(signature_result, 'not checked') AS signature, signer.name, count(*),
            count(DISTINCT account_id) AS accounts, coalesce(sum(bytes) FILTER (WHERE status = 201), 0) AS y
        FROM shacache.upload LEFT JOIN shacache.account ON account.id = account_id
        LEFT JOIN shacache.signer ON signer.id = signer_id
        WHERE target = 'entry' AND {ASKED} GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2"""),
    # Not of uploads, but of what is stored.
    "growth": ("*", """
        SELECT * FROM (
            SELECT day, sum(blobs), sum(bytes) AS y, sum(sum(blobs)) OVER (ORDER BY day) AS tb,
                sum(sum(bytes)) OVER (ORDER BY day) AS ty, sum(entries) AS e, sum(sum(entries)) OVER (ORDER BY day) AS te
            FROM (
                SELECT created_at, account_id, 1 AS blobs, size AS bytes, 0 AS entries FROM shacache.blob
                UNION ALL SELECT created_at, account_id, 0, 0, 1 FROM shacache.entry
                UNION ALL SELECT at, account_id, 0, 0, 0 FROM shacache.upload
            ) AS stored
            LEFT JOIN shacache.account ON account.id = account_id
            CROSS JOIN LATERAL (SELECT (stored.created_at AT TIME ZONE 'UTC')::date AS day) AS utc
            WHERE coalesce(account.name = {account}, {account}::text IS NULL) GROUP BY day) AS running
        WHERE day BETWEEN coalesce({since}::date, '-infinity') AND coalesce({until}::date, 'infinity') ORDER BY day DESC"""),
    "duplicates": ("day, account, blobs, bytes, duplicate_blobs, saved_bytes", f"""
        SELECT (at AT TIME ZONE 'UTC')::date AS day, account.name, count(*), sum(bytes), count(*) FILTER (WHERE duplicate) AS d,
            coalesce(sum(bytes) FILTER (WHERE duplicate), 0) AS s
        FROM shacache.upload JOIN shacache.account ON account.id = account_id
        WHERE status = 201 AND target = 'blob' AND {ASKED} GROUP BY 1, 2 ORDER BY 1 DESC, 6 DESC, 2"""),
    "upload": ("id", f"""
        SELECT upload.id FROM shacache.upload LEFT JOIN shacache.account ON account.id = account_id
        WHERE {ASKED} ORDER BY at DESC, upload.id DESC"""),
    "keys": ("key, entries, withdrawn, accounts, blobs, bytes, first_at, last_at", f"""
        SELECT key, count(*), count(withdrawal_id) AS w, count(DISTINCT account_id) AS a, count(DISTINCT sha512) AS b,
            sum(length(metadata || signature)) AS y, min(at), max(at) AS last
        FROM (SELECT *, created_at AS at FROM shacache.entry) AS entry JOIN shacache.account ON account.id = account_id
        GROUP BY key
        HAVING {DAYS.replace("at AT", "max(at) AT")} AND coalesce(bool_or(account.name = {{account}}), true)
        ORDER BY 2 DESC, 1"""),
    "platforms": ("*", f"""
        SELECT multiarch, os, count(*), count(DISTINCT key) AS r,
            count(*) FILTER (WHERE sha512 NOT IN (SELECT sha512 FROM shacache.blob)) AS w,
            coalesce((SELECT sum(size) FROM shacache.blob WHERE sha512 = ANY (array_agg(entry.sha512))), 0) AS y, max(at)
        FROM {VISIBLE} WHERE (multiarch IS NOT NULL OR software_url IS NOT NULL) AND {ASKED}
        GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2"""),
    "largest_blobs": ("bytes, account, withdrawn, entries, first_key, sha512", f"""
        SELECT size, account.name, blob.withdrawal_id IS NOT NULL AS w,
            (SELECT count(*) FROM {VISIBLE.replace("account.", "put.").replace("shacache.account", "shacache.account AS put")}
                WHERE entry.sha512 = blob.sha512) AS e,
            {FIRST_KEY.format("blob.sha512")} AS k, encode(sha512, 'hex') AS h
        FROM shacache.blob JOIN shacache.account ON account.id = account_id WHERE {ACCOUNT} ORDER BY size DESC, sha512"""),
    "never_downloaded": ("size, created_at, account, first_key, sha512", f"""
        SELECT size, at, account.name, {FIRST_KEY.format("blob.sha512")} AS k, encode(sha512, 'hex') AS h
        FROM (SELECT *, created_at AS at FROM shacache.blob WHERE withdrawal_id IS NULL) AS blob
        JOIN shacache.account ON account.id = account_id
        WHERE sha512 NOT IN (SELECT sha512 FROM shacache.blob_download WHERE whole > 0 OR partial > 0) AND {ASKED}
        ORDER BY size DESC, sha512"""),
    "entries_without_blob": ("created_at, key, account, signature, withdrawn, sha512", f"""
        SELECT at, key, account.name, signature_result, sha512 IN (SELECT sha512 FROM shacache.blob) AS w,
            encode(sha512, 'hex') AS h
        FROM {VISIBLE} WHERE sha512 NOT IN (SELECT sha512 FROM shacache.blob WHERE withdrawal_id IS NULL) AND {ASKED}
        ORDER BY at, entry.id"""),
    "entries_to_look_into": ("reason, at, key, account, entries, entry_id", f"""
        SELECT reason, at, key, account.name, entries, entry_id FROM (
            SELECT 'unknown signer' AS reason, created_at AS at, key, account_id, 1 AS entries, id AS entry_id, withdrawal_id
            FROM shacache.entry WHERE signer_id IS NULL AND signature_result <> 'unsigned'
            UNION ALL SELECT 'no blob', created_at, key, account_id, 1, id, withdrawal_id FROM shacache.entry
            WHERE sha512 NOT IN (SELECT sha512 FROM shacache.blob) AND created_at < now() - interval '1 hour'
            UNION ALL SELECT 'withdrawn blob', greatest(entry.created_at, withdrawal.at), key, entry.account_id, 1, entry.id,
                entry.withdrawal_id
            FROM shacache.entry, shacache.blob, shacache.withdrawal
            WHERE entry.sha512 = blob.sha512 AND blob.withdrawal_id = withdrawal.id
            UNION ALL SELECT 'lost blob', survey.at, key, account_id, 1, entry.id, withdrawal_id
            FROM {NEWEST} JOIN shacache.survey_finding ON survey_id = survey.id JOIN shacache.entry ON encode(sha512, 'hex') = name
            UNION ALL SELECT 'unreadable archive', greatest(created_at, checked_at), key, account_id, 1, id, withdrawal_id
            FROM shacache.entry JOIN shacache.archive_check USING (sha512, key)
            WHERE problem > '' AND software_url <> '' AND multiarch <> '' AND os IS NOT NULL
                AND sha512 IN (SELECT sha512 FROM shacache.blob WHERE withdrawal_id IS NULL)
            UNION ALL SELECT 'many entries', (SELECT max(created_at) FROM shacache.entry AS any_ WHERE any_.key = entry.key),
                key, CASE count(DISTINCT account_id) WHEN 1 THEN min(account_id) END, count(*), max(entry.id), NULL
            FROM {VISIBLE} WHERE {ACCOUNT} GROUP BY key HAVING count(*) > 99
        ) AS suspect LEFT JOIN shacache.account ON account.id = account_id
        WHERE withdrawal_id IS NULL AND {ASKED} AND at >= coalesce({{since}}::date, now() - interval '30 days')
        ORDER BY at DESC, entry_id DESC, reason"""),
    "entries_with_credentials": ("created_at, account, key, urls, withdrawn, entry_id", f"""
        SELECT at, account.name, key, ARRAY['https://example.org/' || substring(metadata, '[0-9]+')] AS urls, withdrawal_id IS NOT NULL AS w, entry.id
        FROM (SELECT *, created_at AS at FROM shacache.entry) AS entry JOIN shacache.account ON account.id = account_id
        WHERE metadata LIKE '%@%' AND {ASKED} ORDER BY at DESC, entry.id DESC"""),
    "unreadable_archives": ("problem, key, software_url, account, created_at, checked_at, entry_id", f"""
        SELECT coalesce(problem, 'not read yet'), key, software_url, account.name, at, checked_at, entry.id
        FROM (
            SELECT *, created_at AS at FROM shacache.entry
            WHERE withdrawal_id IS NULL AND length(key) = 32 AND software_url <> '' AND multiarch <> '' AND os IS NOT NULL
                AND sha512 IN (SELECT sha512 FROM shacache.blob WHERE withdrawal_id IS NULL)
        ) AS entry
        LEFT JOIN shacache.archive_check USING (sha512, key) JOIN shacache.account ON account.id = entry.account_id
        WHERE (problem > '' OR checked_at IS NULL) AND {ASKED}
        ORDER BY checked_at IS NULL, at DESC, entry.id DESC"""),
    "expiring_certificates": ("account, fingerprint, not_after, account_until", """
        SELECT account.name, encode(fingerprint, 'hex') AS f, not_after, (
                SELECT max(not_after) FROM shacache.certificate AS other
                WHERE other.account_id = account.id AND revoked_at IS NULL) AS until
        FROM shacache.certificate JOIN shacache.account ON account.id = account_id
        WHERE revoked_at IS NULL AND disabled_at IS NULL AND abs(extract(epoch FROM not_after - now())) <= 60 * 86400
            AND coalesce(account.name = {account}, {account}::text IS NULL) ORDER BY not_after, fingerprint"""),
    "withdrawals": ("number, at, actor, account, hidden_entries, hidden_blobs, hidden_bytes, lifted_by", f"""
        SELECT withdrawal.id, at, actor, account.name, count(DISTINCT entry.id) AS e, count(DISTINCT blob.sha512) AS b,
            (SELECT coalesce(sum(size), 0) FROM shacache.blob WHERE withdrawal_id = withdrawal.id) AS y, lifted_by
        FROM shacache.withdrawal LEFT JOIN shacache.account ON account.id = account_id
        LEFT JOIN shacache.entry ON entry.withdrawal_id = withdrawal.id
        LEFT JOIN shacache.blob ON blob.withdrawal_id = withdrawal.id
        WHERE {ASKED} GROUP BY 1, 2, 3, 4, 8 ORDER BY at DESC"""),
    "downloads": ("*", f"""
        SELECT day, kind, sum(whole + partial + probes + not_found) AS r, sum(whole) AS w, sum(partial) AS p, sum(probes) AS q,
            sum(not_found) AS n, sum(bytes) AS y
        FROM (
            SELECT day, 'blob' AS kind, whole, partial, probes, 0 AS not_found, bytes FROM shacache.blob_download
            UNION ALL SELECT day, 'key', found, 0, 0, not_found, bytes FROM shacache.key_lookup
        ) AS each WHERE {ON_DAYS} GROUP BY 1, 2 ORDER BY 1 DESC, 2"""),
    "downloaded_blobs": ("whole, partial, probes, bytes, first_day, last_day, size, account, first_key, sha512", f"""
        SELECT sum(whole) AS w, sum(partial) AS p, sum(probes) AS q, sum(bytes) AS y, min(day) AS f, max(day) AS l, size,
            account.name, {FIRST_KEY.format("download.sha512")} AS k, encode(sha512, 'hex') AS h
        FROM shacache.blob_download AS download LEFT JOIN shacache.blob USING (sha512)
        LEFT JOIN shacache.account ON account.id = account_id
        WHERE {ON_DAYS} AND {ACCOUNT} GROUP BY sha512, size, account.name ORDER BY 4 DESC, 1 DESC, sha512"""),
    "downloaded_keys": ("*", f"""
        SELECT nullif(key, '') AS k, sum(found) AS f, sum(not_found) AS n, sum(bytes) AS y, min(day) AS s, max(day) AS l
        FROM shacache.key_lookup
        WHERE {ON_DAYS} AND ({{account}}::text IS NULL OR key IN (
            SELECT key FROM shacache.entry JOIN shacache.account ON account.id = account_id WHERE {ACCOUNT}))
        GROUP BY key ORDER BY sum(found + not_found) DESC, key"""),
    "damaged_blobs": ("sha512, bytes, host, account, entries, healed_by", f"""
        SELECT encode(found.sha512, 'hex') AS h, bytes, host, account.name, (
                SELECT count(*) FROM shacache.entry WHERE entry.sha512 = found.sha512 AND withdrawal_id IS NULL) AS e, healed_by
        FROM (SELECT *, found_at AS at FROM shacache.scrub_finding) AS found
        LEFT JOIN shacache.blob USING (sha512) LEFT JOIN shacache.account ON account.id = account_id
        WHERE {ASKED} ORDER BY healed_by NULLS FIRST, at DESC, found.id DESC"""),
    "imports": ("*", f"""
        SELECT 'import-' || import.id AS i, at, finished_at, actor, account.name, kind, source, blobs, bytes, entries, duplicates,
            absent, refused, problem
        FROM (SELECT *, started_at AS at FROM shacache.import) AS import JOIN shacache.account ON account.id = account_id
        WHERE {ASKED} ORDER BY at DESC, import.id DESC"""),
    "collections": ("number, started_at, finished_at, host, actor, policy, hidden_entries, removed_entries, removed_blobs, removed_bytes, freed_blobs, freed_bytes, problem", f"""
        SELECT id, at, finished_at, host, actor, policy, coalesce(hidden_entries, 0) AS h, coalesce(removed_entries, 0) AS e,
            coalesce(removed_blobs, 0) AS b, coalesce(removed_bytes, 0) AS y, coalesce(freed_blobs, 0) AS f,
            coalesce(freed_bytes, 0) AS g, problem
        FROM (SELECT id, started_at AS at, finished_at, host, actor, problem FROM shacache.collection) AS collection
        LEFT JOIN shacache.collection_sum ON collection_id = id
        WHERE {DAYS} ORDER BY at DESC, id DESC, policy"""),
    "near_cache": ("*", f"""
        SELECT day, name, downloads, sent_bytes, blobs, bytes, sent_bytes - bytes AS s, keys, failures, faults, refused_pairs
        FROM shacache.upstream_day JOIN shacache.upstream ON id = upstream_id WHERE {ON_DAYS} ORDER BY day DESC, name"""),
    "upstream_faults": ("*", f"""
        SELECT at, name, reason, times, first_at, encode(sha512, 'hex') AS h, key, detail
        FROM (SELECT *, last_at AS at FROM shacache.upstream_fault) AS fault JOIN shacache.upstream ON upstream.id = upstream_id
        WHERE {DAYS} ORDER BY at DESC, fault.id DESC"""),
    "fetched_keys": ("*", f"""
        SELECT key, name, at, count(sha512) AS e, bytes, refused_pairs, refusal
        FROM (SELECT *, answered_at AS at FROM shacache.fetched_key) AS known JOIN shacache.upstream ON upstream.id = upstream_id
        LEFT JOIN shacache.fetched_entry USING (key)
        WHERE {DAYS} GROUP BY 1, 2, 3, 5, 6, 7 ORDER BY at DESC, key"""),
    "account_requests": ("number, name, contact, asked_at, decided_at, reason", f"""
        SELECT id, name, contact, at, decided_at, reason FROM (SELECT *, created_at AS at FROM shacache.account_request) AS asked
        WHERE {DAYS} AND coalesce(name = {{account}}, {{account}}::text IS NULL) ORDER BY decided_at IS NOT NULL, decided_at, id"""),
    "pins": ("*", f"""
        SELECT id, at, actor, reason, key, entry_id, encode(sha512, 'hex') AS h, software_url, removed_at, removed_by
        FROM shacache.pin WHERE {DAYS}
        ORDER BY removed_at IS NOT NULL, removed_at DESC, at DESC, id DESC"""),
    "usage": ("host, surveyed_at, kind, files, bytes, allocated", f"""
        SELECT host, at, kind, files, bytes, allocated FROM (
            SELECT survey_id, kind, files, bytes, allocated FROM shacache.survey_sum
            UNION ALL SELECT survey_id, 'total', sum(files), sum(bytes), sum(allocated)
            FROM shacache.survey_sum WHERE kind <> 'dangling' GROUP BY 1
        ) AS part JOIN {NEWEST} ON survey.id = survey_id
        ORDER BY host, position(' ' || kind IN ' referenced unreferenced withdrawn exposed damaged quarantined trash journal arriving '
            'orphan temporary unknown directory total dangling')"""),
    "surveys": ("at, host, files, bytes, allocated, referenced_bytes, findings, free_bytes", f"""
        SELECT at, host, sum(files) FILTER (WHERE kind <> 'dangling') AS f,
            sum(bytes) FILTER (WHERE kind <> 'dangling') AS y, sum(allocated) AS a,
            max(bytes) FILTER (WHERE kind = 'referenced') AS r,
            sum(files) FILTER (WHERE kind IN ('exposed', 'damaged', 'orphan', 'unknown', 'dangling')) AS n, free_bytes
        FROM shacache.survey JOIN shacache.survey_sum ON survey_id = id WHERE {DAYS}
        GROUP BY 1, 2, 8 ORDER BY at DESC, host"""),
    "survey_findings": ("*", f"""
        SELECT host, at, kind, name, bytes, detail FROM {NEWEST} JOIN shacache.survey_finding ON survey.id = survey_id
        ORDER BY host, kind, name"""),
}
