-- The one source of expiry dates: report.expiring_certificates, `shacache-admin status` and the metrics read it.
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
    'Certificates that are not revoked, of enabled accounts; expired ones included.';
COMMENT ON COLUMN shacache.certificate_in_use.account_until IS 'When the last certificate of the account expires.';
GRANT SELECT ON shacache.certificate_in_use TO shacache_worker, shacache_admin;
