\i test/setup.psql
-- Whose rights the triggers of add_job_on_change have: those of the table's owner, whoever changes a row.
-- Skip on: non-superuser
BEGIN;
SELECT plan(13);

CREATE ROLE pgq_test_owner;
CREATE ROLE pgq_test_writer;
CREATE ROLE pgq_test_admin;
CREATE SCHEMA app;
GRANT USAGE ON SCHEMA app TO pgq_test_owner, pgq_test_writer, pgq_test_admin;
CREATE TABLE app.customer (customer_id integer PRIMARY KEY, email text);
ALTER TABLE app.customer OWNER TO pgq_test_owner;
GRANT INSERT ON app.customer TO pgq_test_writer;
-- Who evaluates what was given, when it is set up and when a row changes.
CREATE FUNCTION app.who(customer_id integer)
RETURNS text
LANGUAGE sql
STABLE
AS $$ SELECT current_user::text $$;
CREATE FUNCTION app.trap(customer_id integer)
RETURNS boolean
LANGUAGE plpgsql
IMMUTABLE
AS $$ BEGIN RAISE EXCEPTION 'run by %', current_user; END $$;
CREATE FUNCTION pg_temp.try_as(role name, query text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_value text;
BEGIN
    PERFORM set_config('role', role, true);
    IF query ~ '^ INSERT' THEN
        EXECUTE query;
    ELSE
        EXECUTE query INTO v_value;
    END IF;
    PERFORM set_config('role', 'none', true);
    RETURN v_value;
EXCEPTION WHEN OTHERS THEN
    RETURN format('%s %s', SQLSTATE, SQLERRM);
END
$$;
DO $$ BEGIN
    PERFORM pgq.grant_access('pgq_test_admin', 'admin');
    PERFORM pgq.grant_access('pgq_test_owner', 'admin');
END $$;

SELECT is(
    pg_temp.try_as('pgq_test_admin', $$ SELECT (pgq.add_job_on_change('welcome', 'app.customer', 'mail')).queue_name $$),
    '42501 must be owner of table app.customer', 'an admin of the queue who does not own the table cannot set triggers up');
SELECT is(
    pg_temp.try_as('pgq_test_writer', $$ SELECT (pgq.add_job_on_change('welcome', 'app.customer', 'mail')).queue_name $$),
    (SELECT '42501 permission denied for schema ' || n.nspname FROM pg_namespace AS n WHERE n.nspname = 'pgq'), 'nor can others');
SELECT is(
    pg_temp.try_as('pgq_test_owner', $$ SELECT (pgq.add_job_on_change('welcome', 'app.customer', 'mail')).queue_name $$),
    '42501 role "pgq_test_owner", which owns the table, may not add jobs', 'the owner of the table must be a producer');
DO $$ BEGIN PERFORM pgq.grant_access('pgq_test_owner', 'producer'); END $$;
SELECT is(
    pg_temp.try_as('pgq_test_owner', $$ SELECT (pgq.add_job_on_change('welcome', 'app.customer', 'mail', condition => 'app.trap(1)')).queue_name $$),
    'P0001 run by pgq_test_owner', 'what is given is planned with the rights of the owner of the table, not with those of the queue''s');
SELECT is(
    pg_temp.try_as('pgq_test_owner', $$ SELECT (pgq.add_job_on_change('welcome', 'app.customer', 'mail', group_key => 'app.who(customer_id)')).queue_name $$),
    'mail', 'then the owner can set triggers up');
SELECT is(
    pg_temp.try_as('pgq_test_writer', $$ INSERT INTO app.customer VALUES (1) $$), NULL,
    'who may insert a row may do so, without any access to the queue');
SELECT is(
    (SELECT l.group_key FROM pgq.list_jobs('mail') AS l), 'pgq_test_owner', 'and it is evaluated with the rights of the owner of the table');
SELECT is_empty($$
    SELECT acl.grantee FROM pg_proc AS p, aclexplode(p.proacl) AS acl
    WHERE p.proname = '_on_change_welcome' AND acl.grantee <> p.proowner
$$, 'nobody else can use the function for triggers of their own');
SELECT is(
    pg_temp.try_as('pgq_test_admin', $$ SELECT pgq.remove_job_on_change('welcome') $$), '42501 must be owner of table app.customer',
    'nor can who does not own the table remove them');

-- A restricted queue

DO $$ BEGIN PERFORM pgq.grant_access('pgq_test_admin', 'admin', 'mail'); END $$;
SELECT is(
    pg_temp.try_as('pgq_test_writer', $$ INSERT INTO app.customer VALUES (2) $$),
    '42501 no producer access to queue "mail"', 'when the queue is restricted, who changes a row must have access to it');
SELECT is(
    pg_temp.try_as('pgq_test_owner', $$ SELECT pgq.remove_job_on_change('welcome') $$), '42501 no admin access to queue "mail"',
    'and who sets up or removes triggers must be an admin of it');
DO $$ BEGIN PERFORM pgq.grant_access('pgq_test_owner', 'admin', 'mail'); END $$;
ALTER TABLE app.customer OWNER TO pgq_test_admin;
SELECT is(
    (SELECT j.problem FROM pgq.list_jobs_on_change('mail') AS j), 'the table has another owner now', 'a new owner of the table is told by the list');
DO $$ BEGIN PERFORM pgq.grant_access('pgq_test_admin', 'producer'); END $$;
SELECT is(
    pg_temp.try_as('pgq_test_admin', $$ SELECT (pgq.add_job_on_change('welcome', 'app.customer', 'mail', group_key => 'app.who(customer_id)')).problem IS NULL $$),
    'true', 'and sets them up anew');

SELECT * FROM finish();
ROLLBACK;
