\i test/setup.psql
-- Watermarks hide nothing for long: what comes to be below one is met by the next scan from the beginning.
BEGIN;
SELECT plan(15);

-- A pick asks all of this each time, some of it for each row.
-- A function that is called, and not inlined, costs it more than its statement.
CREATE FUNCTION pg_temp.called(query text)
RETURNS SETOF text
LANGUAGE plpgsql
AS $$
DECLARE
    v_line text;
BEGIN
    FOR v_line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
        RETURN QUERY SELECT m.name[1] FROM regexp_matches(v_line, '\._[a-z_]+', 'g') AS m (name);
    END LOOP;
END $$;
SELECT is_empty($$
    SELECT pg_temp.called($query$
        SELECT pgq._is_slow(pgq._scan_work('pgq.job_ready_idx') - 7, 120, pgq._now() - q.created_at),
               pgq._is_marked(m.noted, pgq._now()), pgq._marked_at(m.noted), pgq._marked_id(m.noted)
        FROM pgq.queue AS q
        CROSS JOIN LATERAL (SELECT current_setting(pgq._lane_mark(q.queue_id, 0::smallint), true) AS noted) AS m
    $query$)
    UNION ALL
    SELECT pg_temp.called($query$
        SELECT pgq._is_taken(j.xmin, j.xmax, txid_current_snapshot(), age('3'::xid)) FROM pgq.job AS j
    $query$)
$$, 'what a pick needs to know of watermarks and of rows that others hold is inlined');

-- The clock stands still until a test moves it.
SET LOCAL test.now = '2030-01-01 00:00:00+00';
CREATE OR REPLACE FUNCTION pgq._now()
RETURNS timestamptz
LANGUAGE sql
VOLATILE
PARALLEL SAFE
RETURN pg_catalog.current_setting('test.now')::timestamptz;
CREATE PROCEDURE pg_temp.pass(span interval)
LANGUAGE sql
AS $$ SELECT set_config('test.now', (pgq._now() + span)::text, true) $$;

-- The mark itself

SELECT is(
    pgq._watermark('pgqtest.mark', pgq._now()),
    ('-infinity', 0, false)::pgq.watermark,
    'without a mark a scan begins at the beginning');

DO $$ BEGIN
    PERFORM pgq._note_scan('pgqtest.mark', false, true, '2 seconds', '2029-12-31 23:00:00+00', 7, pgq._now());
END $$;
SELECT is(
    pgq._watermark('pgqtest.mark', pgq._now()),
    ('2029-12-31 23:00:00+00', 7, true)::pgq.watermark,
    'a slow scan leaves a mark where it found its first row, and the next scan begins there');
SELECT is(
    pgq._watermark('pgq.other_mark', pgq._now()),
    ('-infinity', 0, false)::pgq.watermark,
    'a mark is for one lane only');

CALL pg_temp.pass('19 seconds');
DO $$ BEGIN
    PERFORM pgq._note_scan('pgqtest.mark', true, true, '1 second', '2029-12-31 23:30:00+00', 8, pgq._now());
END $$;
SELECT is(
    pgq._watermark('pgqtest.mark', pgq._now()),
    ('2029-12-31 23:30:00+00', 8, true)::pgq.watermark,
    'a slow scan from a mark moves it on');
DO $$ BEGIN
    PERFORM pgq._note_scan('pgqtest.mark', true, false, '1 millisecond', '2029-12-31 23:40:00+00', 9, pgq._now());
END $$;
SELECT is(
    (pgq._watermark('pgqtest.mark', pgq._now())).from_id, 8::bigint,
    'a fast scan from a mark leaves it where it is');

CALL pg_temp.pass('1 second');
SELECT is(
    pgq._watermark('pgqtest.mark', pgq._now()),
    ('-infinity', 0, false)::pgq.watermark,
    'after ten times the time of the last full scan a scan begins at the beginning again, wherever the mark is');

DO $$ BEGIN
    PERFORM pgq._note_scan('pgqtest.mark', false, false, '1 millisecond', '2029-12-31 23:50:00+00', 9, pgq._now());
END $$;
CALL pg_temp.pass('-2 seconds');
SELECT is(
    (pgq._watermark('pgqtest.mark', pgq._now())).is_set, false,
    'a fast scan from the beginning takes the mark away');

SELECT is_empty($$
    WITH moment AS MATERIALIZED (
        SELECT '2030-01-01'::timestamptz + m * interval '86399.987651 seconds' AS at
        FROM generate_series(1, 5000) AS m
    ), marked AS MATERIALIZED (
        SELECT m.at, pgq._note_scan('pgqtest.mark', false, true, '1 hour', m.at, 0, m.at),
               pgq._watermark('pgqtest.mark', m.at) AS mark
        FROM moment AS m
    )
    SELECT m.at, (m.mark).from_at FROM marked AS m WHERE (m.mark).from_at IS DISTINCT FROM m.at
$$, 'a mark keeps its time to the microsecond: a later one would hide a job, an earlier one read the graveyard');

-- A slow scan that took nothing, because all it met were leases that ran out, knows nothing of what comes after.
DO $$ BEGIN
    PERFORM pgq.add_job('late', '"expired"');
    PERFORM pgq.pick_jobs(ARRAY['late'], timeout_milliseconds => 1000);
    CALL pg_temp.pass('2 seconds');
    PERFORM pgq.add_job('late', '"ready"');
    CALL pg_temp.pass('2 seconds');
    PERFORM pgq._note_lane_scan(
        q.queue_id, 0::smallint,
        ('-infinity', 0, false)::pgq.watermark, pgq._now(), true, interval '1 minute')
    FROM pgq.queue AS q WHERE q.queue_name = 'late';
END $$;
SELECT is(
    (SELECT p.payload FROM pgq.pick_jobs(ARRAY['late']) AS p), '"ready"'::jsonb,
    'a mark set beside leases that ran out does not hide the jobs behind them');

-- From here on every scan counts as slow, so that marks are set wherever they can be.
CREATE OR REPLACE FUNCTION pgq._is_slow(work bigint, allowed bigint, took interval)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN true;
ALTER FUNCTION pgq._note_scan(text, boolean, boolean, interval, timestamptz, bigint, timestamptz)
    RENAME TO _note_real_scan;
CREATE FUNCTION pgq._note_scan(
    mark text, was_set boolean, is_slow boolean, took interval, found_at timestamptz, found_id bigint, at timestamptz)
RETURNS void
LANGUAGE plpgsql
AS $$ BEGIN
    PERFORM pgq._note_real_scan(mark, was_set, true, '1 second', found_at, found_id, at);
END $$;
CREATE FUNCTION pg_temp.pick(max_jobs integer DEFAULT 1)
RETURNS text
LANGUAGE sql
AS $$
    SELECT coalesce(string_agg(p.payload #>> '{}', ' '), '') FROM pgq.pick_jobs(ARRAY['mail', 'post'], max_jobs) AS p
$$;

DO $$ BEGIN
    PERFORM pgq.set_queue_config('mail', timeout_milliseconds => 1000, pause_between_retries_milliseconds => 0);
    PERFORM pgq.set_queue_config('post', max_concurrency_per_group => 1);
END $$;
SELECT is(pg_temp.pick(), '', 'an empty queue leaves a mark too');
DO $$ BEGIN
    PERFORM pgq.add_job('mail', '"new"');
    PERFORM pgq.add_job('mail', '"late"', start_after => pgq._now() - interval '1 minute');
    PERFORM pgq.add_job('post', '"late-too"', start_after => pgq._now() - interval '1 minute', group_key => 'g');
END $$;
SELECT is(pg_temp.pick(3), 'new', 'a new job is above the mark and is picked at once');
CALL pg_temp.pass('11 seconds');
SELECT is(
    pg_temp.pick(3), 'late new late-too',
    'what came to be below the mark, an expired lease and a hint too, is met by the next full scan');

-- A whole queue is worked off under marks: three priorities, retries, delays, lost leases.
CREATE TEMPORARY TABLE done (job_id bigint NOT NULL, attempt integer NOT NULL);
DO $$
DECLARE
    v_job record;
BEGIN
    PERFORM pgq.drop_queue('mail', force => true);
    PERFORM pgq.drop_queue('post', force => true);
    PERFORM pgq.set_queue_config('mail', timeout_milliseconds => 2000, max_attempts => 1000,
        retry_backoff => 'fixed', pause_between_retries_milliseconds => 1500);
    PERFORM pgq.add_job('mail', to_jsonb(j), priority => j % 3,
        start_after => pgq._now() + (j % 7 - 3) * interval '1 second')
    FROM generate_series(1, 100) AS j;
    FOR v_round IN 1..300 LOOP
        FOR v_job IN SELECT p.job_id, p.lease_token, p.attempt FROM pgq.pick_jobs(ARRAY['mail'], 5) AS p LOOP
            CASE (v_job.job_id + v_job.attempt + v_round) % 4
                WHEN 0 THEN PERFORM pgq.release_job(v_job.job_id, 'failed', v_job.lease_token);
                WHEN 1 THEN NULL; -- Its lease runs out.
                WHEN 2 THEN 
                    PERFORM pgq.release_job(
                        v_job.job_id, 'paused', v_job.lease_token, delay_milliseconds => 300);
                ELSE
                    PERFORM pgq.release_job(v_job.job_id, 'complete', v_job.lease_token);
                    INSERT INTO done (job_id, attempt) VALUES (v_job.job_id, v_job.attempt);
            END CASE;
        END LOOP;
        CALL pg_temp.pass('1 second');
    END LOOP;
END
$$;
SELECT is(
    (SELECT ARRAY[count(*), count(DISTINCT d.job_id)] FROM done AS d), ARRAY[100, 100]::bigint[],
    'under marks a queue is worked off, each job completes once');
SELECT is(
    (SELECT s.ready + s.scheduled + s.running + s.held FROM pgq.queue_stats('mail') AS s), 0::bigint,
    'under marks no job is left behind');

SELECT * FROM finish();
ROLLBACK;
