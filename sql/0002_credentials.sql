-- Passwords in URLs. Deployed clients write the URL that they were given into what they sign: it stays, byte for byte,
-- since it is signed, but no report shows it.
--
-- The rules are those of `withoutCredentials` in Sources/ShaCache, with one table of tests for both. An index is made
-- of them: a migration that changes one rebuilds upload_by_key.
CREATE FUNCTION shacache.url_without_credentials(url text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN url !~ '[@%]' THEN url ELSE (
    SELECT regexp_replace(
        CASE
            WHEN authority ~ '@' THEN beginning || regexp_replace(rest, '^[^/?#]*@', '')
            -- No port follows: so the password has an unescaped delimiter.
            WHEN rest ~ '@' AND authority !~ '^(?:\[[^]]*|[^:]*)[]:]*[0-9]*$' THEN beginning || regexp_replace(rest, '^.*@', '')
            ELSE url
        END,
        -- URLs in the URL.
        '((?::|%3a)(?:/|%2f){2})(?:(?!%2f|%3f|%23|%26)[^/?#&])*(?:@|%40)', '\1', 'gi')
    FROM (
        SELECT coalesce(
            substring(url, '(?i)^(?:https?|ftps?):/*'),
            substring(url, '^//+'),
            substring(url, '(?i)^(?:(?!(?::|%3a)(?:/|%2f){2}).)*(?::|%3a)(?:/|%2f){2}')) AS beginning
    ) AS first
    CROSS JOIN LATERAL (SELECT substr(url, length(beginning) + 1) AS rest) AS second
    CROSS JOIN LATERAL (SELECT substring(rest, '^[^/?#]*') AS authority) AS third
) END;
COMMENT ON FUNCTION shacache.url_without_credentials(text) IS 'A URL without its user and password, if any.';

CREATE FUNCTION shacache.words_without_credentials(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT string_agg(shacache.url_without_credentials(piece[1]) || piece[2], '' ORDER BY nth)
    FROM regexp_matches(value, '([^\x01-\x20"<>]*)([\x01-\x20"<>]|$)', 'g') WITH ORDINALITY AS pieces (piece, nth)
);
-- Neither this nor `urls_with_credentials` is STRICT or has a query, so that PostgreSQL inlines it: of ten million keys
-- few have one of these characters.
CREATE FUNCTION shacache.without_credentials(value text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN value !~ '[@%]' THEN value ELSE shacache.words_without_credentials(value) END;
COMMENT ON FUNCTION shacache.without_credentials(text) IS 'A text in which no URL has a user or a password.';

-- For an index: PostgreSQL would inline the function above anew at each upload, which took a sixth of its time.
-- SECURITY DEFINER, since the role that reads reports has no rights in this schema.
CREATE FUNCTION shacache.key_without_credentials(key text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SECURITY DEFINER AS $$
BEGIN
    IF key OPERATOR(pg_catalog.!~) '[@%]' THEN
        RETURN key;
    END IF;
    RETURN shacache.words_without_credentials(key);
END
$$;
COMMENT ON FUNCTION shacache.key_without_credentials(text) IS 'A key as reports show it.';

CREATE FUNCTION shacache.without_credentials(value text[]) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ARRAY(
    SELECT shacache.without_credentials(element)
    FROM unnest(value) WITH ORDINALITY AS elements (element, nth) ORDER BY nth);

-- JSON may write any of these as an escape.
CREATE FUNCTION shacache.words_with_credentials(document text) RETURNS text[]
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT array_agg(DISTINCT shown COLLATE "C")
    FROM regexp_replace(document, '\\u0040', '@', 'gi') AS a (text)
    CROSS JOIN regexp_replace(a.text, '\\u003a', ':', 'gi') AS b (text)
    CROSS JOIN regexp_replace(b.text, '\\u0025', '%', 'gi') AS c (text)
    CROSS JOIN regexp_replace(c.text, '\\u002f|\\/', '/', 'gi') AS d (text)
    CROSS JOIN regexp_matches(d.text, '[^\x01-\x20"<>]+', 'g') AS word
    CROSS JOIN shacache.url_without_credentials(word[1]) AS shown
    WHERE shown <> word[1]
);
CREATE FUNCTION shacache.urls_with_credentials(document text) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN document ~ '@|%40|\\u0040' THEN shacache.words_with_credentials(document) END;
COMMENT ON FUNCTION shacache.urls_with_credentials(text) IS
    'The URLs of a text, be it JSON, that have a user or a password; without it. NULL: there are none.';
