CREATE VIEW report.account_requests AS
SELECT
    request.id AS number,
    request.name,
    shacache.without_credentials(request.contact) AS contact,
    request.client_address,
    request.created_at AS asked_at,
    CASE WHEN request.decided_at IS NULL THEN 'waiting' WHEN request.reason IS NULL THEN 'approved' ELSE 'refused' END
        AS state,
    CASE WHEN account.id IS NULL THEN 'new' WHEN account.disabled_at IS NOT NULL THEN 'disabled' ELSE 'exists' END
        AS account,
    (
        SELECT count(*) FROM shacache.certificate
        WHERE certificate.account_id = account.id AND revoked_at IS NULL AND not_after > now()
    ) AS valid_certificates,
    encode(request.key_sha256, 'hex') AS key,
    request.decided_at,
    encode(request.fingerprint, 'hex') AS fingerprint,
    request.reason
FROM shacache.account_request AS request
LEFT JOIN shacache.account ON account.name = request.name
WHERE request.created_at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND request.created_at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
    AND (report.account() IS NULL OR request.name = report.account())
ORDER BY request.decided_at NULLS FIRST, request.id;
COMMENT ON COLUMN report.account_requests.account IS
    'Whether there is an account of that name already: then this is a key for another machine of it, or somebody else.';
COMMENT ON COLUMN report.account_requests.key IS
    'The SHA-256 of the public key, which shacache says to who asks: by it an operator knows that it is theirs.';
