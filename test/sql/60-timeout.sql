\i test/setup.psql
-- Time-outs: what becomes of a job whose lease ran out, and how long a failed job waits.
BEGIN;
SELECT plan(31);

\i test/fixtures/clock.sql
\i test/fixtures/words.sql

-- When

DO $$ BEGIN
    PERFORM pgq.set_queue_config('mail', timeout_milliseconds => 1000, retry_backoff => 'fixed',
        pause_between_retries_milliseconds => 0);
    CALL pg_temp.add('a');
    PERFORM pg_temp.pick();
    CALL pg_temp.pass('0.999999 seconds');
END $$;
SELECT is(pg_temp.pick(9), '', 'a lease holds to its last microsecond');
SELECT is(pg_temp.state('a'), 'running', 'the job is running');
CALL pg_temp.pass('1 microsecond');
SELECT is(pg_temp.state('a'), 'ready', 'a job whose lease ran out is ready');
SELECT is(pg_temp.pick(9), 'a', 'an expired lease makes the job pickable again, with nothing else running');
SELECT row_eq(
    $$ SELECT g.state, g.attempt, g.picked_at, g.lease_until FROM pgq.get_job(pg_temp.id('a')) AS g $$,
    ROW ('running'::text, 2, pgq._now(), pgq._now() + interval '1 second'), 'the attempt that timed out is counted');
SELECT is((SELECT count(DISTINCT l.lease_token) FROM lease AS l), 2::bigint, 'the next lease has another token');

-- With which result: the job's own, or else that of its queue

CREATE FUNCTION pg_temp.time_out(of_job text, of_queue text, max_attempts integer DEFAULT 5)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_job record;
BEGIN
    PERFORM pgq.drop_queue('mail', force => true);
    PERFORM pgq.set_queue_config('mail', timeout_milliseconds => 1000, timeout_with_result => of_queue,
        retry_backoff => 'fixed', pause_between_retries_milliseconds => 7000);
    PERFORM pgq.add_job('mail', '"job"', timeout_with_result => of_job, max_attempts => time_out.max_attempts);
    PERFORM pgq.pick_jobs(ARRAY['mail'], worker => 'slow');
    CALL pg_temp.pass('1 minute');
    PERFORM pgq.pick_jobs(ARRAY['other']);
    PERFORM pgq.pick_jobs(ARRAY['mail']);
    SELECT l.state, l.attempt, l.start_after - pgq._now() AS starts_in, l.error,
           jsonb_path_query_array(l.attempts, '$[*].outcome') AS outcomes
    INTO v_job FROM pgq.list_jobs('mail') AS l;
    RETURN concat_ws(', ', v_job.state, v_job.attempt,
        CASE WHEN v_job.state = 'scheduled' THEN EXTRACT(epoch FROM v_job.starts_in)::integer || ' s' END,
        v_job.error, v_job.outcomes);
END
$$;
SELECT results_eq($$
    SELECT r.result, pg_temp.time_out(NULL, r.result), pg_temp.time_out(r.result, 'paused')
    FROM unnest(ARRAY['failed', 'paused', 'complete', 'cancelled']) AS r (result)
$$, $$ VALUES
    ('failed', 'scheduled, 1, 7 s, ["timed_out"]', 'scheduled, 1, 7 s, ["timed_out"]'),
    ('paused', 'running, 1, []', 'running, 1, []'),
    ('complete', 'complete, 1, timed out, ["complete"]', 'complete, 1, timed out, ["complete"]'),
    ('cancelled', 'cancelled, 1, timed out, ["cancelled"]', 'cancelled, 1, timed out, ["cancelled"]')
$$, 'a time-out has the result that the job says, or else its queue');
SELECT is(
    pg_temp.time_out('failed', 'paused', 1), 'dead, 1, timed out, ["failed"]', 'the last attempt that times out makes a job dead');
SELECT is(
    pg_temp.time_out('paused', 'failed', 1), 'running, 1, []', 'a time-out that counts as paused uses no attempt, not the last one either');
SELECT is(
    (SELECT string_agg(a ->> 'worker', ' ') FROM pgq.list_jobs('mail') AS l, jsonb_array_elements(l.attempts) AS a), NULL,
    'a paused attempt is not in the history');
DO $$ BEGIN
    PERFORM pgq.drop_queue('mail', force => true);
    PERFORM pgq.set_queue_config('mail', timeout_milliseconds => 1000);
    CALL pg_temp.add('a', 'b');
    PERFORM pg_temp.pick(9);
    PERFORM pgq.set_queue_config('mail', timeout_with_result => 'complete');
    CALL pg_temp.pass('1 second');
    PERFORM pg_temp.pick(9);
END $$;
SELECT is(
    concat_ws(' ', pg_temp.state('a'), pg_temp.state('b')), 'complete complete',
    'the result of a time-out is the one that is set when it is met');

-- A whole batch with different results

DO $$ BEGIN
    PERFORM pgq.drop_queue('mail', force => true);
    PERFORM pgq.set_queue_config('mail', timeout_milliseconds => 1000, retry_backoff => 'fixed',
        pause_between_retries_milliseconds => 60000);
    PERFORM pgq.add_job('mail', to_jsonb(r || i), timeout_with_result => r)
    FROM unnest(ARRAY['failed', 'paused', 'complete', 'cancelled']) AS r, generate_series(1, 3) AS i;
    PERFORM pg_temp.pick(99);
    CALL pg_temp.pass('1 second');
END $$;
SELECT is(
    pg_temp.pick(99), 'paused1 paused2 paused3', 'one pick settles leases that ran out with each of the results');
SELECT results_eq(
    $$ SELECT l.state, count(*) FROM pgq.list_jobs('mail') AS l GROUP BY l.state ORDER BY l.state $$,
    $$ VALUES ('cancelled', 3::bigint), ('complete', 3), ('running', 3), ('scheduled', 3) $$,
    'each of them has its own');

-- Beside fresh jobs

CREATE PROCEDURE pg_temp.restart(pause_milliseconds bigint, max_concurrency integer DEFAULT NULL, of_queue text DEFAULT 'failed')
LANGUAGE plpgsql
AS $$ BEGIN
    PERFORM pgq.drop_queue('mail', force => true);
    PERFORM pgq.set_queue_config('mail', timeout_milliseconds => 1000, timeout_with_result => of_queue, max_attempts => 3,
        retry_backoff => 'fixed', pause_between_retries_milliseconds => pause_milliseconds,
        max_concurrency => restart.max_concurrency);
END $$;
DO $$ BEGIN
    CALL pg_temp.restart(0);
    CALL pg_temp.add('expired1', 'expired2');
    PERFORM pg_temp.pick(2);
    CALL pg_temp.pass('0.5 seconds');
    CALL pg_temp.add('fresh1', 'fresh2');
    CALL pg_temp.pass('0.5 seconds');
END $$;
SELECT is(
    pg_temp.pick(3), 'fresh1 fresh2 expired1',
    'a pick that meets leases that ran out is full all the same, and jobs without a pause come after those that waited');
SELECT is(pg_temp.pick(9), 'expired2', 'the rest of them is left for the next pick');
DO $$ BEGIN
    CALL pg_temp.restart(0);
    PERFORM pgq.add_job('mail', '"urgent"', priority => 1);
    PERFORM pg_temp.pick();
    CALL pg_temp.add('fresh');
    CALL pg_temp.pass('1 second');
END $$;
SELECT is(pg_temp.pick(9), 'urgent fresh', 'a job that timed out keeps its priority');
DO $$ BEGIN
    CALL pg_temp.restart(1);
    CALL pg_temp.add('alive', 'expired');
    PERFORM pg_temp.pick(9);
    PERFORM pgq.keep_jobs_alive(ARRAY[pg_temp.id('alive')], NULL, 5000);
    PERFORM pgq.add_job('post', '"of post"', timeout_milliseconds => 1000, timeout_with_result => 'paused');
    PERFORM pg_temp.pick(9, 'post');
    CALL pg_temp.pass('0.5 seconds');
    CALL pg_temp.add('fresh');
    CALL pg_temp.pass('0.5 seconds');
END $$;
SELECT is(
    pg_temp.pick(9, 'mail', 'post'), 'fresh of post', 'a pick from several queues meets the leases that ran out in each');
SELECT is(
    concat_ws(' ', pg_temp.state('alive'), pg_temp.state('expired')), 'running scheduled',
    'a job whose lease holds runs on when others time out');
SELECT is(pgq._time_out_jobs(ARRAY[pg_temp.id('alive')]), 0, 'a lease that was kept alive meanwhile is looked at again, and holds');

-- What a time-out frees

CREATE FUNCTION pg_temp.freed(result text)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
    CALL pg_temp.restart(60000, 1, result);
    PERFORM pgq.add_job('mail', '"job"', unique_key => 'k');
    CALL pg_temp.add('next');
    PERFORM pg_temp.pick(9);
    CALL pg_temp.pass('1 second');
    RETURN concat_ws(', ', pg_temp.pick(9),
        CASE WHEN (pgq.add_job('mail', '"twin"', unique_key => 'k')).is_new THEN 'key' END);
END
$$;
SELECT results_eq(
    $$ SELECT r.result, pg_temp.freed(r.result) FROM unnest(ARRAY['failed', 'paused', 'complete', 'cancelled']) AS r (result) $$,
    $$ VALUES ('failed', 'next'), ('paused', 'next'), ('complete', 'next, key'), ('cancelled', 'next, key') $$,
    'each time-out frees the place under max_concurrency in the pick that meets it, and the unique key if the job has ended');

-- What the history tells

DO $$ BEGIN
    CALL pg_temp.restart(0);
    CALL pg_temp.add('job');
    PERFORM pg_temp.pick();
    CALL pg_temp.pass('1.5 seconds');
    PERFORM pgq.pick_jobs(ARRAY['mail'], worker => 'second');
END $$;
SELECT is(
    (SELECT g.attempts FROM pgq.get_job(pg_temp.id('job')) AS g),
    jsonb_build_array(jsonb_build_object(
        'attempt', 1, 'picked_at', pgq._now() - interval '1.5 seconds', 'ended_at', pgq._now(), 'milliseconds', 1500.000,
        'worker', 'tester', 'outcome', 'timed_out', 'error', 'timed out')),
    'an attempt that timed out is kept with its own worker, and ends at the pick that met it');
DO $$ BEGIN
    FOR v_time IN 2..3 LOOP
        CALL pg_temp.pass('1 second');
        PERFORM pg_temp.pick(9);
    END LOOP;
END $$;
SELECT row_eq(
    $$ SELECT g.state, g.attempt, g.error, jsonb_path_query_array(g.attempts, '$[*].error') FROM pgq.get_job(pg_temp.id('job')) AS g $$,
    ROW ('dead'::text, 3, 'timed out'::text, '["timed out", "timed out", "timed out"]'::jsonb),
    'a job that times out again and again is dead after its last attempt');

-- Until it is met, a lease that ran out may still be used

DO $$ BEGIN
    PERFORM pgq.drop_queue('mail', force => true);
    PERFORM pgq.set_queue_config('mail', timeout_milliseconds => 1000);
    CALL pg_temp.add('a', 'b');
    PERFORM pg_temp.pick(2);
    CALL pg_temp.pass('1 hour');
END $$;
SELECT is(pg_temp.release('a', 'complete'), 'complete', 'a late release counts as long as no pick has met the job');
SELECT is(pg_temp.pick(9), '', 'the other job is met by a pick');
SELECT throws_ok(
    $$ SELECT pg_temp.release('b', 'complete') $$, 'JQ003', NULL, 'and then its lease is lost');

-- The pause before the next attempt

CREATE FUNCTION pg_temp.pauses(backoff text, pause bigint, cap bigint, attempt integer)
RETURNS TABLE (shortest double precision, longest double precision)
LANGUAGE sql
AS $$
    SELECT min(EXTRACT(epoch FROM p.pause) * 1000), max(EXTRACT(epoch FROM p.pause) * 1000)
    FROM (SELECT pgq._retry_pause(backoff, pauses.pause, cap, attempt) AS pause FROM generate_series(1, 300)) AS p
$$;
SELECT is_empty($$
    SELECT a.attempt FROM generate_series(1, 1000, 37) AS a (attempt), pg_temp.pauses('fixed', 5000, 60000, a.attempt) AS p
    WHERE (p.shortest, p.longest) <> (5000, 5000)
$$, 'a fixed pause is the same after every attempt');
SELECT is_empty($$
    SELECT a.attempt, p.shortest, p.longest
    FROM (VALUES (1, 1000), (2, 2000), (3, 4000), (4, 8000), (7, 64000), (8, 100000), (9, 100000), (100, 100000),
                 (1000, 100000)) AS a (attempt, bound)
    CROSS JOIN LATERAL pg_temp.pauses('exponential', 1000, 100000, a.attempt) AS p
    WHERE p.shortest < 0 OR p.longest > a.bound
       -- Full jitter: of 300 pauses some are in the first and in the last tenth.
       OR p.shortest > a.bound * 0.1 OR p.longest < a.bound * 0.9
$$, 'an exponential pause is anything up to the bound that doubles with each attempt, and no more than the cap');
SELECT is(
    (SELECT p.longest FROM pg_temp.pauses('exponential', 0, 100000, 10) AS p), 0::double precision,
    'no pause doubled is no pause');
SELECT cmp_ok(
    (SELECT p.longest FROM pg_temp.pauses('exponential', 604800000, 604800000, 1000) AS p), '<=', 604800000::double precision,
    'the longest pauses and the most attempts do not overflow');

CREATE FUNCTION pg_temp.start_after_failure(attempts integer)
RETURNS double precision
LANGUAGE plpgsql
AS $$
DECLARE
    v_name text := 'fails ' || attempts;
BEGIN
    PERFORM pgq.purge_queue('mail');
    CALL pg_temp.add(v_name);
    FOR v_attempt IN 1..attempts LOOP
        CALL pg_temp.pass('1 day');
        PERFORM pg_temp.pick();
        PERFORM pg_temp.release(v_name, 'failed');
    END LOOP;
    RETURN (SELECT EXTRACT(epoch FROM l.start_after - pgq._now()) * 1000 FROM pgq.list_jobs('mail', 'scheduled') AS l);
END
$$;
DO $$ BEGIN
    PERFORM pgq.drop_queue('mail', force => true);
    PERFORM pgq.set_queue_config('mail', retry_backoff => 'fixed', pause_between_retries_milliseconds => 1234);
END $$;
SELECT is(
    ARRAY[pg_temp.start_after_failure(1), pg_temp.start_after_failure(5)], '{1234,1234}'::double precision[],
    'a failed job waits for the pause of its queue');
DO $$ BEGIN
    PERFORM pgq.drop_queue('mail', force => true);
    PERFORM pgq.set_queue_config('mail', pause_between_retries_milliseconds => 1000,
        max_pause_between_retries_milliseconds => 4000);
END $$;
SELECT is_empty($$
    SELECT a.attempt, p.pause
    FROM unnest(ARRAY[1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5]) AS a (attempt), pg_temp.start_after_failure(a.attempt) AS p (pause)
    WHERE COALESCE(p.pause, -1) NOT BETWEEN 0 AND LEAST(4000, 1000 * 2 ^ (a.attempt - 1))
$$, 'a failed job waits for up to the exponential pause of its queue');

SELECT * FROM finish();
ROLLBACK;
