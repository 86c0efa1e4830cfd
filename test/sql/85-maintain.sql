\i test/setup.psql
-- Maintenance: what is over goes, and never what is still to be kept.
BEGIN;
SELECT plan(18);

\i test/fixtures/clock.sql

-- maintain leaves a slot that somebody has locked to the next call: no autovacuum shall come in between here.
LOCK TABLE pgq.finished_job IN ACCESS EXCLUSIVE MODE;

-- Walks through days. On each day a job finishes in each queue and in each way just after midnight, and another just
-- before the next. After each step the history is compared with how long each job is to be kept: at least to the
-- moment, and no longer than to the end of that day (UTC, of 24 hours, whatever the time zone of the session).

CREATE TEMPORARY TABLE finished (run text NOT NULL, job_id bigint NOT NULL, kept_until timestamptz NOT NULL);
CREATE TYPE pg_temp.walk_result AS (
    lost bigint,           -- jobs that were gone before their time, at any step
    left_over bigint,      -- jobs that were still there after a call of maintain, though their day had passed
    left_over_last bigint, -- the same at the last call
    gone bigint            -- jobs that are gone at the end
);
CREATE FUNCTION pg_temp.walk(run text, begins_at timestamptz, days integer, maintained_days integer[])
RETURNS pg_temp.walk_result
LANGUAGE plpgsql
AS $$
DECLARE
    v_result pg_temp.walk_result := (0, 0, 0, 0);
    v_lost bigint;
    v_left_over bigint;
    v_is_maintained boolean;
BEGIN
    PERFORM set_config('test.now', begins_at::text, true);
    PERFORM pgq.set_queue_config(format('%s days', d), history_days => d, dead_days => 31 - d)
    FROM unnest(ARRAY[1, 7, 30]) AS d;
    FOR v_step IN 0 .. days * 2 - 1 LOOP
        PERFORM pgq.add_job(format('%s days', d), to_jsonb(result))
        FROM unnest(ARRAY[1, 7, 30]) AS d, unnest(ARRAY['complete', 'cancelled', 'failed']) AS result;
        WITH picked AS MATERIALIZED (
            SELECT p.queue_name, p.job_id, p.lease_token, p.payload #>> '{}' AS result
            FROM pgq.pick_jobs(ARRAY['1 days', '7 days', '30 days'], 9) AS p
        ), released AS MATERIALIZED (
            SELECT p.queue_name, p.job_id,
                   pgq.release_job(p.job_id, p.result, p.lease_token, retry => p.result <> 'failed') AS state
            FROM picked AS p
        )
        INSERT INTO finished (run, job_id, kept_until)
        SELECT walk.run, r.job_id, pgq._now() + interval '24 hours'
            * CASE r.state WHEN 'dead' THEN c.dead_days ELSE c.history_days END
        FROM released AS r CROSS JOIN LATERAL pgq.get_queue_config(r.queue_name) AS c;

        CALL pg_temp.pass(CASE v_step % 2 WHEN 0 THEN interval '86399.999999 seconds' ELSE interval '1 microsecond' END);
        v_is_maintained := v_step / 2 = ANY (maintained_days) AND v_step % 2 = 0;
        IF v_is_maintained THEN
            PERFORM pgq.maintain();
        END IF;
        SELECT count(*) FILTER (WHERE h.job_id IS NULL AND f.kept_until > pgq._now()),
               count(*) FILTER (WHERE h.job_id IS NOT NULL
                                AND date_trunc('day', f.kept_until, 'UTC') + interval '24 hours' <= pgq._now()),
               count(*) FILTER (WHERE h.job_id IS NULL)
        INTO v_lost, v_left_over, v_result.gone
        FROM finished AS f LEFT JOIN pgq.finished_job AS h ON h.job_id = f.job_id
        WHERE f.run = walk.run;
        v_result.lost := v_result.lost + v_lost;
        IF v_is_maintained THEN
            v_result.left_over := v_result.left_over + v_left_over;
            v_result.left_over_last := v_left_over;
        END IF;
    END LOOP;
    RETURN v_result;
END
$$;
SELECT is(
    pg_temp.walk('each day', '2030-01-01 00:00+00', 60, ARRAY(SELECT generate_series(0, 59))),
    (0, 0, 0, 800)::pg_temp.walk_result,
    'maintain on each day empties the history of the days that have passed, and nothing that is still to be kept');
SELECT is(
    pg_temp.walk('each ninth', '2031-01-01 00:00+00', 60, ARRAY(SELECT generate_series(5, 59, 9))),
    (0, 0, 0, 800)::pg_temp.walk_result,
    'eight days missed in a row leave nothing over and lose nothing');
SELECT is(
    pg_temp.walk('some', '2032-01-01 00:00+00', 60, ARRAY[0, 1, 3, 9, 10, 19, 20, 21, 22, 31, 38, 47, 56, 59]),
    (0, 0, 0, 800)::pg_temp.walk_result,
    'any days missed leave nothing over and lose nothing, as long as they are not more than eight in a row');
SELECT row_eq(
    $$ SELECT w.lost, w.left_over_last, w.gone
       FROM pg_temp.walk('long gap', '2033-01-01 00:00+00', 75, ARRAY[0, 5, 9] || ARRAY(SELECT generate_series(35, 74))) AS w $$,
    ROW (0::bigint, 0::bigint, 1070::bigint),
    'a gap of 25 days loses nothing, and what it leaves over goes within 40 days');
SELECT is(
    pg_temp.walk('never', '2034-01-01 00:00+00', 60, '{}'), (0, 0, 0, 0)::pg_temp.walk_result,
    'without maintain all of the history stays');

-- What it returns

CREATE FUNCTION pg_temp.slots_after(days integer)
RETURNS integer
LANGUAGE plpgsql
AS $$
BEGIN
    CALL pg_temp.pass(days * interval '24 hours');
    RETURN (pgq.maintain()).emptied_history_slots;
END
$$;
SELECT results_eq(
    $$ SELECT d.days, pg_temp.slots_after(d.days) FROM unnest(ARRAY[0, 0, 1, 0, 3, 8, 9, 10, 400]) AS d (days) $$,
    $$ VALUES (0, 9), (0, 0), (1, 1), (0, 0), (3, 3), (8, 8), (9, 9), (10, 9), (400, 9) $$,
    'each day that has passed is emptied once, at most nine at a time');
SET LOCAL lock_timeout = '1234ms';
SELECT is(pg_temp.slots_after(2), 2, 'it empties two more');
SELECT is(current_setting('lock_timeout'), '1234ms', 'the lock_timeout of the caller is as it was');

-- What it must not touch

DO $$ BEGIN
    PERFORM pgq.set_queue_config('mail', history_days => 1, dead_days => 1);
    PERFORM pgq.add_job('mail', to_jsonb(i), start_after => pgq._now() - interval '90 days', priority => i)
    FROM generate_series(1, 3) AS i;
    PERFORM pgq.pick_jobs(ARRAY['mail'], 2);
END $$;
CREATE TEMPORARY TABLE live AS SELECT l.* FROM pgq.list_jobs('mail') AS l;
DO $$ BEGIN
    CALL pg_temp.pass('50 days');
    PERFORM pgq.maintain();
END $$;
SELECT results_eq(
    $$ SELECT l.payload::integer, l.state, l.attempt FROM pgq.list_jobs('mail') AS l $$,
    $$ VALUES (3, 'ready', 1), (2, 'ready', 1), (1, 'ready', 0) $$,
    'a live job is kept however old it is, also one whose lease ran out long ago');

-- Throttles that are over

DO $$ BEGIN
    PERFORM pgq.drop_queue(s.queue_name, force => true) FROM pgq.queue_stats() AS s;
    PERFORM pgq.maintain();
    PERFORM pgq.add_job('mail', '1', unique_key => 'short', on_conflict => 'throttle', throttle_milliseconds => 1000);
    PERFORM pgq.add_job('mail', '1', unique_key => 'long', on_conflict => 'throttle', throttle_milliseconds => 1001);
    PERFORM pgq.add_job('mail', '1', unique_key => 'free');
    PERFORM pgq.add_job('post', '1', unique_key => 'short', on_conflict => 'throttle', throttle_milliseconds => 1000);
    PERFORM pgq.release_job(p.job_id, 'complete') FROM pgq.pick_jobs(ARRAY['mail', 'post'], 4) AS p;
    PERFORM pgq.add_job('mail', '2', unique_key => 'held', on_conflict => 'throttle', throttle_milliseconds => 1);
    PERFORM pgq.add_job('mail', '2', unique_key => 'running');
    PERFORM pgq.pick_jobs(ARRAY['mail']);
END $$;
CALL pg_temp.pass('0.999999 seconds');
SELECT is((pgq.maintain()).expired_unique_keys, 0, 'a throttle that is not over is left alone');
CALL pg_temp.pass('1 microsecond');
SELECT is((pgq.maintain()).expired_unique_keys, 2, 'throttles that are over are forgotten, in all queues, and counted');
SELECT set_eq(
    $$ SELECT k.unique_key FROM pgq.unique_key AS k $$, ARRAY['long', 'held', 'running'],
    'keys that a live job holds, or a throttle that goes on, are left');
SELECT results_eq($$
    SELECT k.key, (pgq.add_job('mail', '3', unique_key => k.key)).is_new
    FROM unnest(ARRAY['short', 'long', 'held', 'running']) AS k (key)
$$, $$ VALUES ('short', true), ('long', false), ('held', false), ('running', false) $$,
    'a key that is forgotten can be had again, the others not');
CALL pg_temp.pass('1 day');
SELECT is((pgq.maintain()).expired_unique_keys, 1, 'a key that a job took over from a throttle is not forgotten');

-- Workers that are gone

DO $$ BEGIN
    PERFORM pgq.announce_idle(ARRAY['mail', 'post'], 'gone', 0);
    PERFORM pgq.announce_idle(ARRAY['mail'], 'waits', 1);
END $$;
CALL pg_temp.pass('59.999999 seconds');
SELECT is((pgq.maintain()).gone_idle_workers, 0, 'a worker has a minute to come back');
CALL pg_temp.pass('1 microsecond');
SELECT is((pgq.maintain()).gone_idle_workers, 2, 'a worker that did not come back is forgotten in each of its queues');
SELECT results_eq($$ SELECT w.worker FROM pgq.idle_worker AS w $$, ARRAY['waits'], 'the others are not');

SELECT is(pgq.maintain(), (0, 0, 0, 0)::pgq.maintenance, 'there is nothing left to do');

SELECT * FROM finish();
ROLLBACK;
