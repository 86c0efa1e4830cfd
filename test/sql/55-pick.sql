\i test/setup.psql
-- Pick: which jobs, in which order, with which lease.
BEGIN;
SELECT plan(41);

\i test/fixtures/clock.sql
\i test/fixtures/words.sql

-- What a worker gets

CREATE TEMPORARY TABLE added AS
SELECT a.job_id
FROM pgq.add_job('mail', '{"a": 1}', priority => 5, max_attempts => 3, group_key => 'g', headers => '{"h": 1}',
    start_after => pgq._now() - interval '1 minute') AS a;
CREATE TEMPORARY TABLE picked AS SELECT p.* FROM pgq.pick_jobs(ARRAY['mail']) AS p;
SELECT results_eq($$
    SELECT p.job_id, p.queue_name, p.lease_until, p.attempt, p.max_attempts, p.payload, p.headers, p.priority,
           p.group_key, p.start_after, p.added_at, p.timeout_milliseconds
    FROM picked AS p
$$, $$
    SELECT a.job_id, 'mail'::text, pgq._now() + interval '30 seconds', 1, 3, '{"a": 1}'::jsonb, '{"h": 1}'::jsonb, 5,
           'g'::text, pgq._now() - interval '1 minute', pgq._now(), 30000
    FROM added AS a
$$, 'a picked job comes with all that a worker needs');
SELECT is(
    (SELECT array_agg(k.key ORDER BY k.key) FROM picked AS p, jsonb_object_keys(to_jsonb(p)) AS k (key)),
    ARRAY['added_at', 'attempt', 'group_key', 'headers', 'job_id', 'lease_token', 'lease_until', 'max_attempts',
          'payload', 'priority', 'queue_name', 'start_after', 'step', 'timeout_milliseconds', 'workflow', 'workflow_version'],
    'a picked job has these fields and no other');
SELECT ok(
    p.lease_token BETWEEN 1 AND 9007199254740991, 'a lease token is a safe integer in any language')
FROM picked AS p;
SELECT row_eq(
    $$ SELECT j.state, j.attempt, j.picked_at, j.lease_until, j.worker FROM added AS a, pgq.get_job(a.job_id) AS j $$,
    ROW ('running'::text, 1, pgq._now(), pgq._now() + interval '30 seconds', NULL::text),
    'a picked job is running until its lease ends');
SELECT is(pg_temp.pick(9), '', 'a job that is leased is not picked again');
DO $$ BEGIN PERFORM pgq.drop_queue('mail', force => true); END $$;

-- How many

DO $$ BEGIN PERFORM pgq.add_jobs('mail', ARRAY(SELECT to_jsonb('j' || n) FROM generate_series(1, 12) AS n)); END $$;
SELECT is(
    (SELECT count(*) FROM pgq.pick_jobs(ARRAY['mail'])), 1::bigint, 'a pick takes one job unless it asks for more');
SELECT is(pg_temp.pick(4), 'j2 j3 j4 j5', 'a pick takes no more than it asks for');
SELECT is(pg_temp.pick(10000), 'j6 j7 j8 j9 j10 j11 j12', 'a pick takes what is there');
SELECT is(pg_temp.pick(10000), '', 'a pick of nothing returns nothing');
SELECT is(pg_temp.pick(9, 'never'), '', 'a queue that does not exist has no jobs');
SELECT is((SELECT count(*) FROM pgq.pick_jobs('{}', 9)), 0::bigint, 'no queue has no jobs');
SELECT is((SELECT count(*) FROM pgq.pick_jobs(ARRAY[NULL::text], 9)), 0::bigint, 'null is no queue');
SELECT throws_ok(
    $$ SELECT pgq.get_queue_config('never') $$, 'JQ001', NULL, 'a pick makes no queue');
SELECT is(
    (SELECT count(DISTINCT l.lease_token) FROM lease AS l), 11::bigint, 'each lease has a token of its own');
DO $$ BEGIN PERFORM pgq.drop_queue('mail', force => true); END $$;

-- In which order

DO $$ BEGIN
    PERFORM pgq.add_job('mail', '"low"', priority => -100, start_after => pgq._now() - interval '1 day');
    PERFORM pgq.add_job('mail', '"new1"');
    PERFORM pgq.add_job('mail', '"old"', start_after => pgq._now() - interval '1 microsecond');
    PERFORM pgq.add_job('mail', '"oldest"', start_after => pgq._now() - interval '1 hour');
    PERFORM pgq.add_job('mail', '"new2"');
    PERFORM pgq.add_job('mail', '"high"', priority => 1);
    PERFORM pgq.add_job('mail', '"highest"', priority => 100);
    PERFORM pgq.add_job('mail', '"new3"');
    PERFORM pgq.add_job('mail', '"later"', priority => 100, start_after => pgq._now() + interval '1 microsecond');
END $$;
SAVEPOINT undone;
SELECT is(
    pg_temp.pick(9), 'highest high oldest old new1 new2 new3 low',
    'the highest priority comes first, then the oldest start_after, then the one that was added first');
ROLLBACK TO SAVEPOINT undone;
SELECT is(
    concat_ws(' ', pg_temp.pick(), pg_temp.pick(2), pg_temp.pick(3), pg_temp.pick(9)),
    'highest high oldest old new1 new2 new3 low', 'the order is the same in several picks');
CALL pg_temp.pass('1 microsecond');
SELECT is(pg_temp.pick(9), 'later', 'a job is picked from its start_after on, and not a microsecond before');
DO $$ BEGIN PERFORM pgq.drop_queue('mail', force => true); END $$;

-- From several queues

DO $$ BEGIN
    PERFORM pgq.add_job('a', '"a1"', start_after => pgq._now() - interval '9 seconds');
    PERFORM pgq.add_job('a', '"a2"', start_after => pgq._now() - interval '3 seconds');
    PERFORM pgq.add_job('a', '"a3"', start_after => pgq._now() - interval '2 seconds');
    PERFORM pgq.add_job('a', '"a low"', priority => -1, start_after => pgq._now() - interval '1 hour');
    PERFORM pgq.add_job('b', '"b1"', start_after => pgq._now() - interval '8 seconds');
    PERFORM pgq.add_job('b', '"b2"', start_after => pgq._now() - interval '7 seconds');
    PERFORM pgq.add_job('b', '"b high"', priority => 1);
    PERFORM pgq.add_job('c', '"c1"', start_after => pgq._now() - interval '5 seconds');
    PERFORM pgq.add_job('other', '"other"', priority => 100);
END $$;
CREATE FUNCTION pg_temp.sorted(names text)
RETURNS text
LANGUAGE sql
AS $$ SELECT string_agg(n, ', ' ORDER BY n) FROM regexp_split_to_table(names, ' (?=[abc])') AS n $$;
SAVEPOINT undone;
SELECT is(pg_temp.pick(1, 'a', 'b', 'c'), 'b high', 'of several queues the highest priority comes first');
SELECT is(pg_temp.pick(1, 'c', 'b', 'a'), 'a1', 'then the oldest of all, whatever the order of the names');
SELECT is(
    pg_temp.sorted(pg_temp.pick(3, 'a', 'b', 'c')), 'b1, b2, c1',
    'a pick of three takes the three oldest of all');
SELECT is(
    pg_temp.sorted(pg_temp.pick(9, 'a', 'b', 'c')), 'a low, a2, a3', 'a pick takes what is left wherever it is');
ROLLBACK TO SAVEPOINT undone;
SELECT is(
    pg_temp.sorted(pg_temp.pick(9, 'a', 'b', 'c', 'a', 'never')), 'a low, a1, a2, a3, b high, b1, b2, c1',
    'a queue that is named twice is one');
ROLLBACK TO SAVEPOINT undone;
CREATE TEMPORARY TABLE merged AS
SELECT p.place, p.priority, p.start_after
FROM pgq.pick_jobs(ARRAY['a', 'b', 'c'], 9) WITH ORDINALITY AS p (
    job_id, queue_name, lease_token, lease_until, attempt, max_attempts, payload, headers, priority, group_key,
    start_after, added_at, timeout_milliseconds, place);
SELECT results_eq(
    $$ SELECT m.priority, m.start_after FROM merged AS m ORDER BY m.place $$,
    $$ SELECT m.priority, m.start_after FROM merged AS m ORDER BY m.priority DESC, m.start_after $$,
    'the jobs of several queues come in one line');
ROLLBACK TO SAVEPOINT undone;

-- From many queues, of which one has what is urgent
DO $$ BEGIN
    PERFORM pgq.add_job('many ' || q, to_jsonb('idle' || q), start_after => pgq._now() - interval '1 hour')
    FROM generate_series(1, 20) AS q;
    PERFORM pgq.add_job('many 7', to_jsonb('urgent' || j), priority => 5) FROM generate_series(1, 15) AS j;
END $$;
CREATE TEMPORARY TABLE from_many AS
SELECT p.payload #>> '{}' AS name, p.priority
FROM pgq.pick_jobs(ARRAY(SELECT 'many ' || q FROM generate_series(1, 20) AS q), 10) AS p;
SELECT row_eq(
    $$ SELECT count(*), count(*) FILTER (WHERE m.priority = 5) FROM from_many AS m $$,
    ROW (10::bigint, 10::bigint), 'of many queues the highest priority comes first too');
DO $$ BEGIN PERFORM pgq.pick_jobs(ARRAY['many 7'], 5); END $$;
SELECT is(
    (SELECT count(*) FROM pgq.pick_jobs(ARRAY(SELECT 'many ' || q FROM generate_series(1, 20) AS q), 15)), 15::bigint,
    'a pick from many queues gets as many as it asks for');
SELECT is(
    (SELECT count(*) FROM pgq.pick_jobs(ARRAY(SELECT 'many ' || q FROM generate_series(1, 20) AS q), 15)), 5::bigint,
    'and then what is left');

-- The lease

DO $$ BEGIN
    PERFORM pgq.set_queue_config('mail', timeout_milliseconds => 7000);
    PERFORM pgq.set_queue_config('post', timeout_milliseconds => 8000);
    PERFORM pgq.add_job('mail', '"own"', timeout_milliseconds => 5000);
    PERFORM pgq.add_job('mail', '"queue"');
    PERFORM pgq.add_job('post', '"other queue"');
END $$;
SAVEPOINT undone;
SELECT set_eq($$
    SELECT p.payload #>> '{}' AS name, p.timeout_milliseconds, p.lease_until - pgq._now() AS lease
    FROM pgq.pick_jobs(ARRAY['mail', 'post'], 9) AS p
$$, $$ VALUES
    ('own', 5000, interval '5 seconds'), ('queue', 7000, interval '7 seconds'),
    ('other queue', 8000, interval '8 seconds')
$$, 'a lease is as long as the job says, or else its queue');
ROLLBACK TO SAVEPOINT undone;
SELECT set_eq($$
    SELECT p.payload #>> '{}' AS name, p.timeout_milliseconds, p.lease_until - pgq._now() AS lease
    FROM pgq.pick_jobs(ARRAY['mail', 'post'], 9, timeout_milliseconds => 6000) AS p
$$, $$ VALUES
    ('own', 5000, interval '5 seconds'), ('queue', 6000, interval '6 seconds'),
    ('other queue', 6000, interval '6 seconds')
$$, 'a pick may give another lease to jobs that have none of their own');
DO $$ BEGIN
    PERFORM pgq.drop_queue('mail', force => true);
    CALL pg_temp.add('a', 'b');
    PERFORM pgq.pick_jobs(ARRAY['mail'], worker => 'Zoë''s "worker"');
    PERFORM pgq.pick_jobs(ARRAY['mail']);
END $$;
SELECT set_eq(
    $$ SELECT l.payload #>> '{}' AS name, l.worker FROM pgq.list_jobs('mail', 'running') AS l $$,
    $$ VALUES ('a', 'Zoë''s "worker"'), ('b', NULL) $$, 'a job tells which worker runs it, if that has a name');
DO $$ BEGIN PERFORM pgq.drop_queue('mail', force => true); END $$;

-- A time-out in the middle of the line

DO $$ BEGIN
    PERFORM pgq.set_queue_config('mail', timeout_milliseconds => 1000, timeout_with_result => 'paused');
    CALL pg_temp.add('a', 'b', 'c', 'd', 'e');
    PERFORM pg_temp.pick(2);
    PERFORM pgq.pick_jobs(ARRAY['mail'], timeout_milliseconds => 60000);
    CALL pg_temp.pass('1 second');
END $$;
SELECT is(
    pg_temp.pick(9), 'd e a b',
    'a pick that meets leases that ran out gets its number, and these jobs too if they are due');
CALL pg_temp.pass('59 seconds');
SELECT is(
    concat_ws(' ', pg_temp.pick(1), pg_temp.pick(1), pg_temp.pick(1), pg_temp.pick(1), pg_temp.pick(1)),
    'a b c d e', 'a pick of one gets one, however many leases ran out');
DO $$ BEGIN PERFORM pgq.drop_queue('mail', force => true); END $$;

-- In the caller's transaction

CALL pg_temp.add('a');
SAVEPOINT undone;
CREATE TEMPORARY TABLE undone AS SELECT p.job_id, p.lease_token FROM pgq.pick_jobs(ARRAY['mail']) AS p;
ROLLBACK TO SAVEPOINT undone;
SELECT row_eq(
    $$ SELECT g.state, g.attempt, g.picked_at, g.lease_until FROM pgq.get_job(pg_temp.id('a')) AS g $$,
    ROW ('ready'::text, 0, NULL::timestamptz, NULL::timestamptz), 'a pick that is rolled back leaves no trace');
SELECT is(pg_temp.pick(), 'a', 'and the job can be picked');

-- Durability

SELECT is(current_setting('synchronous_commit') <> 'off', true, 'commits are durable here');
SAVEPOINT undone;
SELECT is((SELECT count(*) FROM pgq.pick_jobs(ARRAY['mail'])), 0::bigint, 'a pick that says nothing about it');
SELECT is(current_setting('synchronous_commit') <> 'off', true, 'is durable');
SELECT is((SELECT count(*) FROM pgq.pick_jobs(ARRAY['mail'], durable => NULL)), 0::bigint, 'a pick with null for it');
SELECT is(current_setting('synchronous_commit') <> 'off', true, 'is durable');
SELECT is(
    (SELECT count(*) FROM pgq.pick_jobs(ARRAY['mail'], durable => false)), 0::bigint,
    'a pick that need not be durable');
SELECT is(current_setting('synchronous_commit'), 'off', 'makes its transaction one that need not wait for the disk');
ROLLBACK TO SAVEPOINT undone;
SELECT is(current_setting('synchronous_commit') <> 'off', true, 'for this transaction only');

SELECT * FROM finish();
ROLLBACK;
