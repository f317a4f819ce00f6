CREATE VIEW report.platforms AS
SELECT
    shacache.without_credentials(multiarch) AS multiarch,
    shacache.without_credentials(os) AS os,
    count(*) AS entries,
    count(DISTINCT key) AS software_releases,
    count(*) FILTER (WHERE size IS NULL) AS entries_without_blob,
    coalesce(sum(size) FILTER (WHERE nth_of_its_blob = 1), 0) AS bytes,
    max(created_at) AS last_at
FROM (
    SELECT
        entry.multiarch,
        entry.os,
        entry.key,
        entry.created_at,
        blob.size,
        row_number() OVER (PARTITION BY entry.multiarch, entry.os, entry.sha512) AS nth_of_its_blob
    FROM shacache.visible_entry AS entry
    LEFT JOIN shacache.blob USING (sha512)
    WHERE (entry.software_url IS NOT NULL OR entry.multiarch IS NOT NULL OR entry.os IS NOT NULL)
        AND entry.created_at >= coalesce(report.since()::timestamp AT TIME ZONE 'UTC', '-infinity')
        AND entry.created_at < coalesce((report.until() + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
        AND (
            report.account() IS NULL
            OR entry.account_id = (SELECT id FROM shacache.account WHERE name = report.account()))
) AS binary_entry
GROUP BY multiarch, os
ORDER BY entries DESC, binary_entry.multiarch, binary_entry.os;
COMMENT ON COLUMN report.platforms.os IS 'From the entry: distribution, version, name.';
COMMENT ON COLUMN report.platforms.bytes IS 'Of the stored blobs that these entries name, each blob once.';
