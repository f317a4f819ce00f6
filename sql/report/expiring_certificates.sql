CREATE VIEW report.expiring_certificates AS
SELECT
    account,
    encode(fingerprint, 'hex') AS fingerprint,
    not_after,
    floor(extract(epoch FROM not_after - now()) / 86400)::integer AS days_left,
    account_until,
    shacache.without_credentials(subject) AS subject,
    issuer,
    origin
FROM shacache.certificate_in_use AS certificate
WHERE not_after BETWEEN now() - interval '60 days' AND now() + interval '60 days'
    AND (report.account() IS NULL OR account = report.account())
ORDER BY certificate.not_after, certificate.fingerprint;
COMMENT ON COLUMN report.expiring_certificates.days_left IS 'Whole days; negative when it has expired.';
COMMENT ON COLUMN report.expiring_certificates.account_until IS
    'When the last certificate of the account expires. It may be of another machine: `shacache-admin status` compares '
    'the keys.';
