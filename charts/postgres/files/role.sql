-- Makes the role :role unless it exists, and sets its password to :password.
SELECT :'role' <> :'superuser' AS ordinary \gset
\if :ordinary
SELECT format('CREATE ROLE %I', :'role') WHERE to_regrole(quote_ident(:'role')) IS NULL \gexec
ALTER ROLE :"role" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
\endif
ALTER ROLE :"role" PASSWORD :'password';
\echo '✓' the password of :role is that of the Secret
