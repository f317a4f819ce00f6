-- The numbers of the advisory locks of keys and blobs, which share one space of 64 bits: after a collision, two uploads
-- merely wait for each other. All locks and their order: LockOrder.swift.
CREATE OR REPLACE FUNCTION shacache.key_lock(key text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN hashtextextended(key, 0);
CREATE OR REPLACE FUNCTION shacache.blob_lock(sha512 bytea) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN hashtextextended(encode(sha512, 'hex'), 1);
