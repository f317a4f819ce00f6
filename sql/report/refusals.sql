-- The newest row of each reason is found by its id alone, so that no details are sorted.
CREATE VIEW report.refusals AS
SELECT
    total.outcome,
    total.reason,
    total.uploads,
    total.accounts,
    total.last_at,
    example.status AS example_status,
    account.name AS example_account,
    shacache.without_credentials(example.detail) AS example_detail,
    example.request_id AS example_request_id
FROM (
    SELECT
        outcome,
        reason,
        sum(uploads)::bigint AS uploads,
        count(DISTINCT account_id) AS accounts,
        max(last_at) AS last_at,
        max(last_id) AS last_id
    FROM shacache.asked_upload_figures
    WHERE outcome <> 'accepted'
    GROUP BY outcome, reason
) AS total
LEFT JOIN shacache.upload AS example ON example.id = total.last_id
LEFT JOIN shacache.account ON account.id = example.account_id
ORDER BY total.uploads DESC, total.outcome, total.reason;
COMMENT ON COLUMN report.refusals.accounts IS 'Number of accounts; requests that were not authenticated have none.';
COMMENT ON COLUMN report.refusals.example_detail IS
    'This and the other examples are of the latest upload with this reason; empty when its month was dropped.';
