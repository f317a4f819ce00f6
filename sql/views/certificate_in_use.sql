-- Whoever tells of expiry reads this one: the report below, `shacache-admin status` and the metrics.
CREATE VIEW shacache.certificate_in_use AS
SELECT
    certificate.fingerprint,
    account.name AS account,
    certificate.not_after,
    max(certificate.not_after) OVER (PARTITION BY certificate.account_id) AS account_until,
    certificate.subject,
    certificate.issuer,
    certificate.origin
FROM shacache.certificate
JOIN shacache.account ON account.id = certificate.account_id
WHERE certificate.revoked_at IS NULL AND account.disabled_at IS NULL;
COMMENT ON VIEW shacache.certificate_in_use IS
    'Those that somebody may count on: not revoked, and of enabled accounts. Expired ones, too.';
COMMENT ON COLUMN shacache.certificate_in_use.account_until IS 'When the last one of the account expires.';
GRANT SELECT ON shacache.certificate_in_use TO shacache_worker, shacache_admin;
