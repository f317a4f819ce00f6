-- Who may do what. Nobody but the owner alters tables, and no role of a running service deletes.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
DO $$
BEGIN
    -- Temporary tables could fill the disk.
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format(
        'GRANT CONNECT ON DATABASE %I TO shacache_worker, shacache_admin, shacache_report', current_database());
END
$$;
GRANT USAGE ON SCHEMA shacache TO shacache_worker, shacache_admin;

GRANT SELECT ON shacache.account, shacache.certificate, shacache.signer, shacache.migration TO shacache_worker;
GRANT SELECT, INSERT ON shacache.blob, shacache.entry, shacache.upload TO shacache_worker;
GRANT UPDATE (last_referenced_at) ON shacache.blob TO shacache_worker;

GRANT SELECT ON ALL TABLES IN SCHEMA shacache TO shacache_admin;
GRANT INSERT ON shacache.account, shacache.certificate, shacache.signer, shacache.audit TO shacache_admin;
GRANT UPDATE (disabled_at) ON shacache.account TO shacache_admin;
GRANT UPDATE (revoked_at) ON shacache.certificate TO shacache_admin;
GRANT UPDATE (revoked_at) ON shacache.signer TO shacache_admin;
