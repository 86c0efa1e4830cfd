\i test/setup.psql
-- Status: jobs, live and finished, with their attempts; lists with a cursor; the figures of queues.
BEGIN;
SELECT plan(44);

\i test/fixtures/clock.sql
\i test/fixtures/words.sql

-- One job of each state. Of two that wait for their group one is let through by a pick of nothing else.

DO $$ BEGIN
    PERFORM pgq.set_queue_config('mail', retry_backoff => 'fixed', pause_between_retries_milliseconds => 60000,
        max_concurrency_per_group => 1, max_attempts => 4, timeout_milliseconds => 30000);
    CALL pg_temp.add('complete', 'dead', 'cancelled', 'running', 'expired');
    PERFORM pgq.add_job('mail', '"failed once"', max_attempts => 2);
    PERFORM pg_temp.pick(6);
    CALL pg_temp.pass('1.5 seconds');
    PERFORM pgq.release_job(l.job_id, 'complete', l.lease_token, output => '{"pages": 3}')
    FROM lease AS l WHERE l.name = 'complete';
    PERFORM pg_temp.release('dead', 'failed', 'no paper', retry => false);
    PERFORM pgq.cancel_job(pg_temp.id('cancelled'), 'nobody needs it');
    PERFORM pg_temp.release('failed once', 'failed', 'no ink');
    PERFORM pgq.keep_jobs_alive(ARRAY[l.job_id], ARRAY[l.lease_token], 600000) FROM lease AS l WHERE l.name = 'running';
    CALL pg_temp.pass('40 seconds');
    PERFORM pgq.add_job('mail', '"ready"');
    PERFORM pgq.add_job('mail', '"held"', group_key => 'g');
    PERFORM pgq.add_job('mail', '"scheduled"', start_after => pgq._now() + interval '1 day', priority => -3,
        unique_key => 'u', headers => '{"trace": "00-1"}', timeout_milliseconds => 5000, timeout_with_result => 'paused',
        max_attempts => 9);
    PERFORM pgq.add_job('post', '"of another queue"');
END $$;
SELECT results_eq($$
    SELECT l.payload #>> '{}', l.state, l.finished_at IS NOT NULL FROM pgq.list_jobs('mail') AS l
$$, $$ VALUES
    ('scheduled', 'scheduled', false), ('held', 'held', false), ('ready', 'ready', false),
    ('failed once', 'scheduled', false), ('expired', 'ready', false), ('running', 'running', false),
    ('cancelled', 'cancelled', true), ('dead', 'dead', true), ('complete', 'complete', true)
$$, 'a list shows live and finished jobs in one line, the newest first, each in its state');
SELECT is_empty($$
    SELECT l.job_id FROM pgq.list_jobs() AS l CROSS JOIN LATERAL pgq.get_job(l.job_id) AS g WHERE g IS DISTINCT FROM l
$$, 'get_job shows each job as a list does');
SELECT is_empty($$
    SELECT l.job_id FROM pgq.list_jobs() AS l
    LEFT JOIN pgq.get_jobs(ARRAY(SELECT a.job_id FROM pgq.list_jobs() AS a)) AS g ON g.job_id = l.job_id
    WHERE g IS DISTINCT FROM l
$$, 'get_jobs shows each job as a list does');

-- One job, field by field

SELECT is(
    to_jsonb(g) - ARRAY['job_id', 'start_after', 'added_at'],
    '{"queue_name": "mail", "state": "scheduled", "payload": "scheduled", "headers": {"trace": "00-1"}, "priority": -3,
      "attempt": 0, "max_attempts": 9, "picked_at": null, "lease_until": null, "finished_at": null, "worker": null,
      "held_by": null, "group_key": null, "unique_key": "u", "workflow": null, "workflow_version": null, "step": null, "parent_job_id": null, "timeout_milliseconds": 5000,
      "timeout_with_result": "paused", "output": null, "error": null, "attempts": []}'::jsonb,
    'a job that waits shows all that it was added with, and nothing of a run')
FROM pgq.get_job(pg_temp.id('scheduled')) AS g;
SELECT row_eq(
    $$ SELECT g.added_at - pgq._now(), g.start_after - pgq._now() FROM pgq.get_job(pg_temp.id('scheduled')) AS g $$,
    ROW (interval '0', interval '1 day'), 'a job that waits shows when it was added and when it may start');
SELECT row_eq(
    $$ SELECT g.state, g.held_by, g.group_key FROM pgq.get_job(pg_temp.id('held')) AS g $$,
    ROW ('held'::text, 'group'::text, 'g'::text), 'a held job shows what holds it');
SELECT row_eq(
    $$ SELECT g.state, g.attempt, g.worker, g.picked_at - pgq._now(), g.lease_until - pgq._now(), g.attempts
       FROM pgq.get_job(pg_temp.id('running')) AS g $$,
    ROW ('running'::text, 1, 'tester'::text, interval '-41.5 seconds', interval '560 seconds', '[]'::jsonb),
    'a running job shows who runs it, since when and until when');
SELECT row_eq(
    $$ SELECT g.state, g.attempt, g.worker, g.lease_until - pgq._now() FROM pgq.get_job(pg_temp.id('expired')) AS g $$,
    ROW ('ready'::text, 1, 'tester'::text, interval '-11.5 seconds'), 'a job whose lease ran out is shown as ready');
SELECT row_eq(
    $$ SELECT g.state, g.output, g.error, g.finished_at - g.picked_at, g.worker, g.attempt
       FROM pgq.get_job(pg_temp.id('complete')) AS g $$,
    ROW ('complete'::text, '{"pages": 3}'::jsonb, NULL::text, interval '1.5 seconds', 'tester'::text, 1),
    'a complete job shows its output, who ran it and how long');
SELECT row_eq(
    $$ SELECT g.state, g.output, g.error FROM pgq.get_job(pg_temp.id('cancelled')) AS g $$,
    ROW ('cancelled'::text, NULL::jsonb, 'nobody needs it'::text), 'a cancelled job shows why');
SELECT row_eq(
    $$ SELECT g.max_attempts, f.max_attempts FROM pgq.get_job(pg_temp.id('ready')) AS g,
              pgq.get_job(pg_temp.id('failed once')) AS f $$,
    ROW (4, 2), 'a job shows its own max_attempts, or its queue''s');
SELECT is_empty($$
    SELECT l.payload, k.key
    FROM pgq.list_jobs() AS l CROSS JOIN LATERAL jsonb_object_keys(to_jsonb(l)) AS k (key)
    WHERE k.key = 'lease_token'
$$, 'no list shows a lease token: to read is not to release');

-- Attempts

SELECT is(
    (pgq.get_job(pg_temp.id('failed once'))).attempts,
    jsonb_build_array(jsonb_build_object(
        'attempt', 1, 'picked_at', '2030-01-01 00:00:00+00'::timestamptz,
        'ended_at', '2030-01-01 00:00:01.5+00'::timestamptz, 'milliseconds', 1500.000, 'worker', 'tester',
        'outcome', 'failed', 'error', 'no ink')),
    'an attempt tells when it was, how long, which worker made it, how it ended and why');
SELECT is(
    (SELECT jsonb_object_agg(g.payload #>> '{}', jsonb_path_query_array(g.attempts, '$[*].outcome'))
     FROM pgq.list_jobs('mail') AS g WHERE g.attempts <> '[]'),
    '{"complete": ["complete"], "dead": ["failed"], "cancelled": ["cancelled"], "failed once": ["failed"]}'::jsonb,
    'the attempt in which a job finished is the last one of its history');
DO $$ BEGIN
    CALL pg_temp.pass('1 day');
    PERFORM pg_temp.pick(9);
    CALL pg_temp.pass('250 milliseconds');
    PERFORM pg_temp.release('failed once', 'failed', repeat('é', 4001));
END $$;
SELECT results_eq($$
    SELECT a.attempt, a.outcome, a.milliseconds, length(a.error)
    FROM pgq.get_job(pg_temp.id('failed once')) AS g
    CROSS JOIN LATERAL jsonb_to_recordset(g.attempts) AS a (attempt integer, outcome text, milliseconds numeric, error text)
$$, $$ VALUES (1, 'failed', 1500.000, 6), (2, 'failed', 250.000, 4000) $$,
    'attempts are listed oldest first, each with at most 4000 characters of its error');
SELECT is(
    (SELECT jsonb_path_query_array(g.attempts, '$[*].outcome') FROM pgq.get_job(pg_temp.id('expired')) AS g),
    '["timed_out"]'::jsonb, 'a lease that ran out is an attempt that timed out');
DO $$ BEGIN
    PERFORM pgq.add_job('post', '"stubborn"', max_attempts => 101, priority => 100);
    FOR v_attempt IN 1..100 LOOP
        PERFORM pgq.release_job(p.job_id, 'failed', delay_milliseconds => 0) FROM pgq.pick_jobs(ARRAY['post']) AS p;
    END LOOP;
END $$;
CREATE FUNCTION pg_temp.span(name text)
RETURNS text
LANGUAGE sql
AS $$
    SELECT format('%s: %s to %s', g.state, g.attempts -> 0 -> 'attempt', g.attempts -> -1 -> 'attempt')
    FROM pgq.get_job(pg_temp.id(span.name)) AS g
$$;
SELECT is(pg_temp.span('stubborn'), 'ready: 1 to 100', 'a live job shows up to 100 attempts');
DO $$ BEGIN
    PERFORM pgq.release_job(p.job_id, 'failed') FROM pgq.pick_jobs(ARRAY['post']) AS p;
END $$;
SELECT is(pg_temp.span('stubborn'), 'dead: 2 to 101', 'a finished job shows its last 100 attempts');

-- Several jobs by their ids

SELECT results_eq($$
    SELECT g.payload #>> '{}'
    FROM pgq.get_jobs(ARRAY[pg_temp.id('dead'), 0, pg_temp.id('ready'), -1, NULL, pg_temp.id('complete'),
                            9223372036854775807, pg_temp.id('of another queue')]) AS g
$$, $$ VALUES ('dead'), ('ready'), ('complete'), ('of another queue') $$,
    'get_jobs returns live and finished jobs of any queue in the order of the ids, and no row for an id that is not known');
SELECT is(
    (SELECT count(*) FROM pgq.get_jobs(array_fill(pg_temp.id('dead'), ARRAY[3]))), 1::bigint,
    'an id that is given several times gives one row');
SELECT is_empty($$ SELECT g.job_id FROM pgq.get_jobs('{}') AS g $$, 'no ids give no rows');
SELECT throws_ok(
    $$ SELECT pgq.get_job(0) $$, 'JQ002', 'job 0 not found', 'a job that is not known is an error for get_job');
SAVEPOINT kept;
DO $$ BEGIN
    PERFORM pgq.set_queue_config('mail', keep_history => 'none');
    PERFORM pg_temp.release('ready', 'complete');
END $$;
SELECT throws_ok(
    $$ SELECT pgq.get_job(l.job_id) FROM lease AS l WHERE l.name = 'ready' LIMIT 1 $$,
    'JQ002', NULL, 'so is a job whose history is not kept');
ROLLBACK TO SAVEPOINT kept;

-- Lists: every filter, and pages

DO $$ BEGIN
    PERFORM pgq.drop_queue('mail', force => true);
    PERFORM pgq.drop_queue('post', force => true);
    PERFORM pgq.set_queue_config('mail', max_concurrency_per_group => 1);
    -- Jobs of 12 kinds take turns, so that live and finished ones, and those of the two queues, are mixed.
    FOR v_number IN 1..60 LOOP
        PERFORM pgq.add_job(CASE v_number % 2 WHEN 0 THEN 'mail' ELSE 'post' END, to_jsonb(v_number),
            start_after => CASE v_number % 12 WHEN 10 THEN pgq._now() + interval '1 hour' END,
            priority => CASE WHEN v_number % 12 IN (0, 1) THEN -1 ELSE 0 END,
            group_key => CASE v_number % 12 WHEN 8 THEN 'g' END);
    END LOOP;
    PERFORM pg_temp.pick(19, 'mail');
    PERFORM pg_temp.pick(25, 'post');
    PERFORM pgq.release_job(l.job_id, CASE l.payload::integer % 12 WHEN 2 THEN 'complete' WHEN 3 THEN 'complete'
            WHEN 4 THEN 'failed' WHEN 5 THEN 'failed' ELSE 'cancelled' END,
        retry => l.payload::integer % 12 NOT IN (4, 5))
    FROM pgq.list_jobs(state => 'running') AS l WHERE l.payload::integer % 12 IN (2, 3, 4, 5, 6, 7);
END $$;
CREATE TEMPORARY TABLE listed AS
SELECT l.queue_name, l.state, l.payload::integer AS number, l.job_id FROM pgq.list_jobs() AS l;
SELECT results_eq(
    $$ SELECT l.state, count(*) FROM listed AS l GROUP BY l.state ORDER BY l.state $$,
    $$ VALUES ('cancelled', 10::bigint), ('complete', 10::bigint), ('dead', 10::bigint), ('held', 4::bigint),
              ('ready', 7::bigint), ('running', 14::bigint), ('scheduled', 5::bigint) $$,
    'there are jobs in each state, in both queues');
SELECT is(
    (SELECT array_agg(l.number) FROM listed AS l), ARRAY(SELECT generate_series(60, 1, -1)),
    'a list without filters shows all jobs of all queues, once each, the newest first');
SELECT is_empty($$
    SELECT q.queue_name, s.state
    FROM unnest(ARRAY['mail', 'post', NULL]) AS q (queue_name)
    CROSS JOIN unnest(ARRAY['scheduled', 'ready', 'running', 'held', 'complete', 'dead', 'cancelled', NULL]) AS s (state)
    WHERE ARRAY(SELECT l.job_id FROM pgq.list_jobs(q.queue_name, s.state) AS l)
          IS DISTINCT FROM ARRAY(
              SELECT l.job_id FROM listed AS l
              WHERE l.queue_name = coalesce(q.queue_name, l.queue_name) AND l.state = coalesce(s.state, l.state)
              ORDER BY l.number DESC)
$$, 'a list of a queue, of a state, or both, shows exactly these jobs');

CREATE FUNCTION pg_temp.pages(queue_name text, state text, size integer)
RETURNS bigint[]
LANGUAGE plpgsql
AS $$
DECLARE
    v_seen bigint[] := '{}';
    v_page bigint[];
BEGIN
    LOOP
        v_page := ARRAY(SELECT l.job_id FROM pgq.list_jobs(queue_name, state, v_seen[cardinality(v_seen)], size) AS l);
        -- Nor may it go on for ever.
        IF cardinality(v_page) > size OR cardinality(v_seen) > 1000 THEN
            RAISE EXCEPTION 'a page of % jobs after % of them', cardinality(v_page), cardinality(v_seen);
        END IF;
        EXIT WHEN v_page = '{}';
        v_seen := v_seen || v_page;
    END LOOP;
    RETURN v_seen;
END
$$;
SELECT is_empty($$
    SELECT p.size, f.queue_name, f.state
    FROM unnest(ARRAY[1, 7, 59, 60, 61]) AS p (size)
    CROSS JOIN (VALUES (NULL, NULL), ('mail', NULL), (NULL, 'ready'), ('post', 'dead')) AS f (queue_name, state)
    WHERE pg_temp.pages(f.queue_name, f.state, p.size)
          IS DISTINCT FROM ARRAY(SELECT l.job_id FROM pgq.list_jobs(f.queue_name, f.state) AS l)
$$, 'pages of any size show each job once, with any filter, live and finished mixed');
CREATE TEMPORARY TABLE page AS SELECT l.job_id FROM pgq.list_jobs(max_jobs => 20) AS l;
DO $$ BEGIN
    PERFORM pgq.add_job('mail', '61');
    PERFORM pgq.retry_job(l.job_id) FROM pgq.list_jobs(state => 'dead', before_job_id => (SELECT min(p.job_id) FROM page AS p)) AS l;
END $$;
SELECT is(
    ARRAY(SELECT l.payload::integer FROM pgq.list_jobs(before_job_id => (SELECT min(p.job_id) FROM page AS p)) AS l),
    ARRAY(SELECT generate_series(40, 1, -1)),
    'the next page misses nothing and repeats nothing when jobs are added or change their state in between');
DO $$ BEGIN
    PERFORM pgq.add_jobs('many', ARRAY(SELECT to_jsonb(i) FROM generate_series(1, 101) AS i), start_after => pgq._now());
END $$;
SELECT is((SELECT count(*) FROM pgq.list_jobs('many')), 100::bigint, 'a list has 100 jobs unless it is told otherwise');
SELECT is(
    (SELECT count(*) FROM pgq.list_jobs('many', max_jobs => 10000)), 101::bigint, 'a list may have up to 10000 jobs');
SELECT throws_ok(
    $$ SELECT count(*) FROM pgq.list_jobs('many', max_jobs => 10001) $$,
    '22023', 'expected max_jobs to be between 1 and 10000, got ''10001''', 'a list has no more than 10000 jobs');
SELECT throws_ok(
    $$ SELECT count(*) FROM pgq.list_jobs('never') $$, 'JQ001', 'queue "never" not found',
    'a queue that does not exist has no list');
SELECT throws_ok(
    $$ SELECT count(*) FROM pgq.list_jobs(state => 'done') $$, '22023',
    'expected state to be one of scheduled, ready, running, held, complete, dead, cancelled, got ''done''',
    'a state that does not exist is refused with those that do');

-- The figures of queues

DO $$ BEGIN
    PERFORM pgq.drop_queue(q, force => true) FROM unnest(ARRAY['mail', 'post', 'many']) AS q;
    CALL pg_temp.pass('1 day');
    PERFORM pgq.set_queue_config('empty');
    PERFORM pgq.set_queue_config('grouped', max_concurrency_per_group => 1);
    PERFORM pgq.set_queue_config('secret', keep_history => 'none');
    -- Ended more than a minute ago: 2 died, 1 was complete.
    CALL pg_temp.add('d1', 'd2', 'c1');
    PERFORM pg_temp.pick(3);
    PERFORM pg_temp.release(n, 'failed', retry => false) FROM unnest(ARRAY['d1', 'd2']) AS n;
    PERFORM pg_temp.release('c1', 'complete');
    CALL pg_temp.pass('1 minute');
    -- Ended within the minute: 1 died, 4 were complete, 3 cancelled.
    CALL pg_temp.add('d3', 'c2', 'c3', 'c4', 'c5', 'x1', 'x2', 'x3');
    PERFORM pg_temp.pick(7);
    PERFORM pg_temp.release('d3', 'failed', retry => false);
    PERFORM pg_temp.release(n, 'complete') FROM unnest(ARRAY['c2', 'c3', 'c4', 'c5']) AS n;
    PERFORM pg_temp.release(n, 'cancelled') FROM unnest(ARRAY['x1', 'x2']) AS n;
    PERFORM pgq.cancel_job(pg_temp.id('x3'));
    -- Live: 2 run, 2 are ready (one of them since its lease ran out), 2 are scheduled (one of them backs off).
    CALL pg_temp.add('runs', 'runs too', 'backs off');
    PERFORM pg_temp.pick(3);
    PERFORM pg_temp.release('backs off', 'failed', delay_milliseconds => 86400000);
    PERFORM pgq.add_job('mail', '"expired"', timeout_milliseconds => 100);
    PERFORM pg_temp.pick();
    CALL pg_temp.pass('9 seconds');
    CALL pg_temp.add('young');
    PERFORM pgq.add_job('mail', '"later"', start_after => pgq._now() + interval '1.2346 seconds');
    CALL pg_temp.pass('1.2345 seconds');
    PERFORM pgq.add_jobs('grouped', '{1, 2, 3}', group_keys => '{g, g, g}');
    PERFORM pg_temp.pick(9, 'grouped');
    PERFORM pgq.add_job('secret', '"unseen"');
    PERFORM pg_temp.pick(1, 'secret');
    PERFORM pg_temp.release('unseen', 'complete');
    PERFORM pgq.pause_queue('empty', pgq._now() + interval '1 minute');
    PERFORM pgq.set_queue_config('dropped');
    PERFORM pgq.drop_queue('dropped');
END $$;
SELECT results_eq(
    $$ SELECT s.queue_name, s.ready, s.scheduled, s.running, s.held, s.dead FROM pgq.queue_stats() AS s $$,
    $$ VALUES ('empty', 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint), ('grouped', 0, 0, 1, 2, 0),
              ('mail', 2, 2, 2, 0, 3), ('secret', 0, 0, 0, 0, 0) $$,
    'the statistics count the jobs of each queue by their state, in the order of names; a dropped queue is not listed');
SELECT results_eq(
    $$ SELECT s.queue_name, s.oldest_ready_milliseconds FROM pgq.queue_stats() AS s $$,
    $$ VALUES ('empty', NULL::bigint), ('grouped', NULL), ('mail', 10234), ('secret', NULL) $$,
    'the age of the oldest ready job is told in whole milliseconds since it was due, null when none is ready');
SELECT results_eq(
    $$ SELECT s.queue_name, s.finished_last_minute, s.failed_share_last_minute FROM pgq.queue_stats() AS s $$,
    $$ VALUES ('empty', 0::bigint, NULL::double precision), ('grouped', 0, NULL), ('mail', 8, 0.125), ('secret', 0, NULL) $$,
    'of the jobs that finished in the last minute the number and the share that died are told, null when there is none');
SELECT results_eq(
    $$ SELECT s.queue_name, s.is_paused FROM pgq.queue_stats() AS s $$,
    $$ VALUES ('empty', true), ('grouped', false), ('mail', false), ('secret', false) $$,
    'the statistics tell which queue is paused');
SELECT is_empty($$
    SELECT a.queue_name FROM pgq.queue_stats() AS a CROSS JOIN LATERAL pgq.queue_stats(a.queue_name) AS s
    WHERE s IS DISTINCT FROM a
$$, 'the statistics of one queue are its line of those of all');
SELECT throws_ok(
    $$ SELECT count(*) FROM pgq.queue_stats('dropped') $$, 'JQ001', 'queue "dropped" not found',
    'a dropped queue has no statistics');
SELECT throws_ok(
    $$ SELECT count(*) FROM pgq.list_jobs('dropped') $$, 'JQ001', NULL, 'a dropped queue has no list');
SELECT is_empty($$
    SELECT s.queue_name FROM pgq.queue_stats() AS s
    CROSS JOIN unnest(ARRAY['ready', 'scheduled', 'running', 'held', 'dead']) AS n (state)
    WHERE (to_jsonb(s) ->> n.state)::bigint IS DISTINCT FROM (SELECT count(*) FROM pgq.list_jobs(s.queue_name, n.state) AS l)
$$, 'the statistics and the lists agree');

CALL pg_temp.pass('49.765499 seconds');
SELECT row_eq(
    $$ SELECT s.finished_last_minute, s.failed_share_last_minute, s.ready, s.scheduled, s.oldest_ready_milliseconds
       FROM pgq.queue_stats('mail') AS s $$,
    ROW (8::bigint, 0.125::double precision, 5::bigint, 1::bigint, 59999::bigint),
    'figures follow the clock: leases have run out, a scheduled job is due, and the minute is not over');
CALL pg_temp.pass('1 microsecond');
SELECT row_eq(
    $$ SELECT s.finished_last_minute, s.failed_share_last_minute, s.dead FROM pgq.queue_stats('mail') AS s $$,
    ROW (0::bigint, NULL::double precision, 3::bigint),
    'what finished a minute ago is not of the last minute; dead jobs are counted for as long as they are kept');
DO $$ BEGIN PERFORM pgq.retry_job(pg_temp.id('d1')); END $$;
SELECT row_eq(
    $$ SELECT s.ready, s.dead FROM pgq.queue_stats('mail') AS s $$,
    ROW (6::bigint, 2::bigint), 'a dead job that is retried is ready, and no longer dead');

SELECT * FROM finish();
ROLLBACK;
