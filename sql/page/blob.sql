CREATE VIEW page.blob AS
SELECT
    blob.sha512,
    blob.size,
    account.name AS account,
    upstream.name AS upstream,
    blob.created_at,
    blob.last_referenced_at,
    blob.withdrawal_id IS NOT NULL AS is_hidden,
    withdrawal.at AS withdrawn_at,
    withdrawal.actor AS withdrawn_by,
    withdrawal.reason AS withdrawn_because
FROM shacache.blob
LEFT JOIN shacache.account ON account.id = blob.account_id
LEFT JOIN shacache.upstream ON upstream.id = blob.upstream_id
LEFT JOIN shacache.withdrawal ON withdrawal.id = blob.withdrawal_id;
