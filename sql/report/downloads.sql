CREATE VIEW report.downloads AS
SELECT
    day,
    kind,
    whole + partial + probes + not_found AS requests,
    whole,
    partial,
    probes,
    not_found,
    bytes
FROM shacache.download_day
WHERE day >= coalesce((SELECT report.since()), '-infinity') AND day <= coalesce((SELECT report.until()), 'infinity')
ORDER BY day DESC, kind;
COMMENT ON COLUMN report.downloads.kind IS 'blob; or key, of which whole counts those that were found.';
COMMENT ON COLUMN report.downloads.partial IS
    'Ranges, and what was cut off. A download that is resumed is several of these.';
COMMENT ON COLUMN report.downloads.probes IS
    'Closed unread, as clients do before they upload. Not in partial, nor in bytes.';
COMMENT ON COLUMN report.downloads.bytes IS 'What was sent, without heads of answers.';
