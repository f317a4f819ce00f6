-- The schemas, and what every role may do there. The rights on a table are granted beside it.
--
-- shacache.migration and shacache.repeatable are made by `shacache-admin migrate`, which runs these files.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
DO $$
BEGIN
    -- Temporary tables could fill the disk.
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format(
        'GRANT CONNECT ON DATABASE %I TO shacache_worker, shacache_admin, shacache_report, shacache_page',
        current_database());
END
$$;

-- Only the owner alters tables, and no role of a running service deletes.
GRANT USAGE ON SCHEMA shacache TO shacache_worker, shacache_admin, shacache_page;
GRANT SELECT ON shacache.migration TO shacache_worker, shacache_admin;

-- Views run with their owner's rights: a role that reads them needs none on the tables. Migrations drop and create them
-- (sql/report, sql/page), so that their rights are those that any new view of the schema gets.
CREATE SCHEMA report;
GRANT USAGE ON SCHEMA report TO shacache_report, shacache_admin;
ALTER DEFAULT PRIVILEGES IN SCHEMA report GRANT SELECT ON TABLES TO shacache_report, shacache_admin;

CREATE SCHEMA page;
GRANT USAGE ON SCHEMA page TO shacache_page;
ALTER DEFAULT PRIVILEGES IN SCHEMA page GRANT SELECT ON TABLES TO shacache_page;
