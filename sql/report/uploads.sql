CREATE VIEW report.uploads AS
SELECT
    day,
    sum(uploads)::bigint AS uploads,
    sum(accepted)::bigint AS accepted,
    sum(refused)::bigint AS refused,
    sum(failed)::bigint AS failed,
    sum(blobs)::bigint AS blobs,
    sum(entries)::bigint AS entries,
    sum(duplicates)::bigint AS duplicates,
    sum(bytes) AS bytes,
    sum(new_bytes) AS new_bytes
FROM shacache.asked_upload_figures
GROUP BY day
ORDER BY day DESC;
COMMENT ON COLUMN report.uploads.blobs IS 'This and the columns after it are of accepted uploads.';
COMMENT ON COLUMN report.uploads.bytes IS 'Duplicates included; new_bytes leaves those out.';
