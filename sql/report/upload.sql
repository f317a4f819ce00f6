CREATE VIEW report.upload AS
SELECT
    upload.id,
    upload.at,
    account.name AS account,
    upload.client_address,
    upload.target,
    upload.outcome,
    upload.status,
    upload.reason,
    shacache.without_credentials(upload.detail) AS detail,
    shacache.key_without_credentials(upload.key) AS key,
    upload.bytes,
    upload.duplicate,
    upload.signature_result AS signature,
    signer.name AS signer,
    upload.duration,
    encode(upload.sha512, 'hex') AS sha512,
    encode(upload.certificate, 'hex') AS certificate,
    upload.request_id
FROM shacache.upload
LEFT JOIN shacache.account ON account.id = upload.account_id
LEFT JOIN shacache.signer ON signer.id = upload.signer_id
WHERE upload.at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND upload.at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
    AND (
        report.account() IS NULL
        OR upload.account_id = (SELECT id FROM shacache.account WHERE name = report.account()))
ORDER BY upload.at DESC, upload.id DESC;
COMMENT ON COLUMN report.upload.account IS 'Empty when the request was not authenticated as an account.';
COMMENT ON COLUMN report.upload.sha512 IS 'Of a blob: its own. Of an entry: the blob that it names.';
COMMENT ON COLUMN report.upload.bytes IS 'Length of the blob, or of the entry itself (not of the blob that it names).';
COMMENT ON COLUMN report.upload.duplicate IS 'True when the cache had it already.';
COMMENT ON COLUMN report.upload.certificate IS 'SHA-256 of the client certificate of the request, registered or not.';
COMMENT ON COLUMN report.upload.request_id IS 'The same as in the logs of nginx and shacached.';
