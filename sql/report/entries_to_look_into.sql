-- Thirty days, so that old entries that were left as they are don't hide new ones.
CREATE VIEW report.entries_to_look_into AS
SELECT
    suspect.reason,
    date_trunc('second', now() - suspect.at) AS age,
    shacache.without_credentials(suspect.key) AS key,
    account.name AS account,
    suspect.entries,
    suspect.at,
    suspect.entry_id,
    encode(suspect.sha512, 'hex') AS sha512
FROM (
    SELECT 'unknown signer' AS reason, id AS entry_id, key, account_id, 1 AS entries, created_at AS at, sha512
    FROM shacache.visible_entry
    WHERE signature_result = 'unknown signer'
    UNION ALL
    SELECT 'no blob', id, key, account_id, 1, created_at, sha512
    FROM shacache.entry_of_missing_blob
    WHERE created_at < now() - interval '1 hour'
    UNION ALL
    SELECT 'withdrawn blob', id, key, account_id, 1, hidden_at, sha512
    FROM shacache.entry_of_withdrawn_blob
    UNION ALL
    SELECT 'lost blob', entry.id, entry.key, entry.account_id, 1, survey.at, entry.sha512
    FROM shacache.newest_survey AS survey
    JOIN shacache.survey_finding AS finding ON finding.survey_id = survey.id AND finding.kind = 'dangling'
    JOIN shacache.visible_entry AS entry ON entry.sha512 = decode(finding.name, 'hex')
    UNION ALL
    SELECT 'many entries', present.entry_id, key_count.key, present.account_id, present.entries, key_count.last_at, NULL
    FROM shacache.key_count
    CROSS JOIN LATERAL (
        SELECT
            max(id) AS entry_id,
            CASE WHEN min(account_id) = max(account_id) THEN max(account_id) END AS account_id,
            count(*) AS entries
        FROM shacache.visible_entry AS entry
        WHERE entry.key = key_count.key AND (
            report.account() IS NULL
            OR account_id = (SELECT id FROM shacache.account WHERE name = report.account()))
    ) AS present
    WHERE key_count.entries >= 100 AND present.entries >= 100
    UNION ALL
    SELECT 'unreadable archive', entry_id, key, account_id, 1, greatest(created_at, checked_at), sha512
    FROM shacache.release_archive
    WHERE problem IS NOT NULL
) AS suspect
LEFT JOIN shacache.account ON account.id = suspect.account_id
WHERE suspect.at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', now() - interval '30 days')
    AND suspect.at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
    AND (report.account() IS NULL OR account.name = report.account())
ORDER BY suspect.at DESC, suspect.entry_id DESC, suspect.reason;
COMMENT ON COLUMN report.entries_to_look_into.reason IS
    'unknown signer: its signature is of no registered signer; no blob: the blob that it names was not uploaded within '
    'an hour; withdrawn blob: the blob is hidden, but the entry is not; lost blob: the newest survey found no file of '
    'the blob; many entries: its key has a hundred or more, and clients check them one by one; unreadable archive: a '
    'survey could not read the blob as an archive of the key, and nodes fail with it.';
COMMENT ON COLUMN report.entries_to_look_into.account IS 'Empty: the key''s entries are of several accounts.';
COMMENT ON COLUMN report.entries_to_look_into.at IS
    'Since when: the time of the entry, of the blob''s withdrawal, of the survey, or of the key''s last entry.';
COMMENT ON COLUMN report.entries_to_look_into.entry_id IS 'Of many entries, the newest.';
