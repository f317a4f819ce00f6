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
    visible.id IS NULL AS is_hidden,
    withdrawal.at AS withdrawn_at,
    withdrawal.actor AS withdrawn_by,
    withdrawal.reason AS withdrawn_because
FROM shacache.entry
JOIN shacache.account ON account.id = entry.account_id
LEFT JOIN shacache.signer ON signer.id = entry.signer_id
LEFT JOIN shacache.withdrawal ON withdrawal.id = entry.withdrawal_id
LEFT JOIN shacache.visible_entry AS visible ON visible.id = entry.id;
COMMENT ON COLUMN page.entry.is_hidden IS 'From nodes, and so from all but operators.';

-- In the order in which the page lists what names a blob: the first of very many are found without reading all.
DROP INDEX shacache.entry_by_sha512;
CREATE INDEX entry_by_sha512 ON shacache.entry (sha512, id);

-- Of one blob, the rows of that one are added up: report.downloaded_blobs names it by its digits, and adds up all.
CREATE VIEW page.download AS
SELECT sha512, sum(whole)::bigint AS whole, sum(partial)::bigint AS partial, sum(bytes)::bigint AS bytes
FROM shacache.blob_download
GROUP BY sha512;

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
