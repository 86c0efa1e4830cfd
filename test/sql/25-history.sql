\i test/setup.psql
-- History: what is kept of a finished job, how long, and in which slot of the ring.
BEGIN;
SELECT plan(17);

\i test/fixtures/clock.sql
\i test/fixtures/words.sql

-- Which jobs are kept

CREATE FUNCTION pg_temp.ends(keep_history text, wanted text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_name text := keep_history || ' ' || wanted;
    v_state text;
BEGIN
    PERFORM pgq.set_queue_config('mail', keep_history => keep_history);
    CALL pg_temp.add(v_name);
    PERFORM pg_temp.pick();
    v_state := CASE wanted
        WHEN 'dead' THEN pg_temp.release(v_name, 'failed', retry => false)
        ELSE pg_temp.release(v_name, wanted) END;
    RETURN concat_ws(', ', v_state, pg_temp.state(v_name));
END
$$;
SELECT results_eq($$
    SELECT k.keep_history, s.state, pg_temp.ends(k.keep_history, s.state)
    FROM unnest(ARRAY['all', 'dead', 'none']) WITH ORDINALITY AS k (keep_history, place)
    CROSS JOIN unnest(ARRAY['complete', 'dead', 'cancelled']) WITH ORDINALITY AS s (state, place)
    ORDER BY k.place, s.place
$$, $$ VALUES
    ('all', 'complete', 'complete, complete'),
    ('all', 'dead', 'dead, dead'),
    ('all', 'cancelled', 'cancelled, cancelled'),
    ('dead', 'complete', 'complete'),
    ('dead', 'dead', 'dead, dead'),
    ('dead', 'cancelled', 'cancelled'),
    ('none', 'complete', 'complete'),
    ('none', 'dead', 'dead'),
    ('none', 'cancelled', 'cancelled')
$$, 'keep_history says which finished jobs are kept; the others are gone as soon as they end');
SELECT is(
    (SELECT s.ready + s.scheduled + s.running + s.held FROM pgq.queue_stats('mail') AS s), 0::bigint,
    'a job that is not kept is not live either');
SELECT is(pg_temp.state('all complete'), 'complete', 'to keep less from now on deletes nothing that is kept');
DO $$ BEGIN
    PERFORM pgq.set_queue_config('mail', keep_history => 'none');
    PERFORM pgq.add_job('mail', '"waits"');
    PERFORM pgq.cancel_job(pg_temp.id('waits'));
END $$;
SELECT is(pg_temp.state('waits'), NULL, 'keep_history counts for a job that is cancelled before it ran');
DO $$ BEGIN PERFORM pgq.set_queue_config('mail', keep_history => 'all'); END $$;

-- What is kept of a job

CREATE TEMPORARY TABLE job AS
SELECT a.job_id
FROM pgq.add_job('mail', '"full"', start_after => pgq._now() + interval '1 minute', priority => 7, max_attempts => 3,
    unique_key => 'u', group_key => 'g', timeout_milliseconds => 60000, timeout_with_result => 'paused',
    headers => '{"traceparent": "00-1"}') AS a;
CREATE TEMPORARY TABLE live AS SELECT g.* FROM job AS j, pgq.get_job(j.job_id) AS g;
CALL pg_temp.pass('2 minutes');
DO $$ BEGIN
    PERFORM pg_temp.pick();
    CALL pg_temp.pass('1.5 seconds');
    PERFORM pgq.release_job(l.job_id, 'complete', l.lease_token, output => '{"sum": [1, null]}')
    FROM lease AS l WHERE l.name = 'full';
END $$;
SELECT is(
    to_jsonb(g) - ARRAY['attempts', 'attempt', 'output', 'state', 'picked_at', 'finished_at', 'worker'],
    to_jsonb(l) - ARRAY['attempts', 'attempt', 'output', 'state', 'picked_at', 'finished_at', 'worker'],
    'a finished job keeps all that it was added with')
FROM live AS l, pgq.get_job(l.job_id) AS g;
SELECT row_eq(
    $$ SELECT g.state, g.attempt, g.output, g.error, g.worker, g.lease_until, g.held_by,
              g.picked_at - '2030-01-01 00:00+00'::timestamptz, g.finished_at - g.picked_at
       FROM job AS j, pgq.get_job(j.job_id) AS g $$,
    ROW ('complete'::text, 1, '{"sum": [1, null]}'::jsonb, NULL::text, 'tester'::text, NULL::timestamptz, NULL::text,
         interval '2 minutes', interval '1.5 seconds'),
    'a finished job tells when, by whom and with which output it ended');

-- The attempts

DO $$ BEGIN
    PERFORM pgq.set_queue_config('mail', retry_backoff => 'fixed', pause_between_retries_milliseconds => 0);
    PERFORM pgq.add_job('mail', '"tries"', timeout_milliseconds => 3000);
    PERFORM pgq.pick_jobs(ARRAY['mail'], worker => 'one');
END $$;
CREATE TEMPORARY TABLE try AS SELECT pg_temp.id('tries') AS job_id;
SELECT is(
    (SELECT g.attempts FROM try AS t, pgq.get_job(t.job_id) AS g), '[]'::jsonb,
    'a job has no attempts as long as its first one runs');
CALL pg_temp.pass('250.125 milliseconds');
DO $$ BEGIN
    PERFORM pgq.release_job(t.job_id, 'failed', error => 'no paper') FROM try AS t;
    PERFORM pgq.pick_jobs(ARRAY['mail']);
    CALL pg_temp.pass('4 seconds');
    PERFORM pgq.pick_jobs(ARRAY['mail'], worker => 'three');
    CALL pg_temp.pass('1 second');
    PERFORM pgq.release_job(t.job_id, 'paused') FROM try AS t;
    PERFORM pgq.pick_jobs(ARRAY['mail'], worker => 'four');
    PERFORM pgq.release_job(t.job_id, 'failed', error => 'no ink', retry => false) FROM try AS t;
END $$;
SELECT results_eq($$
    SELECT a.attempt, a.outcome, a.worker, a.error, a.milliseconds, a.ended_at - a.picked_at
    FROM try AS t
    CROSS JOIN LATERAL pgq.get_job(t.job_id) AS g
    CROSS JOIN LATERAL jsonb_to_recordset(g.attempts) AS a (
        attempt integer, outcome text, worker text, error text, milliseconds numeric,
        picked_at timestamptz, ended_at timestamptz)
$$, $$ VALUES
    (1, 'failed', 'one', 'no paper', 250.125, interval '0.250125 seconds'),
    (2, 'timed_out', NULL, 'timed out', 4000.000, interval '4 seconds'),
    (3, 'failed', 'four', 'no ink', 0.000, interval '0 seconds')
$$, 'the history of attempts is in order and tells when, how long, who, how it ended and why; a paused one is none');
SELECT is(
    (SELECT array_agg(DISTINCT k.key ORDER BY k.key)
     FROM try AS t, pgq.get_job(t.job_id) AS g, jsonb_array_elements(g.attempts) AS a,
          jsonb_object_keys(a) AS k (key)),
    '{attempt,ended_at,error,milliseconds,outcome,picked_at,worker}'::text[],
    'an attempt has these fields and no other');

DO $$ BEGIN PERFORM pgq.retry_job(t.job_id) FROM try AS t; END $$;
SELECT is(
    (SELECT jsonb_path_query_array(g.attempts, '$[*].outcome') FROM try AS t, pgq.get_job(t.job_id) AS g),
    '["failed", "timed_out", "failed"]'::jsonb, 'the history of attempts stays when the job is retried');
DO $$ BEGIN
    PERFORM pgq.pick_jobs(ARRAY['mail']);
    PERFORM pgq.release_job(t.job_id, 'complete') FROM try AS t;
END $$;
SELECT is(
    (SELECT jsonb_path_query_array(g.attempts, '$[*].attempt') FROM try AS t, pgq.get_job(t.job_id) AS g),
    '[1, 2, 3, 1]'::jsonb, 'a retried job counts its attempts anew, behind the old ones');

DO $$ BEGIN
    PERFORM pgq.add_job('mail', '"stubborn"', max_attempts => 150);
    FOR v_attempt IN 1..150 LOOP
        PERFORM pgq.release_job(p.job_id, 'failed', error => p.attempt || repeat('é', 5000))
        FROM pgq.pick_jobs(ARRAY['mail']) AS p;
    END LOOP;
END $$;
SELECT row_eq(
    $$ SELECT g.state, g.attempt, jsonb_array_length(g.attempts), g.attempts -> 0 -> 'attempt',
              g.attempts -> -1 -> 'attempt'
       FROM pgq.get_job(pg_temp.id('stubborn')) AS g $$,
    ROW ('dead'::text, 150, 100, '51'::jsonb, '150'::jsonb), 'the last 100 attempts are kept');
SELECT row_eq(
    $$ SELECT length(g.error), max(length(a ->> 'error')), min(length(a ->> 'error'))
       FROM pgq.get_job(pg_temp.id('stubborn')) AS g, jsonb_array_elements(g.attempts) AS a
       GROUP BY g.error $$,
    ROW (4000, 4000, 4000), 'the first 4000 characters of an error are kept');

-- The ring of slots

SELECT is(pgq._day('1970-01-01 00:00:00+00'), 0, 'days are counted from 1970');
SELECT row_eq(
    $$ SELECT pgq._day('2030-01-01 23:59:59.999999+00') - pgq._day('2030-01-01 00:00:00+00'),
              pgq._day('2030-01-02 00:00:00+00') - pgq._day('2030-01-01 23:59:59.999999+00') $$,
    ROW (0, 1), 'a day begins at midnight UTC, whatever the time zone of the session');
SELECT is(
    pgq._day('2030-06-01 03:00:00+05'), pgq._day('2030-05-31 22:00:00+00'), 'a day is the same in all time zones');

CREATE FUNCTION pg_temp.kept_days(state text, days integer)
RETURNS integer
LANGUAGE plpgsql
AS $$
DECLARE
    v_name text := format('%s for %s', state, days);
BEGIN
    PERFORM pgq.set_queue_config('mail', dead_days => CASE state WHEN 'dead' THEN days ELSE 31 - days END,
        history_days => CASE state WHEN 'dead' THEN 31 - days ELSE days END);
    CALL pg_temp.add(v_name);
    PERFORM pg_temp.pick();
    PERFORM pg_temp.release(v_name, CASE state WHEN 'dead' THEN 'failed' ELSE state END, retry => state <> 'dead');
    RETURN (f.slot - pgq._day(pgq._now()) % 40 + 40) % 40
    FROM pgq.finished_job AS f WHERE f.payload = to_jsonb(v_name);
END
$$;
SELECT is_empty($$
    SELECT s.state, d.days, pg_temp.kept_days(s.state, d.days)
    FROM unnest(ARRAY['complete', 'cancelled', 'dead']) AS s (state)
    CROSS JOIN generate_series(1, 30) AS d (days)
    WHERE pg_temp.kept_days(s.state, d.days) IS DISTINCT FROM d.days
$$, 'a job goes to the slot of the day on which it expires: dead ones by dead_days, others by history_days');

SELECT * FROM finish();
ROLLBACK;
