-- Makes the database and grants each role what it needs. Connected to postgres; superuser, database, and each role
-- that is wanted are variables.
\if :{?exporter}
GRANT pg_monitor TO :"exporter";
\endif
\if :{?backup}
GRANT pg_read_all_data TO :"backup";
\endif

-- A database that is dropped and made again by hand comes from this template, and so has the same grants.
\connect template1
\ir grants.sql
\connect postgres
SELECT format('CREATE DATABASE %I', :'database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
\connect :database
\ir grants.sql

REVOKE CONNECT, TEMPORARY ON DATABASE :"database", postgres, template1 FROM PUBLIC;
\if :{?owner}
ALTER DATABASE :"database" OWNER TO :"owner";
GRANT CONNECT, TEMPORARY ON DATABASE :"database" TO :"loader";
GRANT CONNECT ON DATABASE :"database" TO :"api", :"reader";
\echo '✓' :database belongs to :owner; :loader, :api and :reader have their grants
\endif
\if :{?exporter}
GRANT CONNECT ON DATABASE :"database" TO :"exporter";
\endif
\if :{?backup}
GRANT CONNECT ON DATABASE :"database", postgres TO :"backup";
\endif
