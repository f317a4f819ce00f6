-- What upstreams gave, and what they gave wrong: the fetcher writes it down every few seconds, ingest-log the downloads of it.
CREATE TABLE shacache.upstream_day (
    day date NOT NULL,
    upstream_id bigint NOT NULL REFERENCES shacache.upstream,
    blobs bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,
    keys bigint NOT NULL DEFAULT 0,
    failures bigint NOT NULL DEFAULT 0,
    faults bigint NOT NULL DEFAULT 0,
    refused_pairs bigint NOT NULL DEFAULT 0,
    downloads bigint NOT NULL DEFAULT 0,
    sent_bytes bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (day, upstream_id),
    CONSTRAINT counts_are_not_negative CHECK (
        least(blobs, bytes, keys, failures, faults, refused_pairs, downloads, sent_bytes) >= 0)
);
COMMENT ON TABLE shacache.upstream_day IS 'Of each day (in UTC) and upstream, on all hosts.';
COMMENT ON COLUMN shacache.upstream_day.blobs IS 'That came from there with the right hash.';
COMMENT ON COLUMN shacache.upstream_day.bytes IS 'Of blobs, also of those that did not come to their ends, or were wrong.';
COMMENT ON COLUMN shacache.upstream_day.keys IS 'Lists of keys that came from there.';
COMMENT ON COLUMN shacache.upstream_day.failures IS 'Times that it gave nothing, though nothing was wrong with what it gave.';
COMMENT ON COLUMN shacache.upstream_day.faults IS 'Times that it gave something wrong: shacache.upstream_fault.';
COMMENT ON COLUMN shacache.upstream_day.downloads IS
    'By clients of this cache, whole and partial, of blobs that were fetched from there. Also of sent_bytes.';

CREATE TABLE shacache.upstream_fault (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    upstream_id bigint NOT NULL REFERENCES shacache.upstream,
    reason text NOT NULL,
    sha512 bytea,
    key text COLLATE "C",
    detail text NOT NULL,
    times bigint NOT NULL DEFAULT 1,
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT fault_is_once UNIQUE NULLS NOT DISTINCT (upstream_id, reason, sha512, key),
    CONSTRAINT it_is_of_a_blob_or_a_key CHECK (num_nonnulls(sha512, key) = 1)
);
CREATE INDEX upstream_fault_by_time ON shacache.upstream_fault (last_at);
COMMENT ON TABLE shacache.upstream_fault IS
    'What upstreams gave wrong, each thing once; the last ten thousand, and no more than one a second.';
COMMENT ON COLUMN shacache.upstream_fault.detail IS 'What was wrong the last time.';

CREATE TABLE shacache.upstream_absence (
    upstream_id bigint NOT NULL REFERENCES shacache.upstream,
    host text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (upstream_id, host)
);
COMMENT ON TABLE shacache.upstream_absence IS 'The upstreams that a host''s fetcher doesn''t ask, since they did not answer it.';

GRANT SELECT, INSERT ON shacache.upstream_day TO shacache_worker, shacache_admin;
GRANT UPDATE (blobs, bytes, keys, failures, faults, refused_pairs) ON shacache.upstream_day TO shacache_worker;
GRANT UPDATE (downloads, sent_bytes) ON shacache.upstream_day TO shacache_admin;
GRANT SELECT, INSERT, DELETE ON shacache.upstream_fault, shacache.upstream_absence TO shacache_worker;
GRANT UPDATE (detail, times, last_at) ON shacache.upstream_fault TO shacache_worker;
