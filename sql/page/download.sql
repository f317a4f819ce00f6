-- A query by sha512 reads the rows of that blob alone; report.downloaded_blobs has the hash in hex, and would read all.
CREATE VIEW page.download AS
SELECT sha512, sum(whole)::bigint AS whole, sum(partial)::bigint AS partial, sum(bytes)::bigint AS bytes
FROM shacache.blob_download
GROUP BY sha512;
