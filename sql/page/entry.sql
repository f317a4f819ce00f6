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
COMMENT ON COLUMN page.entry.is_hidden IS 'Nodes don''t get it, and the page shows it to operators only.';
