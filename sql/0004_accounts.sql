-- What an account may do and how much, who has withdrawn what, and how much each account has stored.

-- What is counted below is not to change meanwhile. In the order in which an upload takes them: none waits for the other.
LOCK TABLE shacache.entry, shacache.blob, shacache.upload, shacache.account, shacache.certificate, shacache.signer;

ALTER TABLE shacache.account
    ADD roles text[] NOT NULL DEFAULT '{blobs,entries}',
    ADD key_prefixes text[],
    ADD bytes_limit bigint,
    ADD blobs_limit bigint,
    ADD blob_size_limit bigint,
    ADD entries_per_day_limit bigint,
    ADD entries_per_key_limit bigint,
    ADD CONSTRAINT roles_are_known CHECK (roles <@ ARRAY['blobs', 'entries', 'withdraw', 'operator']),
    ADD CONSTRAINT key_prefixes_are_not_empty CHECK (cardinality(key_prefixes) > 0 AND '' <> ALL (key_prefixes)),
    ADD CONSTRAINT limits_are_not_negative CHECK (
        least(bytes_limit, blobs_limit, blob_size_limit, entries_per_day_limit, entries_per_key_limit) >= 0
    );
COMMENT ON COLUMN shacache.account.roles IS
    'blobs, entries: uploads them; withdraw: hides what it uploaded itself; operator: sees the operators'' pages and '
    'metrics, and withdraws anything.';
COMMENT ON COLUMN shacache.account.key_prefixes IS 'It puts entries only under keys that begin with one of these; NULL: any.';
COMMENT ON COLUMN shacache.account.bytes_limit IS
    'This and the other limits: NULL is unlimited, but for what the configuration says of all. Of blobs it was the first to upload.';

-- An account's uploads run side by side: each session adds to one of several rows, so that none waits for another's
-- commit. Their sum counts.
CREATE TABLE shacache.account_usage (
    account_id bigint NOT NULL REFERENCES shacache.account,
    shard smallint NOT NULL,
    blobs bigint NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (account_id, shard)
);
COMMENT ON TABLE shacache.account_usage IS
    'What each account has stored, as far as it was the first to upload it; written in the transaction that stores it.';
INSERT INTO shacache.account_usage (account_id, shard, blobs, bytes)
SELECT account_id, 0, count(*), sum(size) FROM shacache.blob GROUP BY account_id;

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
    -- It travels in a header.
    CONSTRAINT reason_is_a_line CHECK (reason <> '' AND reason !~ '[[:cntrl:]]' AND char_length(reason) <= 500),
    CONSTRAINT an_account_of_its_own_is_named CHECK (is_operators OR account_id IS NOT NULL),
    CONSTRAINT lifted_is_complete CHECK ((lifted_at IS NULL) = (lifted_by IS NULL))
);
COMMENT ON TABLE shacache.withdrawal IS 'What was hidden, by whom and why. Nothing of it is erased, and lifting it shows it again.';
COMMENT ON TABLE shacache.audit IS
    'Every change made with shacache-admin, and every withdrawal: who (operating system user, or account:NAME), when, what.';
COMMENT ON COLUMN shacache.withdrawal.actor IS 'Who did it: an operating system user with shacache-admin, or an account.';
COMMENT ON COLUMN shacache.withdrawal.account_id IS 'The account, when an account did it.';
COMMENT ON COLUMN shacache.withdrawal.is_operators IS
    'It binds everybody. Otherwise an account hid what was its own: when another one uploads the same, it is shown again.';
COMMENT ON COLUMN shacache.withdrawal.subject IS 'For people: the hash, the key, or what else was named.';

ALTER TABLE shacache.blob
    ADD withdrawal_id bigint REFERENCES shacache.withdrawal,
    ADD is_shared boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN shacache.blob.withdrawal_id IS 'Why it is hidden; NULL: it is not. Its bytes then lie in the store''s directory withdrawn.';
COMMENT ON COLUMN shacache.blob.is_shared IS 'Another account uploaded the same bytes: then the first one alone can''t withdraw them.';
UPDATE shacache.blob SET is_shared = true
FROM shacache.upload
WHERE upload.target = 'blob' AND upload.outcome = 'accepted' AND upload.duplicate
    AND upload.sha512 = blob.sha512 AND upload.account_id <> blob.account_id;
CREATE INDEX blob_by_account ON shacache.blob (account_id);
CREATE INDEX blob_by_withdrawal ON shacache.blob (withdrawal_id) WHERE withdrawal_id IS NOT NULL;

ALTER TABLE shacache.entry
    ADD withdrawal_id bigint REFERENCES shacache.withdrawal,
    ADD is_shared boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN shacache.entry.withdrawal_id IS 'Why it is hidden; NULL: it is not.';
COMMENT ON COLUMN shacache.entry.is_shared IS 'Another account put the same pair: then the first one alone can''t withdraw it.';
-- The record has no pairs, only keys and blobs. Of several such pairs, more are taken for shared than are.
UPDATE shacache.entry SET is_shared = true
FROM shacache.upload
WHERE upload.target = 'entry' AND upload.outcome = 'accepted' AND upload.duplicate
    AND upload.key = entry.key AND upload.sha512 = entry.sha512 AND upload.account_id <> entry.account_id;
CREATE INDEX entry_by_account ON shacache.entry (account_id, created_at);
CREATE INDEX entry_by_signer ON shacache.entry (signer_id, created_at) WHERE signer_id IS NOT NULL;
CREATE INDEX entry_by_withdrawal ON shacache.entry (withdrawal_id) WHERE withdrawal_id IS NOT NULL;

-- A worker hides, and shows again what accounts have hidden themselves: only operators undo what operators did.
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

CREATE VIEW shacache.visible_entry AS
SELECT * FROM shacache.entry WHERE withdrawal_id IS NULL;
COMMENT ON VIEW shacache.visible_entry IS 'What nodes are told.';

ALTER TABLE shacache.signer ADD revoked_since timestamptz;
COMMENT ON COLUMN shacache.signer.revoked_since IS 'Entries that it signed from then on are hidden, because its key was no longer its own.';

ALTER TABLE shacache.certificate
    ADD der bytea,
    DROP CONSTRAINT origin_is_known,
    ADD CONSTRAINT origin_is_known CHECK (origin IN ('issued', 'signed', 'renewed', 'registered'));
COMMENT ON COLUMN shacache.certificate.der IS 'The certificate itself, so that it can be renewed; NULL for those from before this column.';

GRANT SELECT, INSERT, UPDATE (blobs, bytes) ON shacache.account_usage TO shacache_worker;
GRANT SELECT, INSERT, UPDATE (lifted_at, lifted_by) ON shacache.withdrawal TO shacache_worker;
GRANT INSERT ON shacache.audit TO shacache_worker;
GRANT UPDATE (withdrawal_id, is_shared) ON shacache.blob TO shacache_worker;
GRANT UPDATE (withdrawal_id, is_shared) ON shacache.entry TO shacache_worker;

GRANT SELECT, INSERT, UPDATE (blobs, bytes) ON shacache.account_usage TO shacache_admin;
GRANT SELECT, INSERT ON shacache.withdrawal TO shacache_admin;
GRANT UPDATE (lifted_at, lifted_by) ON shacache.withdrawal TO shacache_admin;
GRANT UPDATE (
    roles, key_prefixes, bytes_limit, blobs_limit, blob_size_limit, entries_per_day_limit, entries_per_key_limit
) ON shacache.account TO shacache_admin;
GRANT UPDATE (withdrawal_id) ON shacache.blob TO shacache_admin;
GRANT UPDATE (withdrawal_id) ON shacache.entry TO shacache_admin;
GRANT UPDATE (revoked_since) ON shacache.signer TO shacache_admin;
