CREATE VIEW report.duplicates AS
SELECT
    total.day,
    account.name AS account,
    total.blobs,
    total.bytes,
    total.duplicate_blobs,
    total.saved_bytes,
    round(100.0 * total.saved_bytes / nullif(total.bytes, 0), 1) AS saved_percent
FROM (
    SELECT
        day,
        account_id,
        sum(blobs)::bigint AS blobs,
        sum(bytes) AS bytes,
        sum(duplicates)::bigint AS duplicate_blobs,
        sum(bytes - new_bytes) AS saved_bytes
    FROM shacache.asked_upload_figures
    WHERE target = 'blob' AND outcome = 'accepted'
    GROUP BY day, account_id
) AS total
JOIN shacache.account ON account.id = total.account_id
ORDER BY total.day DESC, total.saved_bytes DESC, account.name;
COMMENT ON COLUMN report.duplicates.blobs IS 'Accepted uploads of blobs, duplicates included; bytes likewise.';
COMMENT ON COLUMN report.duplicates.saved_bytes IS 'Of the duplicates.';
