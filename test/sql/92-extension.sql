\i test/setup.psql
-- What only the extension has: membership, and rows that pg_dump carries.
-- Skip on: plain
BEGIN;
SELECT plan(4);

SELECT is(
    (SELECT e.extversion FROM pg_extension AS e WHERE e.extname = 'pgq'),
    pgq.installed_version(),
    'the SQL knows its version');

SELECT is_empty($$
    SELECT c.relname FROM pg_class AS c
    WHERE c.relnamespace = 'pgq'::regnamespace AND c.relkind IN ('r', 'S')
      AND NOT EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'pgq' AND c.oid = ANY (e.extconfig))
$$, 'every table and sequence is marked for pg_dump');

SELECT is_empty($$
    SELECT c.relname FROM pg_class AS c
    WHERE c.relnamespace = 'pgq'::regnamespace AND c.relkind IN ('r', 'p', 'S', 'v')
      AND NOT EXISTS (SELECT FROM pg_depend AS d
                      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
$$, 'every table and sequence is a member of the extension');

SELECT is_empty($$
    SELECT p.proname FROM pg_proc AS p
    WHERE p.pronamespace = 'pgq'::regnamespace
      AND NOT EXISTS (SELECT FROM pg_depend AS d
                      WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
$$, 'every function is a member of the extension');

SELECT * FROM finish();
ROLLBACK;
