\i test/setup.psql
-- What only the extension has: membership, rows that pg_dump carries, and how it is dropped.
-- Skip on: plain
BEGIN;
SELECT plan(6);

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

-- Triggers of add_job_on_change are no members, so that pg_dump carries them with their tables.

CREATE TEMPORARY TABLE customer (customer_id integer);
DO $$ BEGIN PERFORM pgq.add_job_on_change('welcome', 'customer', 'mail'); END $$;
SELECT lives_ok('DROP EXTENSION pgq', 'triggers on tables of the user do not keep the extension from being dropped');
SELECT lives_ok('INSERT INTO customer VALUES (1)', 'and go with it');

SELECT * FROM finish();
ROLLBACK;
