-- Grants in the schema public of the current database: on what the owner, or the superuser by hand, makes from now on,
-- and on what is there.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
\if :{?owner}
GRANT USAGE, CREATE ON SCHEMA public TO :"owner";
GRANT USAGE ON SCHEMA public TO :"loader", :"api", :"reader";

ALTER DEFAULT PRIVILEGES FOR ROLE :"owner", :"superuser" IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"loader";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner", :"superuser" IN SCHEMA public GRANT SELECT, INSERT ON TABLES TO :"api";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner", :"superuser" IN SCHEMA public GRANT SELECT ON TABLES TO :"reader";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner", :"superuser" IN SCHEMA public
    GRANT USAGE ON SEQUENCES TO :"api";
-- A load that brings the values of such a column moves its sequence on.
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner", :"superuser" IN SCHEMA public
    GRANT USAGE, SELECT, UPDATE ON SEQUENCES TO :"loader";

-- What the superuser has made goes to the owner, or migrations could not go on from it.
SELECT format('ALTER TABLE %s OWNER TO %I', relation.oid::regclass, :'owner')
FROM pg_class AS relation
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    AND relowner = to_regrole(quote_ident(:'superuser'))
    -- An extension's relation stays with the extension, and a column's sequence goes with its table.
    AND NOT EXISTS (
        SELECT FROM pg_depend
        WHERE classid = 'pg_class'::regclass AND objid = relation.oid AND deptype IN ('a', 'e', 'i')
            AND (deptype = 'e' OR relkind = 'S')
    ) \gexec
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO :"loader";
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO :"api";
GRANT SELECT ON ALL TABLES IN SCHEMA public TO :"reader";
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO :"api";
GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO :"loader";
-- Who may write the tables must not be able to forge their history.
SELECT format('REVOKE INSERT, UPDATE, DELETE ON %s FROM %I, %I', oid::regclass, :'loader', :'api')
FROM pg_class
WHERE relname IN ('refinery_schema_history', 'refinery_schema_history_steps', 'refinery_schema_history_catalog')
    AND relnamespace = 'public'::regnamespace \gexec
-- The API adds orders; what the loads bring, and what is known of them, it only reads. Default privileges cannot tell
-- tables apart, so this holds from the first start on that finds the tables.
SELECT format('REVOKE INSERT ON %s FROM %I', oid::regclass, :'api')
FROM pg_class
WHERE relname IN ('products', 'coupons', 'load_run', 'load_reject') AND relnamespace = 'public'::regnamespace
    AND :'api' NOT IN (:'owner', :'loader') \gexec
\endif
