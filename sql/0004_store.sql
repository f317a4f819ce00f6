-- What was uploaded, and what of it is hidden. The bytes of blobs lie in the blob store. An upload looks up no foreign
-- keys of accounts, certificates and signers: their rows stay (0003).
CREATE TABLE shacache.withdrawal (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    account_id bigint REFERENCES shacache.account,
    target text NOT NULL,
    subject text NOT NULL DEFAULT '',
    reason text NOT NULL,
    is_operators boolean NOT NULL DEFAULT true,
    lifted_at timestamptz,
    lifted_by text,
    CONSTRAINT target_is_known CHECK (target IN ('blob', 'entries')),
    -- It is sent in a header.
    CONSTRAINT reason_is_a_line CHECK (reason <> '' AND reason !~ '[[:cntrl:]]' AND char_length(reason) <= 500),
    CONSTRAINT an_account_of_its_own_is_named CHECK (is_operators OR account_id IS NOT NULL),
    CONSTRAINT lifted_is_complete CHECK ((lifted_at IS NULL) = (lifted_by IS NULL))
);
COMMENT ON TABLE shacache.withdrawal IS
    'What was hidden, and why. Nothing is erased, and lifting it makes it visible again.';
COMMENT ON COLUMN shacache.withdrawal.actor IS 'An operating system user with shacache-admin, or an account.';
COMMENT ON COLUMN shacache.withdrawal.account_id IS 'The account, when an account did it.';
COMMENT ON COLUMN shacache.withdrawal.is_operators IS
    'By an operator: for all accounts. False: by the account that owned it; another one''s upload of the same ends it.';
COMMENT ON COLUMN shacache.withdrawal.subject IS 'Free text for reports: the hash, the key, or what else was named.';
GRANT SELECT, INSERT, UPDATE (lifted_at, lifted_by) ON shacache.withdrawal TO shacache_worker, shacache_admin;

CREATE TABLE shacache.blob (
    sha512 bytea PRIMARY KEY,
    size bigint NOT NULL,
    account_id bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_referenced_at timestamptz NOT NULL DEFAULT now(),
    withdrawal_id bigint REFERENCES shacache.withdrawal,
    is_shared boolean NOT NULL DEFAULT false,
    CONSTRAINT sha512_is_sha512 CHECK (octet_length(sha512) = 64),
    CONSTRAINT size_is_not_negative CHECK (size >= 0)
);
CREATE INDEX blob_by_account ON shacache.blob (account_id);
CREATE INDEX blob_by_size ON shacache.blob (size);
CREATE INDEX blob_by_withdrawal ON shacache.blob (withdrawal_id) WHERE withdrawal_id IS NOT NULL;
COMMENT ON TABLE shacache.blob IS 'The blobs that were acknowledged. The bytes lie in the blob store.';
COMMENT ON COLUMN shacache.blob.account_id IS 'The account that uploaded it first.';
COMMENT ON COLUMN shacache.blob.last_referenced_at IS
    'The last upload of these bytes, or of an entry that names them: a collector spares what is recent.';
COMMENT ON COLUMN shacache.blob.withdrawal_id IS
    'Why it is hidden: its file is then in the store''s directory withdrawn. NULL: it is visible.';
COMMENT ON COLUMN shacache.blob.is_shared IS
    'Another account uploaded the same bytes: then the first one alone can''t withdraw them.';
GRANT SELECT, INSERT, UPDATE (last_referenced_at, withdrawal_id, is_shared) ON shacache.blob TO shacache_worker;
GRANT SELECT, UPDATE (withdrawal_id) ON shacache.blob TO shacache_admin;

CREATE TABLE shacache.entry (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key text COLLATE "C" NOT NULL,
    metadata text NOT NULL,
    signature text NOT NULL,
    digest bytea NOT NULL,
    sha512 bytea NOT NULL,
    account_id bigint NOT NULL,
    certificate bytea,
    signature_result text NOT NULL,
    signer_id bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    software_url text,
    multiarch text,
    os text[],
    withdrawal_id bigint REFERENCES shacache.withdrawal,
    is_shared boolean NOT NULL DEFAULT false,
    CONSTRAINT entry_is_once_under_its_key UNIQUE (key, digest),
    CONSTRAINT key_is_not_empty_nor_long CHECK (octet_length(key) BETWEEN 1 AND 1024),
    CONSTRAINT digest_is_sha256 CHECK (octet_length(digest) = 32),
    CONSTRAINT sha512_is_sha512 CHECK (octet_length(sha512) = 64),
    CONSTRAINT signature_result_is_known CHECK (signature_result IN ('verified', 'unsigned', 'unknown signer')),
    CONSTRAINT signer_is_who_verified CHECK ((signature_result = 'verified') = (signer_id IS NOT NULL))
);
CREATE INDEX entry_by_key ON shacache.entry (key, id);
-- In the order in which the page lists what names a blob: the first of very many are found without reading all.
CREATE INDEX entry_by_sha512 ON shacache.entry (sha512, id);
CREATE INDEX entry_by_account ON shacache.entry (account_id, created_at);
CREATE INDEX entry_by_signer ON shacache.entry (signer_id, created_at) WHERE signer_id IS NOT NULL;
CREATE INDEX entry_by_withdrawal ON shacache.entry (withdrawal_id) WHERE withdrawal_id IS NOT NULL;
CREATE INDEX entry_by_time ON shacache.entry (created_at);
CREATE INDEX entry_of_binary_cache ON shacache.entry (created_at)
    WHERE software_url IS NOT NULL OR multiarch IS NOT NULL OR os IS NOT NULL;
CREATE INDEX entry_of_unknown_signer ON shacache.entry (created_at) WHERE signature_result = 'unknown signer';
-- Few more than urls_with_credentials finds, which is slow to prepare for each upload.
CREATE INDEX entry_with_credentials ON shacache.entry (created_at)
    WHERE metadata ~ '@|%40|\\u0040' OR key ~ '@|%40|\\u0040';
COMMENT ON COLUMN shacache.entry.metadata IS 'Byte for byte as it was sent: the signature covers these bytes.';
COMMENT ON COLUMN shacache.entry.digest IS
    'SHA-256 over metadata, a zero byte, signature: what makes the pair unique under its key.';
COMMENT ON COLUMN shacache.entry.software_url IS
    'This, multiarch and os are copied out of the metadata, for reports only.';
COMMENT ON COLUMN shacache.entry.withdrawal_id IS 'Why it is hidden; NULL: it is not.';
COMMENT ON COLUMN shacache.entry.is_shared IS
    'Another account put the same pair: then the first one alone can''t withdraw it.';
GRANT SELECT, INSERT, UPDATE (withdrawal_id, is_shared) ON shacache.entry TO shacache_worker;
GRANT SELECT, UPDATE (withdrawal_id) ON shacache.entry TO shacache_admin;

-- A worker applies and lifts the withdrawals of accounts; those of operators are lifted by operators alone.
CREATE FUNCTION shacache.is_operators(number bigint) RETURNS boolean LANGUAGE sql STABLE
    RETURN (SELECT is_operators FROM shacache.withdrawal WHERE id = number);
CREATE FUNCTION shacache.refuse_workers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_user = 'shacache_worker' THEN
        RAISE insufficient_privilege USING MESSAGE = 'only shacache-admin lifts what operators have withdrawn';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER operators_alone_show_it_again BEFORE UPDATE OF withdrawal_id ON shacache.blob FOR EACH ROW
    WHEN (OLD.withdrawal_id IS DISTINCT FROM NEW.withdrawal_id AND shacache.is_operators(OLD.withdrawal_id))
    EXECUTE FUNCTION shacache.refuse_workers();
CREATE TRIGGER operators_alone_show_it_again BEFORE UPDATE OF withdrawal_id ON shacache.entry FOR EACH ROW
    WHEN (OLD.withdrawal_id IS DISTINCT FROM NEW.withdrawal_id AND shacache.is_operators(OLD.withdrawal_id))
    EXECUTE FUNCTION shacache.refuse_workers();
CREATE TRIGGER operators_alone_lift_it BEFORE UPDATE ON shacache.withdrawal FOR EACH ROW WHEN (OLD.is_operators)
    EXECUTE FUNCTION shacache.refuse_workers();
