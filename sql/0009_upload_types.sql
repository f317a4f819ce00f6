-- The arguments of the functions that store uploads (sql/functions/store_entries.sql, store_blobs.sql).
CREATE TYPE shacache.entry_upload AS (
    account_id bigint,
    certificate bytea,
    identity bigint,
    client_address inet,
    bytes bigint,
    duration interval,
    request_id text,
    key text COLLATE "C",
    metadata text,
    signature text,
    digest bytea,
    sha512 bytea,
    signature_result text,
    signer_id bigint,
    signers numeric,
    software_url text,
    multiarch text,
    os text[]
);
COMMENT ON TYPE shacache.entry_upload IS
    'An entry to store. identity and signers: the values of identity_of and signers_version when the account and the '
    'signers were read for its checks; NULL: they are not compared.';

CREATE TYPE shacache.blob_upload AS (
    account_id bigint,
    certificate bytea,
    identity bigint,
    client_address inet,
    bytes bigint,
    duration interval,
    request_id text,
    sha512 bytea
);
COMMENT ON TYPE shacache.blob_upload IS 'A blob to store. identity: as in entry_upload.';
