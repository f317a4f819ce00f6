-- What the page may read. Views run with their owner's rights, so that shacache_page needs none on the tables.
CREATE SCHEMA page;

CREATE VIEW page.blob AS
SELECT
    blob.sha512,
    blob.size,
    account.name AS account,
    blob.created_at,
    blob.last_referenced_at,
    blob.withdrawal_id IS NOT NULL AS is_hidden,
    withdrawal.at AS withdrawn_at,
    withdrawal.actor AS withdrawn_by,
    withdrawal.reason AS withdrawn_because
FROM shacache.blob
JOIN shacache.account ON account.id = blob.account_id
LEFT JOIN shacache.withdrawal ON withdrawal.id = blob.withdrawal_id;

CREATE VIEW page.entry AS
SELECT
    entry.id,
    entry.key,
    entry.metadata,
    entry.sha512,
    account.name AS account,
    entry.signature_result,
    signer.name AS signer,
    signer.revoked_at AS signer_revoked_at,
    entry.created_at,
    entry.software_url,
    entry.multiarch,
    entry.os,
    entry.withdrawal_id IS NOT NULL OR coalesce(signer.revoked_since <= entry.created_at, false) AS is_hidden,
    withdrawal.at AS withdrawn_at,
    withdrawal.actor AS withdrawn_by,
    withdrawal.reason AS withdrawn_because
FROM shacache.entry
JOIN shacache.account ON account.id = entry.account_id
LEFT JOIN shacache.signer ON signer.id = entry.signer_id
LEFT JOIN shacache.withdrawal ON withdrawal.id = entry.withdrawal_id;
COMMENT ON COLUMN page.entry.is_hidden IS 'Withdrawn, or signed after its signer was no longer to be believed.';

DO $$
BEGIN
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO shacache_page', current_database());
END
$$;
-- Who may see the reports is asked of these two at every request.
GRANT USAGE ON SCHEMA shacache TO shacache_page;
GRANT SELECT ON shacache.account, shacache.certificate TO shacache_page;
REVOKE ALL ON ALL TABLES IN SCHEMA page FROM PUBLIC;
GRANT USAGE ON SCHEMA page TO shacache_page;
GRANT SELECT ON ALL TABLES IN SCHEMA page TO shacache_page;

-- PROVISIONAL
CREATE VIEW report.uploads AS SELECT * FROM report.uploads_by_day;
CREATE VIEW report.growth AS
SELECT day, blobs, bytes, sum(blobs) OVER w AS total_blobs, sum(bytes) OVER w AS total_bytes, entries, sum(entries) OVER w AS total_entries
FROM (SELECT day, sum(blobs) AS blobs, sum(bytes) AS bytes, sum(entries) AS entries FROM (
    SELECT (created_at AT TIME ZONE 'UTC')::date AS day, count(*) AS blobs, sum(size) AS bytes, 0 AS entries FROM shacache.blob GROUP BY 1
    UNION ALL
    SELECT (created_at AT TIME ZONE 'UTC')::date, 0, 0, count(*) FROM shacache.entry GROUP BY 1) AS d GROUP BY day) AS s
WINDOW w AS (ORDER BY day) ORDER BY day DESC;
COMMENT ON VIEW report.growth IS 'How does the store grow?';
CREATE VIEW report.downloads AS SELECT current_date AS day, 'blob' AS kind, 0::bigint AS requests, 0::bigint AS whole, 0::bigint AS partial, 0::bigint AS probes, 0::bigint AS bytes WHERE false;
CREATE VIEW report.downloaded_blobs AS SELECT ''::text AS sha512, 0::bigint AS whole, 0::bigint AS partial, 0::bigint AS bytes WHERE false;
CREATE VIEW report.downloaded_keys AS SELECT ''::text AS key, 0::bigint AS requests WHERE false;
GRANT SELECT ON ALL TABLES IN SCHEMA report TO shacache_report;
