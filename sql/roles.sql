-- The six roles of a ShaCache database. They belong to the whole cluster, so a
-- superuser runs this file once, before the first migration; running it again is harmless.
-- How each role authenticates (peer, password, certificate) is set in pg_hba.conf.
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY[
        'shacache_owner', 'shacache_worker', 'shacache_admin', 'shacache_collector', 'shacache_report', 'shacache_page']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', role);
        END IF;
    END LOOP;
END
$$;

COMMENT ON ROLE shacache_owner IS 'Owns the schema; only `shacache-admin migrate` logs in as it.';
COMMENT ON ROLE shacache_worker IS
    'What shacached may do: look up, add, hide; never alter or delete what was uploaded.';
COMMENT ON ROLE shacache_admin IS 'What shacache-admin may do: accounts, certificates, signers, and their audit.';
COMMENT ON ROLE shacache_collector IS
    'What `shacache-admin collect` may do: hide and delete what retention policies and operators let go.';
COMMENT ON ROLE shacache_report IS 'Reads the views of the schema report and nothing else.';

COMMENT ON ROLE shacache_page IS 'What shacache-page may do: read what its web pages show.';

-- A 201 is a promise, whatever the server's default is. With a synchronous standby, set it to remote_apply, which stays.
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_db_role_setting
        WHERE setrole = 'shacache_worker'::regrole AND setdatabase = 0
            AND 'synchronous_commit=remote_apply' = ANY (setconfig)) THEN
        ALTER ROLE shacache_worker SET synchronous_commit = on;
    END IF;
END
$$;
-- A disk that hangs in the middle of an upload: its session ends before its day is closed (an hour after its end), so
-- that nothing commits behind that. Nothing was acknowledged: the upload is a 503.
ALTER ROLE shacache_worker SET idle_in_transaction_session_timeout = '30min';

-- A report that is left running must not hold back vacuum for hours.
ALTER ROLE shacache_report SET statement_timeout = '5min';
ALTER ROLE shacache_report SET default_transaction_read_only = on;
-- Nor must a client that stops reading in the middle of a result; and no report may fill the disk of the database.
ALTER ROLE shacache_report SET idle_in_transaction_session_timeout = '10min';
ALTER ROLE shacache_report SET temp_file_limit = '4GB';

-- Nor must the page, which is public.
ALTER ROLE shacache_page SET statement_timeout = '5s';
ALTER ROLE shacache_page SET default_transaction_read_only = on;
-- And it has its own share: four sessions of each host, one process for each, and no more of the server's connections.
ALTER ROLE shacache_page SET max_parallel_workers_per_gather = 0;
ALTER ROLE shacache_page CONNECTION LIMIT 20;

-- The page shows the reports to operators, and to everybody their sums by day.
GRANT shacache_report TO shacache_page;
