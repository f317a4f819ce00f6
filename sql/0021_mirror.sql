-- How far `shacache-admin mirror` has come with the feed of an upstream, and what it could not fetch yet.
CREATE TABLE shacache.mirror (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    upstream_id bigint NOT NULL REFERENCES shacache.upstream,
    key_prefix text COLLATE "C" NOT NULL,
    since timestamptz NOT NULL,
    numbering text,
    number bigint NOT NULL DEFAULT 0,
    item_at timestamptz,
    is_following boolean NOT NULL,
    current_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT mirror_is_once UNIQUE (upstream_id, key_prefix, since)
);
COMMENT ON TABLE shacache.mirror IS
    'The feeds that are mirrored. What differs in what is chosen of a feed is another row: each goes on where it was.';
COMMENT ON COLUMN shacache.mirror.key_prefix IS 'Of the keys that are mirrored; empty: all.';
COMMENT ON COLUMN shacache.mirror.since IS 'Only what was accepted or withdrawn from then on; -infinity: all.';
COMMENT ON COLUMN shacache.mirror.numbering IS 'The name of the feed''s numbering; NULL: it was not read yet.';
COMMENT ON COLUMN shacache.mirror.number IS 'All up to it is here, or in mirror_item.';
COMMENT ON COLUMN shacache.mirror.item_at IS 'When the upstream accepted or withdrew the last item that was read.';
COMMENT ON COLUMN shacache.mirror.is_following IS 'It was last run to follow, not once.';
COMMENT ON COLUMN shacache.mirror.current_at IS
    'When all that the feed had was last here, or in mirror_item; before that, when it began.';

CREATE TABLE shacache.mirror_item (
    upstream_id bigint NOT NULL REFERENCES shacache.upstream,
    kind text NOT NULL,
    name text COLLATE "C" NOT NULL,
    reason text NOT NULL,
    is_absent boolean NOT NULL,
    tries integer NOT NULL DEFAULT 1,
    first_at timestamptz NOT NULL DEFAULT now(),
    tried_at timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz NOT NULL,
    PRIMARY KEY (upstream_id, kind, name),
    CONSTRAINT kind_is_known CHECK (kind IN ('key', 'blob', 'hidden blob', 'line'))
);
CREATE INDEX mirror_item_due ON shacache.mirror_item (upstream_id, due_at);
COMMENT ON TABLE shacache.mirror_item IS
    'What a mirror could not fetch, or not let go. It is tried again until that is done, or nothing names it any more.';
COMMENT ON COLUMN shacache.mirror_item.kind IS
    'A hidden blob is one that the upstream withdrew. A line is one of the feed that can''t be read; its name is the number '
    'behind which it stands.';
COMMENT ON COLUMN shacache.mirror_item.is_absent IS 'No upstream has it; false: it failed.';
COMMENT ON COLUMN shacache.mirror_item.due_at IS 'From when on one that follows tries it again.';

GRANT SELECT, INSERT, DELETE, UPDATE (numbering, number, item_at, is_following, current_at) ON shacache.mirror
    TO shacache_admin;
GRANT SELECT, INSERT, DELETE, UPDATE (reason, is_absent, tries, tried_at, due_at) ON shacache.mirror_item
    TO shacache_admin;
GRANT INSERT ON shacache.upstream TO shacache_admin;
-- For the metrics.
GRANT SELECT ON shacache.mirror, shacache.mirror_item TO shacache_worker;
