-- The record of uploads by month, so that old months can be dropped, and its sums by day, so that reports stay fast.
CREATE TABLE shacache.upload (
    id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT now(),
    account_id bigint,
    certificate bytea,
    client_address inet,
    target text NOT NULL,
    key text COLLATE "C",
    sha512 bytea,
    bytes bigint,
    duplicate boolean,
    signature_result text,
    signer_id bigint,
    outcome text NOT NULL,
    status smallint NOT NULL,
    reason text,
    detail text,
    duration interval NOT NULL,
    request_id text NOT NULL,
    PRIMARY KEY (id, at),
    CONSTRAINT target_is_known CHECK (target IN ('blob', 'entry')),
    CONSTRAINT outcome_is_known CHECK (outcome IN ('accepted', 'refused', 'failed')),
    CONSTRAINT outcome_is_what_the_status_says CHECK (
        outcome = CASE WHEN status = 201 THEN 'accepted' WHEN status BETWEEN 400 AND 499 THEN 'refused' ELSE 'failed' END
    ),
    CONSTRAINT only_what_was_not_accepted_has_a_reason CHECK ((outcome = 'accepted') = (reason IS NULL)),
    CONSTRAINT accepted_is_complete CHECK (
        outcome <> 'accepted'
        OR (account_id IS NOT NULL AND sha512 IS NOT NULL AND bytes IS NOT NULL AND duplicate IS NOT NULL)
    ),
    CONSTRAINT accepted_entry_is_complete CHECK (
        outcome <> 'accepted' OR target = 'blob' OR (key IS NOT NULL AND signature_result IS NOT NULL)
    ),
    CONSTRAINT certificate_is_sha256 CHECK (octet_length(certificate) = 32),
    CONSTRAINT sha512_is_sha512 CHECK (octet_length(sha512) = 64),
    CONSTRAINT bytes_is_not_negative CHECK (bytes >= 0),
    CONSTRAINT signature_result_is_known CHECK (signature_result IN ('verified', 'unsigned', 'unknown signer')),
    CONSTRAINT signer_is_who_verified CHECK ((signature_result = 'verified') = (signer_id IS NOT NULL))
) PARTITION BY RANGE (at);
CREATE TABLE shacache.upload_default PARTITION OF shacache.upload DEFAULT;
CREATE INDEX upload_by_time ON shacache.upload (at);
CREATE INDEX upload_by_account ON shacache.upload (account_id, at);
-- To find the uploads of one request, key or blob. A hash index is smaller than a B-tree on the text. Keys have a
-- B-tree, for searches by prefix, on the text that reports show. Only uploads that were not accepted have a reason.
CREATE INDEX upload_by_request ON shacache.upload USING hash (request_id);
CREATE INDEX upload_by_key ON shacache.upload (shacache.key_without_credentials(key), at) WHERE key IS NOT NULL;
CREATE INDEX upload_by_sha512 ON shacache.upload USING hash (encode(sha512, 'hex'));
CREATE INDEX upload_by_reason ON shacache.upload (reason, at) WHERE reason IS NOT NULL;
COMMENT ON TABLE shacache.upload IS
    'Every upload that was tried, by months in UTC. An accepted one is written in the transaction that stores it.';
COMMENT ON TABLE shacache.upload_default IS
    'Uploads of a month that has no partition: no upload fails for want of one. shacache-admin maintain moves them.';
COMMENT ON COLUMN shacache.upload.certificate IS 'SHA-256 of the client certificate of the request, registered or not.';
COMMENT ON COLUMN shacache.upload.outcome IS
    'accepted (201), refused (4xx: an error of the client), failed (5xx: of the server).';
COMMENT ON COLUMN shacache.upload.reason IS 'A stable short name, to group by; detail has the particulars.';
COMMENT ON COLUMN shacache.upload.duration IS 'From the first byte of the request to the answer, receiving included.';
GRANT SELECT, INSERT ON shacache.upload TO shacache_worker;
GRANT SELECT ON shacache.upload TO shacache_admin;

-- This month and the next two. From then on, shacache-admin maintain makes them (sql/functions/upload_months.sql).
DO $$
DECLARE
    this_month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    month timestamp;
BEGIN
    FOR month IN SELECT generate_series(this_month, this_month + interval '2 months', interval '1 month') LOOP
        EXECUTE format(
            'CREATE TABLE shacache.%I PARTITION OF shacache.upload FOR VALUES FROM (%L) TO (%L)',
            to_char(month, '"upload_"YYYY"_"MM'), month AT TIME ZONE 'UTC',
            (month + interval '1 month') AT TIME ZONE 'UTC');
    END LOOP;
END
$$;

CREATE TABLE shacache.closed_day (
    day date PRIMARY KEY,
    closed_at timestamptz NOT NULL DEFAULT now(),
    is_dropped boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE shacache.closed_day IS
    'The days (in UTC) whose uploads are added up in upload_day. None is left out: what comes after the last is open.';
COMMENT ON COLUMN shacache.closed_day.is_dropped IS 'Its uploads were dropped: the sums are all that is left of them.';

CREATE TABLE shacache.upload_day (
    day date NOT NULL REFERENCES shacache.closed_day,
    account_id bigint REFERENCES shacache.account,
    target text NOT NULL,
    outcome text NOT NULL,
    reason text,
    duplicate boolean,
    signature_result text,
    signer_id bigint REFERENCES shacache.signer,
    uploads bigint NOT NULL,
    bytes numeric NOT NULL,
    last_at timestamptz NOT NULL,
    last_id bigint NOT NULL,
    CONSTRAINT upload_is_summed_once UNIQUE NULLS NOT DISTINCT (
        day, account_id, target, outcome, reason, duplicate, signature_result, signer_id)
);
COMMENT ON TABLE shacache.upload_day IS
    'Sums of the uploads of closed days. They stay when the uploads themselves are dropped.';
COMMENT ON COLUMN shacache.upload_day.last_id IS 'The highest id in the sum: an example to show.';
CREATE INDEX upload_day_by_account ON shacache.upload_day (account_id, day);
