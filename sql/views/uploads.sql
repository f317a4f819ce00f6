-- What the reports of uploads add up, each view made of the one before.

-- The sums of upload_day, of the days that are not closed, and of those that are and whose uploads are kept. The first
-- open day is computed once, and prunes the partitions before it. With an upper bound, too, it is a range, which the
-- planner estimates to be short; else it plans to read half of the record.
DO $$
DECLARE
    view text;
    condition text;
BEGIN
    FOR view, condition IN VALUES
        ('upload_of_open_day', $sql$
            at >= (SELECT coalesce((max(day) + 1)::timestamp AT TIME ZONE 'UTC', '-infinity') FROM shacache.closed_day)
            AND at < 'infinity'$sql$),
        ('upload_of_kept_day', $sql$
            (at AT TIME ZONE 'UTC')::date IN (SELECT day FROM shacache.closed_day WHERE NOT is_dropped)$sql$)
    LOOP
        EXECUTE format($sql$
            CREATE VIEW shacache.%I AS
            SELECT
                (at AT TIME ZONE 'UTC')::date AS day,
                account_id,
                target,
                outcome,
                reason,
                duplicate,
                signature_result,
                signer_id,
                count(*) AS uploads,
                coalesce(sum(bytes), 0) AS bytes,
                max(at) AS last_at,
                max(id) AS last_id
            FROM shacache.upload
            WHERE %s
            GROUP BY 1, account_id, target, outcome, reason, duplicate, signature_result, signer_id$sql$, view, condition);
    END LOOP;
END
$$;
COMMENT ON VIEW shacache.upload_of_kept_day IS
    'The rows that upload_day should have for the closed days whose uploads are kept.';

CREATE VIEW shacache.upload_sum AS
SELECT * FROM shacache.upload_day UNION ALL SELECT * FROM shacache.upload_of_open_day;
COMMENT ON VIEW shacache.upload_sum IS
    'All uploads, also those of today: always exact. The longer no day was closed, the longer it takes.';

-- Sums that can be added up further, each kind in a column of its own.
CREATE VIEW shacache.upload_figures AS
SELECT
    day,
    account_id,
    target,
    outcome,
    reason,
    signature_result,
    signer_id,
    last_at,
    last_id,
    uploads,
    CASE WHEN outcome = 'accepted' THEN uploads ELSE 0 END AS accepted,
    CASE WHEN outcome = 'refused' THEN uploads ELSE 0 END AS refused,
    CASE WHEN outcome = 'failed' THEN uploads ELSE 0 END AS failed,
    CASE WHEN outcome = 'accepted' AND target = 'blob' THEN uploads ELSE 0 END AS blobs,
    CASE WHEN outcome = 'accepted' AND target = 'entry' THEN uploads ELSE 0 END AS entries,
    CASE WHEN outcome = 'accepted' AND duplicate THEN uploads ELSE 0 END AS duplicates,
    CASE WHEN outcome = 'accepted' THEN bytes ELSE 0 END AS bytes,
    CASE WHEN outcome = 'accepted' AND NOT duplicate THEN bytes ELSE 0 END AS new_bytes
FROM shacache.upload_sum
WHERE (SELECT report.account()) IS NULL
    OR account_id = (SELECT id FROM shacache.account WHERE name = (SELECT report.account()));
COMMENT ON VIEW shacache.upload_figures IS 'upload_sum in columns, of the account in report.account.';

CREATE VIEW shacache.asked_upload_figures AS
SELECT *
FROM shacache.upload_figures
WHERE day >= coalesce((SELECT report.since()), '-infinity') AND day <= coalesce((SELECT report.until()), 'infinity');
COMMENT ON VIEW shacache.asked_upload_figures IS 'upload_figures of the days from report.since to report.until.';
