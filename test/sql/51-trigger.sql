\i test/setup.psql
-- Jobs on change: what a statement on a table adds, and what becomes of the triggers when the table changes.
-- (47-change has whose rights they have.)
BEGIN;
SELECT plan(42);

\i test/fixtures/clock.sql

CREATE TEMPORARY TABLE customer (customer_id integer PRIMARY KEY, email text, "The City" text, note text);
-- The jobs that were added since the last look, as it is said by an expression over them.
CREATE TEMPORARY TABLE seen (job_id bigint);
CREATE FUNCTION pg_temp.new(queue_name text DEFAULT 'mail')
RETURNS SETOF pgq.job_status
LANGUAGE sql
AS $$
    WITH new AS (
        INSERT INTO seen (job_id)
        SELECT l.job_id FROM pgq.list_jobs(queue_name, max_jobs => 10000) AS l WHERE l.job_id NOT IN (SELECT s.job_id FROM seen AS s)
        RETURNING job_id
    )
    SELECT l.* FROM new AS n JOIN pgq.list_jobs(queue_name, max_jobs => 10000) AS l ON l.job_id = n.job_id ORDER BY l.job_id
$$;
CREATE FUNCTION pg_temp.ids()
RETURNS text
LANGUAGE sql
AS $$ SELECT coalesce(string_agg(format('%s %s', n.headers ->> 'event', n.payload ->> 'customer_id'), ', ' ORDER BY n.job_id), '') FROM pg_temp.new() AS n $$;
CREATE FUNCTION pg_temp.triggers(name text DEFAULT 'welcome')
RETURNS bigint[]
LANGUAGE sql
AS $$ SELECT array_agg(t.oid::bigint ORDER BY t.oid) FROM pg_trigger AS t WHERE t.tgname LIKE format('pgq_%s_%%', name) $$;

-- What is added

SELECT results_eq(
    $$ SELECT j.trigger_name, j.table_name, j.queue_name, j.events, j.on_conflict, j.priority, j.problem
       FROM pgq.add_job_on_change('welcome', 'customer', 'mail') AS j $$,
    $$ VALUES ('welcome', 'customer', 'mail', '{insert,update}'::text[], 'skip', 0, NULL::text) $$,
    'triggers are set up on a table, with the documented defaults');
INSERT INTO customer VALUES (1, 'ada@example.org', 'London', NULL);
SELECT results_eq(
    $$ SELECT n.queue_name, n.payload, n.headers, n.state, n.priority, n.start_after, n.unique_key, n.group_key FROM pg_temp.new() AS n $$,
    $$ VALUES ('mail', '{"customer_id": 1, "email": "ada@example.org", "The City": "London", "note": null}'::jsonb,
               '{"trigger": "welcome", "event": "insert"}'::jsonb, 'ready', 0, pgq._now(), NULL::text, NULL::text) $$,
    'a row that is inserted adds a job, whose payload it is');
INSERT INTO customer VALUES (2, 'bob@example.org'), (3, 'cy@example.org');
SELECT is(pg_temp.ids(), 'insert 2, insert 3', 'a job for each row of a statement');
UPDATE customer SET email = upper(email) WHERE customer_id > 1;
SELECT is(pg_temp.ids(), 'update 2, update 3', 'and for each that is updated, with its new values');
INSERT INTO customer VALUES (3, 'x'), (4, 'x') ON CONFLICT (customer_id) DO UPDATE SET note = 'again';
SELECT is(pg_temp.ids(), 'update 3, insert 4', 'an upsert adds both');
UPDATE customer SET email = NULL WHERE customer_id = 0;
DELETE FROM customer WHERE customer_id = 4;
SELECT is(pg_temp.ids(), '', 'a statement that changes no row adds nothing, nor does a deletion');
SAVEPOINT before;
INSERT INTO customer VALUES (5);
ROLLBACK TO SAVEPOINT before;
SELECT is(pg_temp.ids(), '', 'a change that is undone has added nothing');

DO $$ BEGIN PERFORM pgq.add_job_on_change('welcome', 'customer', 'mail', events => '{delete,insert,insert}'); END $$;
INSERT INTO customer VALUES (6);
UPDATE customer SET note = 'x' WHERE customer_id = 6;
DELETE FROM customer WHERE customer_id = 6;
SELECT is(pg_temp.ids(), 'insert 6, delete 6', 'the events can be chosen; of a row that is deleted the payload is what it was');

-- Which rows

DO $$ BEGIN
    PERFORM pgq.add_job_on_change('welcome', 'customer', 'mail', condition => $c$"The City" <> 'Rome' AND changed.customer_id < 100 -- not all$c$);
END $$;
INSERT INTO customer VALUES (10, NULL, 'Rome'), (11, NULL, 'Paris'), (12, NULL, NULL), (101, NULL, 'Paris');
SELECT is(pg_temp.ids(), 'insert 11', 'rows for which the condition is not true add nothing');
DO $$ BEGIN PERFORM pgq.add_job_on_change('welcome', 'customer', 'mail', when_changed => '{email,"The City"}'); END $$;
INSERT INTO customer VALUES (13);
UPDATE customer SET note = 'new', email = email WHERE customer_id <= 13;
UPDATE customer SET "The City" = 'Paris' WHERE customer_id IN (10, 11, 12);
UPDATE customer SET customer_id = 14 WHERE customer_id = 13;
SELECT is(
    pg_temp.ids(), 'insert 13, update 10, update 12, update 14',
    'with when_changed an updated row counts only if one of these columns, or its primary key, has changed');

-- What the jobs are like

DO $$ BEGIN
    PERFORM pgq.add_job_on_change('welcome', 'customer', 'mail', payload_columns => '{"The City",customer_id}', priority => 3, max_attempts => 2,
        group_key => '"The City"', delay_milliseconds => 60000, headers => '{"a": 1}');
END $$;
INSERT INTO customer VALUES (20, 'x', 'Oslo'), (21, 'x', NULL);
SELECT results_eq(
    $$ SELECT n.payload, n.priority, n.max_attempts, n.group_key, n.headers, n.start_after BETWEEN now() AND now() + interval '1 hour'
       FROM pg_temp.new() AS n $$,
    $$ VALUES ('{"The City": "Oslo", "customer_id": 20}'::jsonb, 3, 2, 'Oslo', '{"a": 1, "trigger": "welcome", "event": "insert"}'::jsonb, true),
              ('{"The City": null, "customer_id": 21}'::jsonb, 3, 2, NULL, '{"a": 1, "trigger": "welcome", "event": "insert"}'::jsonb, true) $$,
    'a job has the columns, the group and the options that were asked for');
DO $$ BEGIN
    PERFORM pgq.add_job_on_change('welcome', 'customer', 'keys', unique_key => $k$'city-' || "The City"$k$, on_conflict => 'replace');
END $$;
INSERT INTO customer VALUES (30, 'first', 'Bern'), (31, 'x', NULL), (32, 'last', 'Bern');
UPDATE customer SET email = 'later' WHERE customer_id = 30;
SELECT results_eq(
    $$ SELECT n.unique_key, n.payload ->> 'email' FROM pg_temp.new('keys') AS n ORDER BY n.unique_key $$,
    $$ VALUES ('city-Bern', 'later'), (NULL, 'x') $$,
    'rows with one key have one job, within a statement and with the next');
DO $$ BEGIN
    PERFORM pgq.add_job_on_change('welcome', 'customer', 'keys', unique_key => 'customer_id', on_conflict => 'throttle', throttle_milliseconds => 5);
END $$;
INSERT INTO customer VALUES (33);
SELECT is((SELECT n.unique_key FROM pg_temp.new('keys') AS n), '33', 'a key may be a column of any type');
INSERT INTO customer SELECT g FROM generate_series(1000, 25999) AS g;
SELECT is((SELECT s.ready FROM pgq.queue_stats('keys') AS s), 25003::bigint, 'a statement may change many thousand rows');
DO $$ BEGIN PERFORM pgq.remove_job_on_change('welcome'); END $$;

-- Runs of workflows

SELECT throws_ok(
    $$ SELECT pgq.add_job_on_change('welcome', 'customer', 'flow', workflow => 'w') $$, 'JQ007', NULL, 'a workflow must be defined');
DO $$ BEGIN
    PERFORM pgq.define_workflow('flow', 'w', 1, '[{"id": "one"}, {"id": "two"}]');
    PERFORM pgq.add_job_on_change('welcome', 'customer', 'flow', workflow => 'w');
END $$;
INSERT INTO customer VALUES (35);
SELECT results_eq(
    $$ SELECT n.payload ->> 'customer_id', n.workflow, n.workflow_version, n.step FROM pg_temp.new('flow') AS n $$,
    $$ VALUES ('35', 'w', 1, 'one') $$, 'a change of a row may start a run');

-- By name

DO $$ BEGIN PERFORM pgq.add_job_on_change('welcome', 'customer', 'mail', unique_key => 'customer_id'); END $$;
CREATE TEMPORARY TABLE before AS SELECT pg_temp.triggers() AS triggers;
DO $$ BEGIN PERFORM pgq.add_job_on_change('welcome', 'customer', 'mail', events => '{update,insert}', unique_key => 'customer_id'); END $$;
SELECT is(pg_temp.triggers(), (SELECT b.triggers FROM before AS b), 'what is set up already is left alone');
DO $$ BEGIN PERFORM pgq.add_job_on_change('second', 'customer', 'other', events => '{insert}'); END $$;
INSERT INTO customer VALUES (40);
SELECT is(
    ((SELECT count(*) FROM pg_temp.new()), (SELECT count(*) FROM pg_temp.new('other'))), (1::bigint, 1::bigint),
    'a table may have several, each with its name');
CREATE TEMPORARY TABLE guest (customer_id integer);
DO $$ BEGIN
    PERFORM pgq.add_job_on_change('welcome', 'guest', 'mail');
    PERFORM pgq.add_job_on_change('second', 'guest', 'other', events => '{insert}');
END $$;
INSERT INTO customer VALUES (41);
INSERT INTO guest VALUES (42);
SELECT is(pg_temp.ids(), 'insert 42', 'set up on another table, it leaves the first');
SELECT is((SELECT count(*) FROM pg_temp.new('other')), 1::bigint, 'so does the other');
SELECT results_eq(
    $$ SELECT j.trigger_name, j.table_name ~ 'guest$' FROM pgq.list_jobs_on_change() AS j $$, $$ VALUES ('second', true), ('welcome', true) $$,
    'a list shows all');
SELECT results_eq(
    $$ SELECT j.trigger_name FROM pgq.list_jobs_on_change('other') AS j $$, ARRAY['second'], 'or those of one queue');
SELECT throws_ok($$ SELECT pgq.list_jobs_on_change('never') $$, 'JQ001', 'queue "never" not found', 'which must be there');
SELECT ok(pgq.remove_job_on_change('second') AND NOT pgq.remove_job_on_change('second'), 'they can be removed, once');
INSERT INTO guest VALUES (43);
DO $$ BEGIN PERFORM pg_temp.new(); END $$;
SELECT is(
    ((SELECT count(*) FROM pg_temp.new('other')), pg_temp.triggers('second'),
     (SELECT count(*) FROM pg_proc AS p WHERE p.proname = '_on_change_second')), (0::bigint, NULL::bigint[], 0::bigint),
    'and then nothing is left of them');

-- What is wrong is told, and nothing is left of it

SELECT throws_ok(
    format('SELECT pgq.add_job_on_change(%L, %L, %L, condition => %L)', 'wrong', 'customer', 'mail', w.condition), w.code, w.message,
    'a condition that cannot be: ' || w.condition)
FROM (VALUES
    ('colour = 1', '42703', 'column "colour" does not exist'),
    ('customer_id', '42804', 'argument of WHERE must be type boolean, not type integer'),
    ('no_such_function(email)', '42883', NULL),
    ('true)) AS x; DROP TABLE customer; --', '42601', NULL)) AS w (condition, code, message);
SELECT throws_ok(
    $$ SELECT pgq.add_job_on_change('wrong', 'customer', 'mail', payload_columns => '{email,colour}') $$, '42703',
    'column changed.colour does not exist', 'a column that does not exist');
SELECT throws_ok(
    $$ SELECT pgq.add_job_on_change('wrong', 'guest', 'mail', when_changed => '{customer_id}') $$, '55000', NULL,
    'when_changed without a primary key');
CREATE TEMPORARY VIEW view AS SELECT 1 AS a;
SELECT throws_like(
    format('SELECT pgq.add_job_on_change(%L, %L, %L)', 'wrong', t.name, 'mail'),
    'expected table_name to be an ordinary or a partitioned table, got %', 'not a table for it: ' || t.name)
FROM unnest(ARRAY['view', 'pgq.job']) AS t (name);
SELECT is(
    (pg_temp.triggers('wrong'), (SELECT count(*) FROM pg_proc AS p WHERE p.proname LIKE '\_on\_change\_wrong')), (NULL::bigint[], 0::bigint),
    'none of this has left anything behind');

-- When the table changes

DO $$ BEGIN
    PERFORM pgq.add_job_on_change('welcome', 'customer', 'mail', when_changed => '{note}', condition => 'email IS NOT NULL');
END $$;
ALTER TABLE customer RENAME COLUMN note TO remark;
SELECT is((SELECT j.problem FROM pgq.list_jobs_on_change() AS j), 'column "note" does not exist', 'a column that is gone is told by the list');
SELECT throws_ok($$ UPDATE customer SET remark = 'x' $$, '42703', 'column former.note does not exist', 'and by the next change of a row');
DO $$ BEGIN PERFORM pgq.add_job_on_change('welcome', 'customer', 'mail', when_changed => '{remark}', condition => 'email IS NOT NULL'); END $$;
UPDATE customer SET remark = 'x' WHERE customer_id = 1;
SELECT is(pg_temp.ids(), 'update 1', 'until it is set up anew');
ALTER TABLE customer DISABLE TRIGGER pgq_welcome_insert;
SELECT is((SELECT j.problem FROM pgq.list_jobs_on_change() AS j), 'a trigger was dropped or disabled', 'a trigger that is disabled is told');
DO $$ BEGIN PERFORM pgq.add_job_on_change('welcome', 'customer', 'mail', when_changed => '{remark}', condition => 'email IS NOT NULL'); END $$;
INSERT INTO customer VALUES (50, 'x');
SELECT is(pg_temp.ids(), 'insert 50', 'and enabled by setting it up again');
DROP TABLE customer;
SELECT row_eq(
    $$ SELECT j.table_name, j.problem FROM pgq.list_jobs_on_change() AS j $$, ROW (NULL::text, 'the table was dropped'::text),
    'so is a table that was dropped');
SELECT ok(pgq.remove_job_on_change('welcome'), 'its triggers went with it, the rest can be removed');

-- Partitions

CREATE TEMPORARY TABLE sale (sale_id integer, customer_id integer, PRIMARY KEY (sale_id)) PARTITION BY RANGE (sale_id);
CREATE TEMPORARY TABLE sale_1 PARTITION OF sale FOR VALUES FROM (0) TO (10);
CREATE TEMPORARY TABLE sale_2 PARTITION OF sale FOR VALUES FROM (10) TO (20);
DO $$ BEGIN PERFORM pgq.add_job_on_change('sale', 'sale', 'mail', when_changed => '{customer_id}'); END $$;
INSERT INTO sale VALUES (1, 101), (11, 102), (12, 103);
UPDATE sale SET customer_id = customer_id + 100 WHERE sale_id < 12;
SELECT is(
    pg_temp.ids(), 'insert 101, insert 102, insert 103, update 201, update 202', 'a partitioned table counts as one');

SELECT * FROM finish();
ROLLBACK;
