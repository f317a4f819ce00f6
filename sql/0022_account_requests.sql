-- What those who have no account ask for: shacached writes it down, and shacache-admin decides.
CREATE TABLE shacache.account_request (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key_sha256 bytea NOT NULL CONSTRAINT account_request_is_once UNIQUE,
    name text COLLATE "C" NOT NULL,
    contact text NOT NULL,
    request text NOT NULL,
    client_address inet NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    decided_at timestamptz,
    fingerprint bytea REFERENCES shacache.certificate,
    reason text,
    CONSTRAINT key_is_sha256 CHECK (octet_length(key_sha256) = 32),
    CONSTRAINT requested_name_is_a_word CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    CONSTRAINT contact_is_short CHECK (char_length(contact) BETWEEN 1 AND 500),
    CONSTRAINT request_is_short CHECK (octet_length(request) <= 30000),
    CONSTRAINT decision_is_one_of_two CHECK (num_nonnulls(fingerprint, reason) = (decided_at IS NOT NULL)::integer)
);
COMMENT ON TABLE shacache.account_request IS
    'Requests for accounts: they wait for an operator, and what was decided waits for who asked. `shacache-admin '
    'maintain` forgets both after a while.';
COMMENT ON COLUMN shacache.account_request.key_sha256 IS
    'Of the public key (DER of SubjectPublicKeyInfo), by which the answer is asked for.';
COMMENT ON COLUMN shacache.account_request.request IS
    'The certificate signing request in PEM. It was verified: who sent it has the private key.';
COMMENT ON COLUMN shacache.account_request.fingerprint IS 'The certificate that was made for it; NULL: not approved.';
COMMENT ON COLUMN shacache.account_request.reason IS 'Why it was refused; NULL: it was not.';
GRANT SELECT, INSERT (key_sha256, name, contact, request, client_address) ON shacache.account_request TO shacache_worker;
GRANT SELECT, DELETE, UPDATE (decided_at, fingerprint, reason) ON shacache.account_request TO shacache_admin;
