-- The directory, the record of uploads, and who may write. `shacache-admin migrate` has made the schema.
CREATE TABLE shacache.account (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL CONSTRAINT account_name_is_unique UNIQUE,
    comment text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz,
    CONSTRAINT account_name_is_a_word CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$')
);
COMMENT ON TABLE shacache.account IS 'Who may upload. An account is disabled, never deleted: the record names it.';

CREATE TABLE shacache.certificate (
    fingerprint bytea PRIMARY KEY,
    account_id bigint NOT NULL REFERENCES shacache.account,
    subject text NOT NULL,
    issuer text NOT NULL,
    serial text NOT NULL,
    not_before timestamptz NOT NULL,
    not_after timestamptz NOT NULL,
    origin text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    CONSTRAINT fingerprint_is_sha256 CHECK (octet_length(fingerprint) = 32),
    CONSTRAINT origin_is_known CHECK (origin IN ('issued', 'signed', 'registered')),
    CONSTRAINT validity_is_a_period CHECK (not_before < not_after)
);
CREATE INDEX certificate_by_account ON shacache.certificate (account_id);
COMMENT ON TABLE shacache.certificate IS 'TLS client certificates, by the SHA-256 of their DER form. An account may have several at once.';

CREATE TABLE shacache.signer (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL CONSTRAINT signer_name_is_unique UNIQUE,
    public_key bytea NOT NULL CONSTRAINT signer_key_is_unique UNIQUE,
    certificate text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    CONSTRAINT signer_name_is_a_word CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$')
);
COMMENT ON COLUMN shacache.signer.public_key IS 'DER of SubjectPublicKeyInfo: of a signature certificate only the key counts.';
COMMENT ON COLUMN shacache.signer.certificate IS 'PEM, as nodes list it in signature-certificate-list.';

CREATE TABLE shacache.blob (
    sha512 bytea PRIMARY KEY,
    size bigint NOT NULL,
    account_id bigint NOT NULL REFERENCES shacache.account,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_referenced_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT sha512_is_sha512 CHECK (octet_length(sha512) = 64),
    CONSTRAINT size_is_not_negative CHECK (size >= 0)
);
COMMENT ON TABLE shacache.blob IS 'The blobs that were acknowledged. The bytes lie in the blob store.';
COMMENT ON COLUMN shacache.blob.account_id IS 'Who uploaded it first.';
COMMENT ON COLUMN shacache.blob.last_referenced_at IS 'The last upload of these bytes, or of an entry that names them: a collector spares what is recent.';

CREATE TABLE shacache.entry (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text COLLATE "C" NOT NULL,
    metadata text NOT NULL,
    signature text NOT NULL,
    digest bytea NOT NULL,
    sha512 bytea NOT NULL,
    account_id bigint NOT NULL REFERENCES shacache.account,
    certificate bytea REFERENCES shacache.certificate,
    signature_result text NOT NULL,
    signer_id bigint REFERENCES shacache.signer,
    created_at timestamptz NOT NULL DEFAULT now(),
    software_url text,
    multiarch text,
    os text[],
    CONSTRAINT entry_is_once_under_its_key UNIQUE (key, digest),
    CONSTRAINT key_is_not_empty_nor_long CHECK (octet_length(key) BETWEEN 1 AND 1024),
    CONSTRAINT digest_is_sha256 CHECK (octet_length(digest) = 32),
    CONSTRAINT sha512_is_sha512 CHECK (octet_length(sha512) = 64),
    CONSTRAINT signature_result_is_known CHECK (signature_result IN ('verified', 'unsigned', 'unknown signer')),
    CONSTRAINT signer_is_who_verified CHECK ((signature_result = 'verified') = (signer_id IS NOT NULL))
);
CREATE INDEX entry_by_key ON shacache.entry (key, id);
CREATE INDEX entry_by_sha512 ON shacache.entry (sha512);
COMMENT ON COLUMN shacache.entry.metadata IS 'Byte for byte as it was sent: the signature covers these bytes.';
COMMENT ON COLUMN shacache.entry.digest IS 'SHA-256 over metadata, a zero byte, signature: what makes the pair unique under its key.';
COMMENT ON COLUMN shacache.entry.software_url IS 'This and the columns after it are copied out of the metadata, for reports only.';

CREATE TABLE shacache.upload (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    account_id bigint REFERENCES shacache.account,
    certificate bytea,
    client_address inet,
    target text NOT NULL,
    key text COLLATE "C",
    sha512 bytea,
    bytes bigint,
    duplicate boolean,
    signature_result text,
    signer_id bigint REFERENCES shacache.signer,
    outcome text NOT NULL,
    status smallint NOT NULL,
    reason text,
    detail text,
    duration interval NOT NULL,
    request_id text NOT NULL,
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
);
CREATE INDEX upload_by_time ON shacache.upload (at);
CREATE INDEX upload_by_account ON shacache.upload (account_id, at);
COMMENT ON TABLE shacache.upload IS 'Every upload that was tried. An accepted one is written in the transaction that stores it.';
COMMENT ON COLUMN shacache.upload.certificate IS 'SHA-256 of the client certificate that was shown, also when we do not know it.';
COMMENT ON COLUMN shacache.upload.outcome IS 'accepted (201), refused (4xx: the request was wrong), failed (5xx: we were).';
COMMENT ON COLUMN shacache.upload.reason IS 'A stable short name, to group by; detail says what was wrong with what.';
COMMENT ON COLUMN shacache.upload.duration IS 'From the first byte of the request to the answer, receiving included.';

CREATE TABLE shacache.audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    detail text NOT NULL DEFAULT ''
);
COMMENT ON TABLE shacache.audit IS 'Every change made with shacache-admin: who (operating system user), when, what.';
