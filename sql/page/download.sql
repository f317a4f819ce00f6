-- Of one blob, the rows of that one are added up: report.downloaded_blobs names it by its digits, and adds up all.
CREATE VIEW page.download AS
SELECT sha512, sum(whole)::bigint AS whole, sum(partial)::bigint AS partial, sum(bytes)::bigint AS bytes
FROM shacache.blob_download
GROUP BY sha512;
