CREATE VIEW page.trash AS
SELECT sha512, size, policy, removed_at FROM shacache.trash;
COMMENT ON VIEW page.trash IS 'The blobs that a collection removed, and whose bytes are still there.';
