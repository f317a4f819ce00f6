-- What upstreams last said of keys. Lookups list it beside the entries that were put here. All of it can be asked for again.
CREATE TABLE shacache.fetched_key (
    key text COLLATE "C" PRIMARY KEY,
    upstream_id bigint NOT NULL REFERENCES shacache.upstream,
    answered_at timestamptz NOT NULL DEFAULT now(),
    wanted_at timestamptz,
    list_digest bytea NOT NULL,
    bytes bigint NOT NULL,
    refused_pairs integer NOT NULL,
    refusal text,
    CONSTRAINT key_is_not_empty_nor_long CHECK (octet_length(key) BETWEEN 1 AND 1024),
    CONSTRAINT list_digest_is_sha256 CHECK (octet_length(list_digest) = 32),
    CONSTRAINT what_was_refused_has_a_reason CHECK ((refused_pairs = 0) = (refusal IS NULL))
);
CREATE INDEX fetched_key_wanted ON shacache.fetched_key (wanted_at) WHERE wanted_at IS NOT NULL;
COMMENT ON TABLE shacache.fetched_key IS
    'The keys for which an upstream was asked, and had a list. What it has none of is not noted.';
COMMENT ON COLUMN shacache.fetched_key.answered_at IS 'When it last said so: from then on the list ages.';
COMMENT ON COLUMN shacache.fetched_key.wanted_at IS
    'A lookup found the list stale, and the fetcher is to ask again; NULL: it isn''t, or it has begun to.';
COMMENT ON COLUMN shacache.fetched_key.list_digest IS
    'SHA-256 of the list and of what its pairs were judged by: as long as it is the same, nothing is written anew.';
COMMENT ON COLUMN shacache.fetched_key.bytes IS 'Of the metadata and signatures that are kept.';
COMMENT ON COLUMN shacache.fetched_key.refused_pairs IS 'Pairs of the list that would not be taken from a client either.';
COMMENT ON COLUMN shacache.fetched_key.refusal IS 'Why the first of them is not.';

CREATE TABLE shacache.fetched_entry (
    key text COLLATE "C" NOT NULL REFERENCES shacache.fetched_key ON DELETE CASCADE,
    position integer NOT NULL,
    metadata text NOT NULL,
    signature text NOT NULL,
    digest bytea NOT NULL,
    sha512 bytea NOT NULL,
    signature_result text NOT NULL,
    signer_id bigint,
    PRIMARY KEY (key, position),
    CONSTRAINT pair_is_once_under_its_key UNIQUE (key, digest),
    CONSTRAINT digest_is_sha256 CHECK (octet_length(digest) = 32),
    CONSTRAINT sha512_is_sha512 CHECK (octet_length(sha512) = 64),
    CONSTRAINT signature_result_is_known CHECK (signature_result IN ('verified', 'unsigned', 'unknown signer')),
    CONSTRAINT signer_is_who_verified CHECK ((signature_result = 'verified') = (signer_id IS NOT NULL))
);
CREATE INDEX fetched_entry_by_sha512 ON shacache.fetched_entry (sha512);
COMMENT ON TABLE shacache.fetched_entry IS 'The pairs of the lists, byte for byte and in their order. As in shacache.entry.';
GRANT SELECT, INSERT, DELETE ON shacache.fetched_key, shacache.fetched_entry TO shacache_worker;
GRANT UPDATE (upstream_id, answered_at, wanted_at, list_digest, bytes, refused_pairs, refusal) ON shacache.fetched_key
    TO shacache_worker;
GRANT SELECT ON shacache.fetched_key, shacache.fetched_entry TO shacache_admin, shacache_collector;
