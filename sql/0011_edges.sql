-- Two things that people should look into.
--
-- Passwords in URLs: deployed clients write the URL that they were given into what they sign. It stays, byte for byte, since
-- it is signed; but no report says it, and one lists the entries that have one.

-- The rules of `withoutCredentials` in Sources/ShaCache, with one table of tests for both. Indexes are made of these
-- functions: where they change, those are to be made anew.
CREATE FUNCTION shacache.url_without_credentials(url text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN url !~ '[@%]' THEN url ELSE (
    SELECT regexp_replace(
        CASE
            WHEN authority ~ '@' THEN beginning || regexp_replace(rest, '^[^/?#]*@', '')
            -- No port follows: so an unescaped delimiter stood in the password.
            WHEN rest ~ '@' AND authority !~ '^(?:\[[^]]*|[^:]*)[]:]*[0-9]*$' THEN beginning || regexp_replace(rest, '^.*@', '')
            ELSE url
        END,
        -- URLs in the URL.
        '((?::|%3a)(?:/|%2f){2})(?:(?!%2f|%3f|%23|%26)[^/?#&])*(?:@|%40)', '\1', 'gi')
    FROM (
        SELECT coalesce(
            substring(url, '(?i)^(?:https?|ftps?):/*'),
            substring(url, '^//+'),
            substring(url, '(?i)^(?:(?!(?::|%3a)(?:/|%2f){2}).)*(?::|%3a)(?:/|%2f){2}')) AS beginning
    ) AS first
    CROSS JOIN LATERAL (SELECT substr(url, length(beginning) + 1) AS rest) AS second
    CROSS JOIN LATERAL (SELECT substring(rest, '^[^/?#]*') AS authority) AS third
) END;
COMMENT ON FUNCTION shacache.url_without_credentials(text) IS 'A URL without the user and the password that may stand in it.';

CREATE FUNCTION shacache.words_without_credentials(said text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT string_agg(shacache.url_without_credentials(piece[1]) || piece[2], '' ORDER BY nth)
    FROM regexp_matches(said, '([^\x01-\x20"<>]*)([\x01-\x20"<>]|$)', 'g') WITH ORDINALITY AS pieces (piece, nth)
);
-- Neither this nor `urls_with_credentials` is STRICT or asks anything itself, so that PostgreSQL puts it in place of its
-- calls: of ten million keys few have one of these letters.
CREATE FUNCTION shacache.without_credentials(said text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN said !~ '[@%]' THEN said ELSE shacache.words_without_credentials(said) END;
COMMENT ON FUNCTION shacache.without_credentials(text) IS 'A text in which no URL has a user or a password.';

CREATE FUNCTION shacache.without_credentials(said text[]) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ARRAY(
    SELECT shacache.without_credentials(element) FROM unnest(said) WITH ORDINALITY AS elements (element, nth) ORDER BY nth);

-- JSON may write any of these as an escape.
CREATE FUNCTION shacache.words_with_credentials(document text) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT array_agg(DISTINCT shown COLLATE "C")
    FROM regexp_replace(document, '\\u0040', '@', 'gi') AS a (text)
    CROSS JOIN regexp_replace(a.text, '\\u003a', ':', 'gi') AS b (text)
    CROSS JOIN regexp_replace(b.text, '\\u0025', '%', 'gi') AS c (text)
    CROSS JOIN regexp_replace(c.text, '\\u002f|\\/', '/', 'gi') AS d (text)
    CROSS JOIN regexp_matches(d.text, '[^\x01-\x20"<>]+', 'g') AS word
    CROSS JOIN shacache.url_without_credentials(word[1]) AS shown
    WHERE shown <> word[1]
);
CREATE FUNCTION shacache.urls_with_credentials(document text) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN document ~ '@|%40|\\u0040' THEN shacache.words_with_credentials(document) END;
COMMENT ON FUNCTION shacache.urls_with_credentials(text) IS
    'The URLs of a text, be it JSON, that have a user or a password; without it. NULL: there are none.';

CREATE INDEX entry_with_credentials ON shacache.entry (created_at)
    WHERE shacache.urls_with_credentials(metadata) IS NOT NULL OR shacache.urls_with_credentials(key) IS NOT NULL;
-- In the reports, a key is looked for as they show it.
DROP INDEX shacache.upload_by_key;
CREATE INDEX upload_by_key ON shacache.upload (shacache.without_credentials(key), at)
    WHERE shacache.without_credentials(key) IS NOT NULL;

CREATE VIEW report.entries_with_credentials AS
SELECT
    entry.created_at,
    account.name AS account,
    shacache.without_credentials(entry.key) AS key,
    coalesce(shacache.urls_with_credentials(entry.metadata), shacache.urls_with_credentials(entry.key)) AS urls,
    entry.signature_result AS signature,
    signer.name AS signer,
    entry.withdrawal_id IS NOT NULL AS withdrawn,
    entry.id AS entry_id,
    encode(entry.sha512, 'hex') AS sha512
FROM shacache.entry
JOIN shacache.account ON account.id = entry.account_id
LEFT JOIN shacache.signer ON signer.id = entry.signer_id
WHERE (
        shacache.urls_with_credentials(entry.metadata) IS NOT NULL
        OR shacache.urls_with_credentials(entry.key) IS NOT NULL)
    AND entry.created_at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND entry.created_at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
    AND (
        report.account() IS NULL
        OR entry.account_id = (SELECT id FROM shacache.account WHERE name = report.account()))
ORDER BY entry.created_at DESC, entry.id DESC;
COMMENT ON VIEW report.entries_with_credentials IS
    'Which entries publish a URL with a user or a password in it? Obeys since, until, account.';
COMMENT ON COLUMN report.entries_with_credentials.urls IS 'Without user and password: the key''s JSON has them.';
COMMENT ON COLUMN report.entries_with_credentials.withdrawn IS 'Nodes don''t get it any more. Who had it knows the password.';

-- The other reports: their views stay as they are, in a schema where nobody may look, and what is shown of them has no
-- password in the columns that hold what clients and operators wrote.
CREATE SCHEMA unmasked;
DO $$
DECLARE
    named regclass;
    name text;
    columns text;
    said record;
BEGIN
    FOR named IN
        SELECT DISTINCT attrelid::regclass
        FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
        WHERE relnamespace = 'report'::regnamespace AND relkind = 'v' AND relname <> 'entries_with_credentials'
            AND (attname IN ('key', 'first_key', 'detail', 'example_detail', 'subject', 'comment', 'multiarch', 'os')
                OR relname = 'withdrawals' AND attname = 'reason')
    LOOP
        SELECT relname INTO name FROM pg_class WHERE oid = named;
        SELECT string_agg(
            CASE WHEN attname IN ('key', 'first_key', 'detail', 'example_detail', 'subject', 'comment', 'multiarch', 'os')
                    OR name = 'withdrawals' AND attname = 'reason'
                THEN format('shacache.without_credentials(%I) AS %1$I', attname)
                ELSE format('%I', attname) END, ', ' ORDER BY attnum)
        INTO columns FROM pg_attribute WHERE attrelid = named AND attnum > 0;
        EXECUTE format('ALTER VIEW report.%I SET SCHEMA unmasked', name);
        EXECUTE format('CREATE VIEW report.%I AS SELECT %s FROM unmasked.%1$I', name, columns);
        FOR said IN
            SELECT attname, description
            FROM pg_description LEFT JOIN pg_attribute ON attrelid = objoid AND attnum = objsubid AND attnum > 0
            WHERE classoid = 'pg_class'::regclass AND objoid = named
        LOOP
            EXECUTE CASE WHEN said.attname IS NULL
                THEN format('COMMENT ON VIEW report.%I IS %L', name, said.description)
                ELSE format('COMMENT ON COLUMN report.%I.%I IS %L', name, said.attname, said.description) END;
        END LOOP;
    END LOOP;
END
$$;
-- Of the binary cache: what nodes unpack. A blob that isn't what its entry promises fails at each node that trusts the entry,
-- at every run. Looking takes long, so `shacache-admin survey` looks once, and a blob never changes.
CREATE TABLE shacache.archive_check (
    sha512 bytea NOT NULL,
    key text COLLATE "C" NOT NULL,
    checked_at timestamptz NOT NULL DEFAULT now(),
    problem text,
    PRIMARY KEY (sha512, key),
    CONSTRAINT sha512_is_sha512 CHECK (octet_length(sha512) = 64),
    CONSTRAINT problem_says_something CHECK (problem <> '')
);
COMMENT ON TABLE shacache.archive_check IS
    'Which blobs were read as archives with a directory of the key''s name, and what was wrong with them; NULL: nothing.';
GRANT SELECT, INSERT ON shacache.archive_check TO shacache_admin;

CREATE VIEW shacache.release_archive AS
SELECT
    entry.id AS entry_id,
    entry.created_at,
    entry.key,
    entry.sha512,
    entry.account_id,
    entry.software_url,
    archive.checked_at,
    archive.problem
FROM shacache.visible_entry AS entry
JOIN shacache.blob USING (sha512)
LEFT JOIN shacache.archive_check AS archive ON archive.sha512 = entry.sha512 AND archive.key = entry.key
WHERE blob.withdrawal_id IS NULL
    AND entry.software_url IS NOT NULL AND entry.multiarch IS NOT NULL AND entry.os IS NOT NULL
    AND entry.key ~ '^[0-9a-f]{32}$';
COMMENT ON VIEW shacache.release_archive IS
    'The entries that look like a compiled software release, and what is known of their archives; checked_at NULL: nothing yet.';
GRANT SELECT ON shacache.release_archive TO shacache_admin;

CREATE VIEW report.unreadable_archives AS
SELECT
    coalesce(release.problem, 'not read yet') AS problem,
    release.key,
    shacache.url_without_credentials(release.software_url) AS software_url,
    (SELECT name FROM shacache.account WHERE id = release.account_id) AS account,
    release.created_at,
    release.checked_at,
    release.entry_id,
    encode(release.sha512, 'hex') AS sha512
FROM shacache.release_archive AS release
WHERE (release.problem IS NOT NULL OR release.checked_at IS NULL)
    AND release.created_at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND release.created_at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
    AND (
        report.account() IS NULL
        OR release.account_id = (SELECT id FROM shacache.account WHERE name = report.account()))
ORDER BY release.checked_at IS NULL, release.created_at DESC, release.entry_id DESC;
COMMENT ON VIEW report.unreadable_archives IS
    'Which compiled releases can''t be unpacked, so that nodes fail with them? Obeys since, until, account.';
COMMENT ON COLUMN report.unreadable_archives.problem IS 'not read yet: the next surveys do.';

CREATE OR REPLACE VIEW report.entries_to_look_into AS
SELECT reason, age, shacache.without_credentials(key) AS key, account, entries, at, entry_id, sha512
FROM (
    SELECT reason, age, key, account, entries, at, entry_id, sha512 FROM unmasked.entries_to_look_into
    UNION ALL
    SELECT 'unreadable archive', date_trunc('second', now() - at), key, account.name, 1, at, entry_id, encode(sha512, 'hex')
    FROM (
        SELECT *, greatest(created_at, checked_at) AS at FROM shacache.release_archive WHERE problem IS NOT NULL
    ) AS release
    JOIN shacache.account ON account.id = release.account_id
    WHERE at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', now() - interval '30 days')
        AND at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
        AND (report.account() IS NULL OR account.name = report.account())
) AS suspect
ORDER BY at DESC, entry_id DESC, reason;
COMMENT ON COLUMN report.entries_to_look_into.reason IS
    'unknown signer: signed by nobody who is registered; no blob: nobody has uploaded what it names, for an hour; '
    'withdrawn blob: what it names is hidden, but it is not; lost blob: the newest survey found no file of what it names; '
    'many entries: its key has a hundred or more, and clients check them one by one; unreadable archive: a survey could '
    'not read what it names as an archive of its key, and nodes fail with it.';

REVOKE ALL ON ALL TABLES IN SCHEMA unmasked FROM PUBLIC, shacache_report, shacache_admin;
REVOKE ALL ON ALL TABLES IN SCHEMA report FROM PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA report TO shacache_report, shacache_admin;
