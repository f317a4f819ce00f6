-- What was downloaded, by day (in UTC), as `shacache-admin ingest-log` counts it in nginx's access log.
CREATE TABLE shacache.blob_download (
    day date NOT NULL,
    sha512 bytea NOT NULL,
    whole bigint NOT NULL,
    partial bigint NOT NULL,
    probes bigint NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (sha512, day),
    CONSTRAINT sha512_is_sha512 CHECK (octet_length(sha512) = 64),
    CONSTRAINT counts_are_not_negative CHECK (least(whole, partial, probes, bytes) >= 0)
);
-- Days come one after the other, and rows stay where they are.
CREATE INDEX blob_download_by_day ON shacache.blob_download USING brin (day);
COMMENT ON TABLE shacache.blob_download IS
    'Downloads of each blob. It need not be one of shacache.blob: a file that lost its row is served all the same.';
COMMENT ON COLUMN shacache.blob_download.partial IS 'Ranges, and what was cut off.';
COMMENT ON COLUMN shacache.blob_download.probes IS
    'Downloads that were closed unread: deployed clients check so whether a blob exists.';
COMMENT ON COLUMN shacache.blob_download.bytes IS 'Sent in whole and partial downloads.';
COMMENT ON COLUMN shacache.blob_download.day IS
    'Of months that are kept as a whole: their first day. So in key_lookup.';

CREATE TABLE shacache.key_lookup (
    day date NOT NULL,
    key text COLLATE "C" NOT NULL,
    found bigint NOT NULL,
    not_found bigint NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (key, day),
    CONSTRAINT counts_are_not_negative CHECK (least(found, not_found, bytes) >= 0)
);
CREATE INDEX key_lookup_by_day ON shacache.key_lookup USING brin (day);
CREATE INDEX key_lookup_in_vain ON shacache.key_lookup (day) WHERE found = 0;
COMMENT ON TABLE shacache.key_lookup IS 'Lookups of each key.';
COMMENT ON COLUMN shacache.key_lookup.key IS
    'Empty: the sum of keys that were not found and have no row of their own.';

CREATE TABLE shacache.download_day (
    day date NOT NULL,
    kind text NOT NULL,
    whole bigint NOT NULL,
    partial bigint NOT NULL,
    probes bigint NOT NULL,
    not_found bigint NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (day, kind),
    CONSTRAINT kind_is_known CHECK (kind IN ('blob', 'key'))
);
COMMENT ON TABLE shacache.download_day IS
    'The sums of the two tables above, written with them: a chart of a year reads some hundred rows.';

CREATE TABLE shacache.log_position (
    fingerprint bytea PRIMARY KEY,
    host text NOT NULL,
    path text NOT NULL,
    position bigint NOT NULL,
    is_finished boolean NOT NULL DEFAULT false,
    read_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT fingerprint_is_sha256 CHECK (octet_length(fingerprint) = 32)
);
COMMENT ON TABLE shacache.log_position IS
    'How far each file of an access log was counted; moved in the transaction that adds up what was read.';
COMMENT ON COLUMN shacache.log_position.fingerprint IS
    'SHA-256 of how it begins, up to its first request id: rotation, compression and copies don''t change that.';
COMMENT ON COLUMN shacache.log_position.position IS 'In bytes of its text, also when the file has that in gzip.';
COMMENT ON COLUMN shacache.log_position.path IS 'Its name when it was last read.';

GRANT SELECT, INSERT ON shacache.blob_download, shacache.key_lookup, shacache.download_day, shacache.log_position
    TO shacache_admin;
GRANT UPDATE (whole, partial, probes, bytes) ON shacache.blob_download TO shacache_admin;
GRANT UPDATE (found, not_found, bytes) ON shacache.key_lookup TO shacache_admin;
GRANT UPDATE (whole, partial, probes, not_found, bytes) ON shacache.download_day TO shacache_admin;
GRANT UPDATE (path, position, is_finished, read_at) ON shacache.log_position TO shacache_admin;
-- For the metrics.
GRANT SELECT ON shacache.download_day TO shacache_worker;
