CREATE VIEW page.fetched AS
SELECT at, blobs, bytes, bytes_limit, keys FROM shacache.fetched_total;
COMMENT ON VIEW page.fetched IS 'What was fetched from upstreams, when collect fetched last looked; no row: it never did.';
