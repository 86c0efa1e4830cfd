\i test/setup.psql
-- Queues: settings, pausing, emptying, dropping.
BEGIN;
SELECT plan(68);

\i test/fixtures/clock.sql
\i test/fixtures/words.sql

-- A queue is there when it is needed

SELECT throws_ok(
    $$ SELECT pgq.get_queue_config('mail') $$,
    'JQ001', 'queue "mail" not found', 'the settings of a queue that does not exist are an error');
CALL pg_temp.add('a');
SELECT is(
    (pgq.get_queue_config('mail')).queue_name, 'mail', 'the first job to a new name makes the queue');
SELECT row_eq(
    $$ SELECT c.max_concurrency, c.max_concurrency_per_group, c.group_order, c.max_attempts, c.retry_backoff,
              c.pause_between_retries_milliseconds, c.max_pause_between_retries_milliseconds,
              c.timeout_milliseconds, c.timeout_with_result, c.keep_history, c.history_days, c.dead_days,
              c.max_payload_bytes, c.paused_until, c.pause_reason
       FROM pgq.get_queue_config('mail') AS c $$,
    ROW (NULL::integer, NULL::integer, 'loose'::text, 10, 'exponential'::text, 5000::bigint, 3600000::bigint,
         30000, 'failed'::text, 'all'::text, 7, 30, 1048576, NULL::timestamptz, NULL::text),
    'a queue begins with the defaults that set_queue_config states');
SELECT ok(
    (pgq.get_queue_config('mail')).created_at BETWEEN now() AND clock_timestamp(), 'a queue knows when it was made');
CREATE TEMPORARY TABLE config AS SELECT pgq.set_queue_config('set first') AS config;
SELECT is(
    pgq.get_queue_config('set first'), (SELECT c.config FROM config AS c),
    'set_queue_config makes the queue too, and returns what get_queue_config does');
SELECT is(
    (SELECT count(*) FROM pgq.queue_stats() AS s WHERE s.queue_name IN ('mail', 'set first')), 2::bigint,
    'both ways to make a queue make exactly one');

-- Settings: each can be set to its bounds and not beyond, and setting one leaves the others as they are

CREATE TEMPORARY TABLE setting (name text NOT NULL, good text NOT NULL, is_good boolean NOT NULL);
INSERT INTO setting (name, good, is_good)
SELECT r.name, v.value::text, v.is_good
FROM (VALUES
    ('max_concurrency', 1, 2147483647),
    ('max_concurrency_per_group', 1, 2147483647),
    ('max_attempts', 1, 1000),
    ('pause_between_retries_milliseconds', 0, 604800000),
    ('max_pause_between_retries_milliseconds', 0, 604800000),
    ('timeout_milliseconds', 100, 604800000),
    ('history_days', 1, 30),
    ('dead_days', 1, 30),
    ('max_payload_bytes', 1024, 268435456)
) AS r (name, low, high)
CROSS JOIN LATERAL (VALUES
    (r.low, true), (r.high, true),
    (CASE r.low WHEN 1 THEN -1 ELSE r.low - 1 END, false), (-2147483648, false),
    (CASE r.high WHEN 2147483647 THEN -2 ELSE r.high + 1 END, false)
) AS v (value, is_good);
INSERT INTO setting (name, good, is_good)
SELECT c.name, quote_literal(v.value), v.is_good
FROM (VALUES
    ('group_order', ARRAY['loose', 'strict']),
    ('retry_backoff', ARRAY['exponential', 'fixed']),
    ('timeout_with_result', ARRAY['failed', 'paused', 'complete', 'cancelled']),
    ('keep_history', ARRAY['all', 'dead', 'none'])
) AS c (name, choices)
CROSS JOIN LATERAL (
    SELECT choice, true FROM unnest(c.choices) AS choice
    UNION ALL
    VALUES ('', false), ('Loose', false), (' failed', false), ('no such choice', false)
) AS v (value, is_good);

CREATE FUNCTION pg_temp.set_one(name text, value text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_before jsonb := to_jsonb(pgq.set_queue_config('settings'));
    v_after jsonb;
BEGIN
    EXECUTE format('SELECT to_jsonb(pgq.set_queue_config(%L, %I => %s))', 'settings', name, value) INTO v_after;
    RETURN CASE
        WHEN v_after - name <> v_before - name THEN 'another setting changed'
        WHEN v_after <> to_jsonb(pgq.get_queue_config('settings')) THEN 'not what get_queue_config returns'
        ELSE v_after ->> name END;
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN 'refused';
END
$$;
SELECT is_empty($$
    SELECT s.name, s.good, pg_temp.set_one(s.name, s.good)
    FROM setting AS s
    WHERE s.is_good AND pg_temp.set_one(s.name, s.good) IS DISTINCT FROM trim(s.good, '''')
$$, 'every setting takes the bounds of its range and each of its choices, and changes no other');
SELECT is_empty($$
    SELECT s.name, s.good
    FROM setting AS s
    WHERE NOT s.is_good AND pg_temp.set_one(s.name, s.good) IS DISTINCT FROM 'refused'
$$, 'no setting takes a value beyond its range');
SELECT set_eq(
    $$ SELECT s.name FROM setting AS s $$,
    $$ SELECT k.name FROM jsonb_object_keys(to_jsonb(pgq.get_queue_config('settings'))) AS k (name)
       WHERE k.name NOT IN ('queue_name', 'paused_until', 'pause_reason', 'created_at') $$,
    'every setting is tested here');
SELECT throws_ok(
    $$ SELECT pgq.set_queue_config('settings', history_days => 31) $$,
    '22023', 'expected history_days to be between 1 and 30, got ''31''',
    'a setting that is out of its range is named with the range');
SELECT throws_ok(
    $$ SELECT pgq.set_queue_config('never', max_attempts => 0) $$,
    '22023', 'expected max_attempts to be between 1 and 1000, got ''0''', 'a bad setting is refused');
SELECT throws_ok(
    $$ SELECT pgq.get_queue_config('never') $$, 'JQ001', NULL, 'a bad setting makes no queue');

DO $$ BEGIN PERFORM pgq.set_queue_config('limits', max_concurrency => 3, max_concurrency_per_group => 4); END $$;
SELECT row_eq(
    $$ SELECT c.max_concurrency, c.max_concurrency_per_group
       FROM pgq.set_queue_config('limits', max_concurrency => 0) AS c $$,
    ROW (NULL::integer, 4), '0 takes a limit away and only this one');
SELECT row_eq(
    $$ SELECT c.max_concurrency, c.max_concurrency_per_group
       FROM pgq.set_queue_config('limits', max_concurrency_per_group => 0) AS c $$,
    ROW (NULL::integer, NULL::integer), '0 takes the limit of groups away');

-- Settings are live: they count for jobs that were added before

DO $$ BEGIN PERFORM pgq.set_queue_config('mail', timeout_milliseconds => 7000, max_attempts => 3); END $$;
SELECT row_eq(
    $$ SELECT p.timeout_milliseconds, p.max_attempts, p.lease_until - pgq._now()
       FROM pgq.pick_jobs(ARRAY['mail']) AS p $$,
    ROW (7000, 3, interval '7 seconds'), 'a setting counts for jobs that were added before it');
DO $$ BEGIN PERFORM pgq.drop_queue('mail', force => true); END $$;

-- Pausing

CALL pg_temp.add('a', 'b', 'c');
SELECT is(pg_temp.pick(), 'a', 'a queue that is not paused is picked');
DO $$ BEGIN PERFORM pgq.pause_queue('mail', reason => 'the printer burns'); END $$;
SELECT is(pg_temp.pick(), '', 'a paused queue is not picked');
SELECT row_eq(
    $$ SELECT c.paused_until, c.pause_reason FROM pgq.get_queue_config('mail') AS c $$,
    ROW ('infinity'::timestamptz, 'the printer burns'::text),
    'a pause has no end unless it is given, and tells its reason');
SELECT is((SELECT s.is_paused FROM pgq.queue_stats('mail') AS s), true, 'the statistics show a pause');
CALL pg_temp.add('d');
SELECT is(pg_temp.state('d'), 'ready', 'a paused queue takes jobs');
SELECT is(pg_temp.release('a', 'complete'), 'complete', 'a job that runs in a paused queue may finish');
CALL pg_temp.pass('1000 days');
SELECT is(pg_temp.pick(), '', 'a pause without an end does not end');
DO $$ BEGIN PERFORM pgq.resume_queue('mail'); END $$;
SELECT is(pg_temp.pick(), 'b', 'a resumed queue is picked');
SELECT row_eq(
    $$ SELECT c.paused_until, c.pause_reason, s.is_paused
       FROM pgq.get_queue_config('mail') AS c, pgq.queue_stats('mail') AS s $$,
    ROW (NULL::timestamptz, NULL::text, false), 'nothing is left of a pause after resume_queue');
DO $$ BEGIN PERFORM pgq.pause_queue('mail', pgq._now() + interval '1 minute'); END $$;
CALL pg_temp.pass('59.999999 seconds');
SELECT is(pg_temp.pick(), '', 'a pause lasts to the microsecond before its end');
CALL pg_temp.pass('1 microsecond');
SELECT is(pg_temp.pick(), 'c', 'a pause ends by itself');
SELECT is((SELECT s.is_paused FROM pgq.queue_stats('mail') AS s), false, 'a pause that is over is none');
DO $$ BEGIN PERFORM pgq.pause_queue('mail'); END $$;
SELECT is(pg_temp.pick(9, 'mail', 'set first'), '', 'a pause stops a pick from several queues too');
CALL pg_temp.pass('1 day');
DO $$ BEGIN PERFORM pgq.add_job('set first', '"other"'); END $$;
SELECT is(pg_temp.pick(9, 'mail', 'set first'), 'other', 'a pause is for its queue only');
SELECT throws_ok(
    $$ SELECT pgq.pause_queue('never') $$, 'JQ001', NULL, 'a queue that does not exist cannot be paused');
SELECT throws_ok(
    $$ SELECT pgq.resume_queue('never') $$, 'JQ001', NULL, 'a queue that does not exist cannot be resumed');
SELECT throws_ok($$ SELECT pgq.pause_queue('mail', NULL) $$, '22004', NULL, 'a pause until null is refused');

-- Purging

DO $$ BEGIN
    PERFORM pgq.drop_queue('mail', force => true);
    PERFORM pgq.drop_queue('set first', force => true);
    PERFORM pgq.set_queue_config('mail', max_concurrency_per_group => 1);
    PERFORM pgq.add_job('mail', '"done"');
    PERFORM pgq.add_job('mail', '"running"', unique_key => 'running');
    PERFORM pgq.add_job('mail', '"late"');
END $$;
SELECT is(pg_temp.pick(3), 'done running late', 'three jobs of the queue run');
DO $$ BEGIN PERFORM pg_temp.release('done', 'complete'); END $$;
CALL pg_temp.pass('20 seconds');
DO $$ BEGIN
    PERFORM pgq.keep_jobs_alive(ARRAY[l.job_id], ARRAY[l.lease_token]) FROM lease AS l WHERE l.name = 'running';
END $$;
CALL pg_temp.pass('20 seconds');
DO $$ BEGIN
    PERFORM pgq.add_job('mail', '"ready"', unique_key => 'ready');
    PERFORM pgq.add_job('mail', '"low"', priority => -5);
    PERFORM pgq.add_job('mail', '"scheduled"', start_after => pgq._now() + interval '1 day');
    PERFORM pgq.add_job('mail', '"held"', group_key => 'g');
    PERFORM pgq.add_job('post', '"of another queue"');
END $$;
SELECT is(pgq.purge_queue('mail'), 4::bigint, 'a purge deletes the jobs that wait and returns their number');
SELECT set_eq(
    $$ SELECT l.payload #>> '{}', l.state FROM pgq.list_jobs() AS l $$,
    $$ VALUES ('done', 'complete'), ('running', 'running'), ('late', 'ready'), ('of another queue', 'ready') $$,
    'a purge leaves jobs that have a lease, finished jobs and other queues');
SELECT is(pgq.purge_queue('mail'), 0::bigint, 'a second purge finds nothing');
SELECT is(
    (pgq.add_job('mail', '"again"', unique_key => 'ready')).is_new, true,
    'a purge frees the keys of what it deletes');
SELECT is(
    (pgq.add_job('mail', '"again"', unique_key => 'running')).is_new, false,
    'a purge frees no key of a running job');
SELECT is(pg_temp.release('running', 'complete'), 'complete', 'a job that ran through a purge may finish');
SELECT throws_ok(
    $$ SELECT pgq.purge_queue('never') $$, 'JQ001', NULL, 'a queue that does not exist cannot be purged');

-- Dropping

SELECT throws_ok(
    $$ SELECT pgq.drop_queue('mail') $$,
    '55000', 'queue "mail" has live jobs', 'a queue with live jobs is not dropped');
SELECT throws_ok(
    $$ SELECT pgq.drop_queue('mail', NULL) $$, '55000', NULL, 'to force a drop takes a true');
DO $$ BEGIN
    PERFORM pgq.purge_queue('mail');
    PERFORM pg_temp.pick(9);
    CALL pg_temp.pass('1 minute');
    PERFORM pg_temp.pick(9);
    PERFORM pg_temp.release('late', 'failed', retry => false);
    PERFORM pgq.set_queue_config('mail', max_concurrency => 1, keep_history => 'all', dead_days => 3);
    PERFORM pgq.pause_queue('mail', reason => 'x');
END $$;
SELECT is(pg_temp.state('late'), 'dead', 'the queue has only finished jobs now');
SELECT is(
    (SELECT s.ready + s.scheduled + s.running + s.held FROM pgq.queue_stats('mail') AS s), 0::bigint,
    'the queue has no live jobs');
SELECT lives_ok($$ SELECT pgq.drop_queue('mail') $$, 'a queue without live jobs is dropped');
SELECT throws_ok($$ SELECT pgq.get_queue_config('mail') $$, 'JQ001', NULL, 'a dropped queue does not exist');
SELECT throws_ok($$ SELECT pgq.drop_queue('mail') $$, 'JQ001', NULL, 'a dropped queue cannot be dropped again');
SELECT throws_ok(
    $$ SELECT count(*) FROM pgq.list_jobs('mail') $$, 'JQ001', NULL, 'a dropped queue has no list of jobs');
SELECT is_empty(
    $$ SELECT s.queue_name FROM pgq.queue_stats() AS s WHERE s.queue_name = 'mail' $$,
    'a dropped queue is not in the statistics');
SELECT is(pg_temp.state('late'), NULL, 'the history of a dropped queue is gone');
SELECT is(pg_temp.pick(9), '', 'a dropped queue has no jobs to pick');
SELECT is(pg_temp.state('of another queue'), 'ready', 'the drop of a queue leaves other queues alone');

CALL pg_temp.pass('1 day');
CALL pg_temp.add('first', 'second', 'third');
SELECT row_eq(
    $$ SELECT c.max_concurrency, c.max_concurrency_per_group, c.dead_days, c.paused_until, c.pause_reason
       FROM pgq.get_queue_config('mail') AS c $$,
    ROW (NULL::integer, NULL::integer, 30, NULL::timestamptz, NULL::text),
    'a queue that is made again after a drop has the defaults');
SELECT ok(
    (pgq.get_queue_config('mail')).created_at > (SELECT (c.config).created_at FROM config AS c),
    'a queue that is made again knows its new time');
SELECT is(pg_temp.pick(2), 'first second', 'a queue that is made again works');
SELECT is(
    (SELECT s.finished_last_minute + s.dead FROM pgq.queue_stats('mail') AS s), 0::bigint,
    'a queue that is made again has no old history');

DO $$ BEGIN
    PERFORM pgq.set_queue_config('mail', max_concurrency => 2);
    PERFORM pgq.add_job('mail', '"key"', unique_key => 'k');
    PERFORM pgq.set_queue_config('mail', max_concurrency_per_group => 1);
    PERFORM pgq.add_job('mail', '"group"', group_key => 'g');
    PERFORM pgq.announce_idle(ARRAY['mail'], 'tester');
    PERFORM pgq.drop_queue('mail', force => true);
END $$;
SELECT is_empty($$
    SELECT t.name
    FROM (SELECT 'job' AS name, j.queue_id FROM pgq.job AS j
          UNION ALL SELECT 'finished_job', f.queue_id FROM pgq.finished_job AS f
          UNION ALL SELECT 'unique_key', k.queue_id FROM pgq.unique_key AS k
          UNION ALL SELECT 'running_job', r.queue_id FROM pgq.running_job AS r
          UNION ALL SELECT 'group_hint', h.queue_id FROM pgq.group_hint AS h
          UNION ALL SELECT 'idle_worker', w.queue_id FROM pgq.idle_worker AS w
          UNION ALL SELECT 'queue_access', a.queue_id FROM pgq.queue_access AS a) AS t
    JOIN pgq.queue AS q ON q.queue_id = t.queue_id
    WHERE q.queue_name = 'mail'
$$, 'a drop by force leaves no row of the queue in any table');
SELECT throws_ok(
    $$ SELECT pg_temp.release('first', 'complete') $$,
    'JQ003', NULL, 'a job that ran when its queue was dropped by force has lost its lease');
SELECT throws_ok(
    $$ SELECT pgq.get_job(l.job_id) FROM lease AS l WHERE l.name = 'first' $$,
    'JQ002', NULL, 'a drop by force deletes live jobs');
SELECT is(
    (SELECT a.is_new FROM pgq.add_job('mail', '"key"', unique_key => 'k') AS a), true,
    'a drop by force frees the unique keys');
DO $$ BEGIN
    PERFORM pgq.set_queue_config('mail', max_concurrency => 2);
    PERFORM pgq.add_job('mail', '"two"');
    PERFORM pgq.add_job('mail', '"three"');
END $$;
SELECT is(pg_temp.pick(9), 'key two', 'a drop by force frees the places under max_concurrency');

-- Names

CREATE TEMPORARY TABLE name (name text NOT NULL);
INSERT INTO name (name)
VALUES ('it''s "quoted"'), (E'two\nlines\t\\'), ('Grüße, 世界 🐘'), (' '), ('%s %I {}'), ('pgq.job'), ('NULL'),
       (repeat('é', 100));
SELECT is_empty($$
    SELECT n.name
    FROM name AS n
    CROSS JOIN LATERAL pgq.set_queue_config(n.name, max_attempts => 3) AS c
    CROSS JOIN LATERAL pgq.add_job(n.name, to_jsonb(n.name), unique_key => n.name, group_key => n.name) AS a
    WHERE (c.queue_name, a.is_new) IS DISTINCT FROM (n.name, true)
$$, 'a name may hold quotes, line breaks and letters of any alphabet, up to 200 bytes');
SELECT set_eq(
    $$ SELECT p.queue_name, p.payload, p.max_attempts
       FROM pgq.pick_jobs(ARRAY(SELECT n.name FROM name AS n), 100) AS p $$,
    $$ SELECT n.name, to_jsonb(n.name), 3 FROM name AS n $$,
    'each of these names is a queue of its own');
SELECT is_empty($$
    SELECT n.name, s.running FROM name AS n LEFT JOIN pgq.queue_stats() AS s ON s.queue_name = n.name
    WHERE s.running IS DISTINCT FROM 1
$$, 'the statistics know each of these names');
SELECT lives_ok(
    $$ SELECT pgq.pause_queue(n.name), pgq.resume_queue(n.name), pgq.purge_queue(n.name), pgq.drop_queue(n.name, true)
       FROM name AS n $$,
    'queues of these names can be paused, resumed, purged and dropped');
SELECT throws_ok($$ SELECT pgq.set_queue_config('') $$, '22023', NULL, 'an empty name is refused');
SELECT throws_ok($$ SELECT pgq.set_queue_config(NULL) $$, '22004', NULL, 'a null name is refused');
SELECT throws_ok(
    $$ SELECT pgq.set_queue_config(repeat('é', 100) || 'x') $$, '22023', NULL, 'a name of 201 bytes is refused');

SELECT * FROM finish();
ROLLBACK;
