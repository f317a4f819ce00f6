CREATE VIEW report.downloaded_keys AS
SELECT
    shacache.without_credentials(nullif(total.key, '')) AS key,
    total.found,
    total.not_found,
    total.bytes,
    total.first_day,
    total.last_day
FROM (
    SELECT
        key,
        sum(found)::bigint AS found,
        sum(not_found)::bigint AS not_found,
        sum(bytes)::bigint AS bytes,
        min(day) AS first_day,
        max(day) AS last_day
    FROM shacache.key_lookup
    WHERE day >= coalesce((SELECT report.since()), '-infinity') AND day <= coalesce((SELECT report.until()), 'infinity')
    GROUP BY key
) AS total
WHERE report.account() IS NULL OR EXISTS (
    SELECT FROM shacache.entry JOIN shacache.account ON account.id = entry.account_id
    WHERE entry.key = total.key AND account.name = report.account()
)
ORDER BY total.found + total.not_found DESC, total.key;
COMMENT ON COLUMN report.downloaded_keys.key IS
    'Empty: the sum of keys that were not found and have no row of their own.';
