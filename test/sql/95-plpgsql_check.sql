\i test/setup.psql
-- plpgsql_check, where there is one, reads all bodies: unknown names, wrong types, unused variables, volatility.
-- Skip on: pglite
BEGIN;
SELECT plan(1);

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions AS e
               WHERE e.name = 'plpgsql_check' AND e.installed_version IS NULL) THEN
        CREATE EXTENSION plpgsql_check;
    END IF;
END
$$;

SELECT CASE
    WHEN EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'plpgsql_check') THEN
        is_empty($$
            SELECT p.proname, f.lineno, f.level, f.message, f.detail, f.hint
            FROM pg_proc AS p
            JOIN pg_namespace AS n ON n.oid = p.pronamespace
            JOIN pg_language AS l ON l.oid = p.prolang
            CROSS JOIN LATERAL plpgsql_check_function_tb(p.oid, fatal_errors => false) AS f
            WHERE n.nspname = 'pgq' AND l.lanname = 'plpgsql'
        $$, 'plpgsql_check finds nothing in any function')
    ELSE skip('plpgsql_check is not available', 1)
END;

SELECT * FROM finish();
ROLLBACK;
