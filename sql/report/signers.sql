CREATE VIEW report.signers AS
SELECT
    coalesce(total.signature, 'verified') AS signature,
    signer.name AS signer,
    signer.revoked_at,
    signer.revoked_since,
    coalesce(total.uploads, 0) AS uploads,
    coalesce(total.accepted, 0) AS accepted,
    coalesce(total.refused, 0) AS refused,
    coalesce(total.failed, 0) AS failed,
    coalesce(total.duplicates, 0) AS duplicates,
    coalesce(total.accounts, 0) AS accounts,
    coalesce(total.bytes, 0) AS bytes,
    total.last_at
FROM shacache.signer
FULL JOIN (
    SELECT
        coalesce(signature_result, 'not checked') AS signature,
        signer_id,
        sum(uploads)::bigint AS uploads,
        sum(accepted)::bigint AS accepted,
        sum(refused)::bigint AS refused,
        sum(failed)::bigint AS failed,
        sum(duplicates)::bigint AS duplicates,
        count(DISTINCT account_id) AS accounts,
        sum(bytes) AS bytes,
        max(last_at) AS last_at
    FROM shacache.asked_upload_figures
    WHERE target = 'entry'
    GROUP BY signature, signer_id
) AS total ON total.signer_id = signer.id
ORDER BY uploads DESC, signature, signer;
COMMENT ON COLUMN report.signers.signature IS
    'verified (by this signer), unsigned, unknown signer, or not checked (refused before).';
COMMENT ON COLUMN report.signers.accounts IS 'How many accounts uploaded entries with it.';
COMMENT ON COLUMN report.signers.bytes IS 'Of the accepted entries themselves, duplicates included.';
