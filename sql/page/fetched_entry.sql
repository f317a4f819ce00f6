CREATE VIEW page.fetched_entry AS
SELECT
    fetched.key,
    fetched.position,
    fetched.sha512,
    fetched.signature_result,
    signer.name AS signer,
    signer.revoked_at AS signer_revoked_at,
    blob.size,
    upstream.name AS upstream,
    known.answered_at
FROM shacache.fetched_entry AS fetched
JOIN shacache.fetched_key AS known ON known.key = fetched.key
JOIN shacache.upstream ON upstream.id = known.upstream_id
LEFT JOIN shacache.signer ON signer.id = fetched.signer_id
LEFT JOIN shacache.blob ON blob.sha512 = fetched.sha512 AND blob.withdrawal_id IS NULL
WHERE NOT EXISTS (
    SELECT FROM shacache.entry AS own WHERE own.key = fetched.key AND own.digest = fetched.digest);
COMMENT ON VIEW page.fetched_entry IS 'What an upstream lists under a key, but for what was put here too.';
