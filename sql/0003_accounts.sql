-- Accounts with their certificates, signers, and the audit of what operators changed.

-- What rows of the record, of blobs and of entries name is never deleted, and its key never changes: so no row needs to
-- look it up when it is written (foreign keys were 11 to 18 % of what an upload costs here).
CREATE FUNCTION shacache.refuse_to_forget() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE foreign_key_violation USING MESSAGE = format(
        'rows of %I.%I are named by others: they are never deleted, and their keys never change',
        TG_TABLE_SCHEMA, TG_TABLE_NAME);
END
$$;

CREATE TABLE shacache.account (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL CONSTRAINT account_name_is_unique UNIQUE,
    comment text NOT NULL DEFAULT '',
    roles text[] NOT NULL DEFAULT '{blobs,entries}',
    key_prefixes text[],
    bytes_limit bigint,
    blobs_limit bigint,
    blob_size_limit bigint,
    entries_per_day_limit bigint,
    entries_per_key_limit bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz,
    CONSTRAINT account_name_is_a_word CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    CONSTRAINT roles_are_known CHECK (roles <@ ARRAY['blobs', 'entries', 'withdraw', 'operator']),
    CONSTRAINT key_prefixes_are_not_empty CHECK (cardinality(key_prefixes) > 0 AND '' <> ALL (key_prefixes)),
    CONSTRAINT limits_are_not_negative CHECK (
        least(bytes_limit, blobs_limit, blob_size_limit, entries_per_day_limit, entries_per_key_limit) >= 0
    )
);
CREATE TRIGGER rows_stay BEFORE DELETE ON shacache.account
    FOR EACH ROW EXECUTE FUNCTION shacache.refuse_to_forget();
CREATE TRIGGER keys_stay BEFORE UPDATE OF id ON shacache.account
    FOR EACH ROW WHEN (OLD.id IS DISTINCT FROM NEW.id)
    EXECUTE FUNCTION shacache.refuse_to_forget();
COMMENT ON TABLE shacache.account IS
    'The accounts that may upload. One is disabled, never deleted: the record names it.';
COMMENT ON COLUMN shacache.account.roles IS
    'blobs, entries: uploads them; withdraw: hides what it uploaded itself; operator: sees the operators'' pages and '
    'metrics, and withdraws anything.';
COMMENT ON COLUMN shacache.account.key_prefixes IS
    'It puts entries only under keys that begin with one of these; NULL: any.';
COMMENT ON COLUMN shacache.account.bytes_limit IS
    'Of the blobs that it was the first to upload. This and the other limits: NULL is unlimited, but for limits that '
    'the configuration sets for all accounts.';
-- The page checks at every request whether its visitor may see the reports.
GRANT SELECT ON shacache.account TO shacache_worker, shacache_admin, shacache_page;
GRANT INSERT ON shacache.account TO shacache_admin;
GRANT UPDATE (
    disabled_at, roles, key_prefixes, bytes_limit, blobs_limit, blob_size_limit, entries_per_day_limit, entries_per_key_limit
) ON shacache.account TO shacache_admin;

CREATE TABLE shacache.certificate (
    fingerprint bytea PRIMARY KEY,
    account_id bigint NOT NULL REFERENCES shacache.account,
    der bytea,
    subject text NOT NULL,
    issuer text NOT NULL,
    serial text NOT NULL,
    not_before timestamptz NOT NULL,
    not_after timestamptz NOT NULL,
    origin text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    CONSTRAINT fingerprint_is_sha256 CHECK (octet_length(fingerprint) = 32),
    CONSTRAINT origin_is_known CHECK (origin IN ('issued', 'signed', 'renewed', 'registered')),
    CONSTRAINT validity_is_a_period CHECK (not_before < not_after)
);
CREATE INDEX certificate_by_account ON shacache.certificate (account_id);
CREATE TRIGGER rows_stay BEFORE DELETE ON shacache.certificate
    FOR EACH ROW EXECUTE FUNCTION shacache.refuse_to_forget();
CREATE TRIGGER keys_stay BEFORE UPDATE OF fingerprint, account_id ON shacache.certificate
    FOR EACH ROW WHEN (OLD.fingerprint IS DISTINCT FROM NEW.fingerprint OR OLD.account_id IS DISTINCT FROM NEW.account_id)
    EXECUTE FUNCTION shacache.refuse_to_forget();
COMMENT ON TABLE shacache.certificate IS
    'TLS client certificates, by the SHA-256 of their DER form. An account may have several at once.';
COMMENT ON COLUMN shacache.certificate.der IS 'The certificate itself, so that it can be renewed.';
GRANT SELECT ON shacache.certificate TO shacache_worker, shacache_admin, shacache_page;
GRANT INSERT, UPDATE (revoked_at) ON shacache.certificate TO shacache_admin;

CREATE TABLE shacache.signer (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL CONSTRAINT signer_name_is_unique UNIQUE,
    public_key bytea NOT NULL CONSTRAINT signer_key_is_unique UNIQUE,
    certificate text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    revoked_since timestamptz,
    CONSTRAINT signer_name_is_a_word CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$')
);
CREATE TRIGGER rows_stay BEFORE DELETE ON shacache.signer
    FOR EACH ROW EXECUTE FUNCTION shacache.refuse_to_forget();
CREATE TRIGGER keys_stay BEFORE UPDATE OF id, public_key ON shacache.signer
    FOR EACH ROW WHEN (OLD.id IS DISTINCT FROM NEW.id OR OLD.public_key IS DISTINCT FROM NEW.public_key)
    EXECUTE FUNCTION shacache.refuse_to_forget();
COMMENT ON COLUMN shacache.signer.public_key IS
    'DER of SubjectPublicKeyInfo: of a signature certificate only the key counts.';
COMMENT ON COLUMN shacache.signer.certificate IS 'PEM, as nodes list it in signature-certificate-list.';
COMMENT ON COLUMN shacache.signer.revoked_since IS
    'Since when its key counts as compromised: entries that it signed from then on are hidden.';
GRANT SELECT ON shacache.signer TO shacache_worker, shacache_admin;
GRANT INSERT, UPDATE (revoked_at, revoked_since) ON shacache.signer TO shacache_admin;

CREATE TABLE shacache.audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    detail text NOT NULL DEFAULT ''
);
COMMENT ON TABLE shacache.audit IS
    'Every change by shacache-admin, and every withdrawal. actor: an operating system user, or account:NAME.';
GRANT INSERT ON shacache.audit TO shacache_worker;
GRANT SELECT, INSERT ON shacache.audit TO shacache_admin;
