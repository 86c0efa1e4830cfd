\i test/setup.psql
-- Control: cancel, retry, redrive, reschedule.
BEGIN;
SELECT plan(50);

\i test/fixtures/clock.sql
\i test/fixtures/words.sql

CREATE FUNCTION pg_temp.error_of(call text)
RETURNS text
LANGUAGE plpgsql
AS $$ BEGIN
    EXECUTE 'SELECT ' || call;
    RETURN 'none';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;

-- Each verb meets a job in each state

CREATE FUNCTION pg_temp.make(state text)
RETURNS bigint
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pgq.set_queue_config('mail');
    PERFORM pgq.drop_queue('mail', force => true);
    PERFORM pgq.set_queue_config('mail', max_concurrency => 9, max_concurrency_per_group => 1);
    PERFORM pgq.add_job('mail', '"job"', group_key => CASE make.state WHEN 'held' THEN 'g' END, unique_key => 'k',
        start_after => CASE make.state WHEN 'scheduled' THEN pgq._now() + interval '1 minute' END);
    CASE make.state
        WHEN 'scheduled', 'ready', 'held' THEN NULL;
        WHEN 'cancelled' THEN PERFORM pgq.cancel_job(pg_temp.id('job'));
        ELSE PERFORM pg_temp.pick();
    END CASE;
    CASE make.state
        WHEN 'complete' THEN PERFORM pg_temp.release('job', 'complete');
        WHEN 'dead' THEN PERFORM pg_temp.release('job', 'failed', retry => false);
        WHEN 'backing off' THEN PERFORM pg_temp.release('job', 'failed', delay_milliseconds => 60000);
        WHEN 'timed out' THEN CALL pg_temp.pass('1 hour');
        ELSE NULL;
    END CASE;
    RETURN pg_temp.id('job');
END
$$;
CREATE FUNCTION pg_temp.after(state text, call text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_job_id bigint := pg_temp.make(state);
BEGIN
    EXECUTE format('SELECT pgq.' || call, v_job_id);
    RETURN concat_ws(' ', pg_temp.state('job'), (SELECT l.attempt FROM pgq.list_jobs('mail') AS l));
EXCEPTION WHEN SQLSTATE 'JQ004' THEN
    RETURN SQLSTATE;
END
$$;
SELECT results_eq($$
    SELECT s.state, pg_temp.after(s.state, 'cancel_job(%s)'), pg_temp.after(s.state, 'retry_job(%s)'),
           pg_temp.after(s.state, 'reschedule_job(%s, pgq._now())'),
           pg_temp.after(s.state, 'reschedule_job(%s, pgq._now() + interval ''1 hour'')')
    FROM unnest(ARRAY['scheduled', 'ready', 'held', 'backing off', 'running', 'timed out', 'complete', 'dead',
                      'cancelled']) AS s (state)
$$, $$ VALUES
    ('scheduled',   'cancelled 0', 'JQ004',   'ready 0', 'scheduled 0'),
    ('ready',       'cancelled 0', 'JQ004',   'ready 0', 'scheduled 0'),
    ('held',        'cancelled 0', 'JQ004',   'held 0',  'held 0'),
    ('backing off', 'cancelled 1', 'JQ004',   'ready 1', 'scheduled 1'),
    ('running',     'cancelled 1', 'JQ004',   'JQ004',   'JQ004'),
    ('timed out',   'cancelled 1', 'JQ004',   'JQ004',   'JQ004'),
    ('complete',    'JQ004',       'ready 0', 'JQ004',   'JQ004'),
    ('dead',        'JQ004',       'ready 0', 'JQ004',   'JQ004'),
    ('cancelled',   'JQ004',       'ready 0', 'JQ004',   'JQ004')
$$, 'each verb is for jobs in certain states, and refused with JQ004 for the others');
SELECT is_empty($$
    SELECT c.call, i.job_id
    FROM unnest(ARRAY['pgq.cancel_job(%s)', 'pgq.retry_job(%s)', 'pgq.reschedule_job(%s, now())']) AS c (call)
    CROSS JOIN unnest(ARRAY[0, -1, 9007199254740991, 9223372036854775807]) AS i (job_id)
    WHERE pg_temp.error_of(format(c.call, i.job_id)) <> 'JQ002'
$$, 'a job that is not known is refused with JQ002');

-- Cancel

DO $$ BEGIN
    PERFORM pg_temp.make('running');
    PERFORM pgq.cancel_job(pg_temp.id('job'), 'the customer has left');
END $$;
SELECT row_eq(
    $$ SELECT g.state, g.error, g.finished_at, g.worker, g.attempts -> 0 ->> 'outcome' FROM pgq.get_job(pg_temp.id('job')) AS g $$,
    ROW ('cancelled'::text, 'the customer has left'::text, pgq._now(), 'tester'::text, 'cancelled'::text),
    'a cancelled job keeps the reason, and its attempt');
SELECT throws_ok(
    $$ SELECT pg_temp.release('job', 'complete') $$, 'JQ003', NULL, 'the worker of a cancelled job can no longer release it');
SELECT is(pg_temp.pick(9), '', 'a cancelled job is not picked');
SELECT is((pgq.add_job('mail', '"next"', unique_key => 'k')).is_new, true, 'a cancelled job frees its unique key');
SELECT is(pg_temp.pick(9), 'next', 'the next job runs');
DO $$ BEGIN
    PERFORM pg_temp.make('ready');
    PERFORM pgq.cancel_job(pg_temp.id('job'));
END $$;
SELECT row_eq(
    $$ SELECT g.state, g.error, g.attempts FROM pgq.get_job(pg_temp.id('job')) AS g $$,
    ROW ('cancelled'::text, NULL::text, '[]'::jsonb), 'a job that is cancelled before it ran has no attempt');

-- Retry

DO $$ BEGIN
    PERFORM pgq.drop_queue('mail', force => true);
    PERFORM pgq.add_job('mail', '"job"', priority => 3, max_attempts => 2, group_key => 'g', timeout_milliseconds => 5000,
        timeout_with_result => 'paused', headers => '{"h": 1}');
    FOR v_attempt IN 1..2 LOOP
        PERFORM pg_temp.pick();
        PERFORM pg_temp.release('job', 'failed', 'attempt ' || v_attempt, 0);
    END LOOP;
    CALL pg_temp.pass('1 hour');
END $$;
CREATE TEMPORARY TABLE before AS SELECT g.* FROM pgq.get_job(pg_temp.id('job')) AS g;
SELECT is((SELECT b.state FROM before AS b), 'dead', 'a job is dead');
DO $$ BEGIN PERFORM pgq.retry_job(pg_temp.id('job')); END $$;
SELECT is(
    to_jsonb(g) - ARRAY['state', 'attempt', 'start_after', 'finished_at', 'picked_at', 'worker', 'error'],
    to_jsonb(b) - ARRAY['state', 'attempt', 'start_after', 'finished_at', 'picked_at', 'worker', 'error'],
    'a job that is retried is what it was: id, payload, options and the history of its attempts')
FROM before AS b, pgq.get_job(b.job_id) AS g;
SELECT row_eq(
    $$ SELECT g.state, g.attempt, g.start_after, g.finished_at, g.picked_at, g.worker, g.error
       FROM before AS b, pgq.get_job(b.job_id) AS g $$,
    ROW ('ready'::text, 0, pgq._now(), NULL::timestamptz, NULL::timestamptz, NULL::text, NULL::text),
    'and it is ready now, its attempts anew');
SELECT is(pg_temp.pick() || ' ' || pg_temp.release('job', 'failed', delay_milliseconds => 0), 'job ready', 'it fails again');
SELECT is(pg_temp.pick() || ' ' || pg_temp.release('job', 'failed'), 'job dead', 'and is dead after as many attempts as before');
DO $$ BEGIN PERFORM pgq.retry_job(pg_temp.id('job'), pgq._now() + interval '1 minute'); END $$;
SELECT is(pg_temp.pick(9), '', 'a job may be retried later');
CALL pg_temp.pass('1 minute');
SELECT is(pg_temp.pick(9), 'job', 'at the time given');
SELECT is(pg_temp.release('job', 'complete'), 'complete', 'it completes');
DO $$ BEGIN PERFORM pgq.retry_job(pg_temp.id('job'), pgq._now() - interval '1 day'); END $$;
SELECT is(
    (SELECT g.start_after FROM pgq.get_job(pg_temp.id('job')) AS g), pgq._now(), 'a time that has passed means now');
SELECT is(
    (SELECT string_agg(a ->> 'outcome', ' ') FROM pgq.get_job(pg_temp.id('job')) AS g, jsonb_array_elements(g.attempts) AS a),
    'failed failed failed failed complete', 'the history of all attempts stays');

DO $$ BEGIN
    PERFORM pg_temp.make('dead');
    PERFORM pgq.add_job('mail', '"other"', unique_key => 'k');
END $$;
SELECT throws_ok(
    $$ SELECT pgq.retry_job(pg_temp.id('job')) $$,
    '23505', 'unique key "k" of job ' || pg_temp.id('job') || ' is held by another job',
    'a job whose unique key another one holds is not retried');
SELECT is(pg_temp.state('job'), 'dead', 'it is what it was');
DO $$ BEGIN PERFORM pgq.cancel_job(pg_temp.id('other')); END $$;
SELECT lives_ok($$ SELECT pgq.retry_job(pg_temp.id('job')) $$, 'it is retried when the key is free');
SELECT is((pgq.add_job('mail', '"x"', unique_key => 'k')).is_new, false, 'and takes the key');

-- Reschedule

DO $$ BEGIN
    PERFORM pg_temp.make('scheduled');
    PERFORM pgq.reschedule_job(pg_temp.id('job'), pgq._now() + interval '10 seconds');
    CALL pg_temp.pass('9.999999 seconds');
END $$;
SELECT is(pg_temp.pick(9), '', 'a job that is rescheduled is not picked before its new time');
CALL pg_temp.pass('1 microsecond');
SELECT is(pg_temp.pick(9), 'job', 'but at it');
DO $$ BEGIN
    PERFORM pg_temp.make('scheduled');
    PERFORM pgq.reschedule_job(pg_temp.id('job'), pgq._now() - interval '1 hour');
END $$;
SELECT is((SELECT g.start_after FROM pgq.get_job(pg_temp.id('job')) AS g), pgq._now(), 'a time that has passed means now');
SELECT is(pg_temp.pick(9), 'job', 'and the job is picked');

-- Redrive

DO $$ BEGIN
    PERFORM pgq.drop_queue('mail', force => true);
    PERFORM pgq.add_job('mail', '"d1"', unique_key => 'k');
    CALL pg_temp.add('d2', 'd3', 'd4', 'done', 'gone');
    PERFORM pgq.add_job('post', '"other queue"');
    PERFORM pg_temp.pick(9, 'mail', 'post');
    PERFORM pg_temp.release('done', 'complete');
    PERFORM pg_temp.release('gone', 'cancelled', 'Connection reset');
    PERFORM pg_temp.release('other queue', 'failed', 'Connection reset', retry => false);
    PERFORM pg_temp.release('d1', 'failed', 'Connection reset', retry => false);
    CALL pg_temp.pass('1 minute');
    PERFORM pgq.keep_jobs_alive(ARRAY[l.job_id], ARRAY[l.lease_token], 3600000) FROM lease AS l WHERE l.name IN ('d3', 'd4');
END $$;
SELECT is(pg_temp.release('d2', 'failed', 'connection refused (50 % of it)', retry => false), 'dead', 'the second dies a minute later');
CALL pg_temp.pass('1 minute');
SELECT is(pg_temp.release('d3', 'failed', 'no paper', retry => false), 'dead', 'the third another minute later');
SELECT is(pg_temp.release('d4', 'failed', retry => false), 'dead', 'the fourth without an error');
CREATE FUNCTION pg_temp.redriven(options text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_preview bigint;
    v_count bigint;
    v_names text;
BEGIN
    EXECUTE format('SELECT pgq.redrive_jobs(%L, preview => true %s)', 'mail', options) INTO v_preview;
    EXECUTE format('SELECT pgq.redrive_jobs(%L %s)', 'mail', options) INTO v_count;
    v_names := (SELECT string_agg(l.payload #>> '{}', ' ' ORDER BY l.job_id) FROM pgq.list_jobs('mail', 'ready') AS l);
    -- Undoes what it did.
    RAISE EXCEPTION USING MESSAGE = concat_ws(' ', v_preview, v_count, v_names), ERRCODE = 'UNDO1';
EXCEPTION WHEN SQLSTATE 'UNDO1' THEN
    RETURN SQLERRM;
END
$$;
SELECT results_eq($$
    SELECT o.options, pg_temp.redriven(o.options)
    FROM unnest(ARRAY[
        '',
        $o$, error_like => '%' $o$,
        $o$, error_like => 'connection%' $o$,
        $o$, error_like => 'connection' $o$,
        $o$, error_like => '%50 \% of%' $o$,
        $o$, error_like => 'never' $o$,
        $o$, dead_since => pgq._now() - interval '1 minute' $o$,
        $o$, dead_since => pgq._now() - interval '59.999999 seconds' $o$,
        $o$, dead_until => pgq._now() - interval '1 minute' $o$,
        $o$, dead_until => pgq._now() - interval '60.000001 seconds' $o$,
        $o$, dead_since => pgq._now() - interval '90 seconds', dead_until => pgq._now() - interval '30 seconds' $o$,
        $o$, dead_since => '-infinity', dead_until => 'infinity' $o$,
        $o$, max_jobs => 2 $o$,
        $o$, max_jobs => 99 $o$,
        $o$, error_like => 'connection%', dead_since => pgq._now() - interval '1 minute', max_jobs => 5 $o$
    ]) AS o (options)
$$, $$ VALUES
    ('', '4 4 d1 d2 d3 d4'),
    (', error_like => ''%'' ', '3 3 d1 d2 d3'),
    (', error_like => ''connection%'' ', '2 2 d1 d2'),
    (', error_like => ''connection'' ', '0 0'),
    (', error_like => ''%50 \% of%'' ', '1 1 d2'),
    (', error_like => ''never'' ', '0 0'),
    (', dead_since => pgq._now() - interval ''1 minute'' ', '3 3 d2 d3 d4'),
    (', dead_since => pgq._now() - interval ''59.999999 seconds'' ', '2 2 d3 d4'),
    (', dead_until => pgq._now() - interval ''1 minute'' ', '2 2 d1 d2'),
    (', dead_until => pgq._now() - interval ''60.000001 seconds'' ', '1 1 d1'),
    (', dead_since => pgq._now() - interval ''90 seconds'', dead_until => pgq._now() - interval ''30 seconds'' ', '1 1 d2'),
    (', dead_since => ''-infinity'', dead_until => ''infinity'' ', '4 4 d1 d2 d3 d4'),
    (', max_jobs => 2 ', '2 2 d1 d2'),
    (', max_jobs => 99 ', '4 4 d1 d2 d3 d4'),
    (', error_like => ''connection%'', dead_since => pgq._now() - interval ''1 minute'', max_jobs => 5 ', '1 1 d2')
$$, 'a redrive takes the dead jobs of its queue by error and time, the longest dead first, and a preview counts the same');
SELECT is(
    (SELECT count(*) FROM pgq.list_jobs('mail', 'dead')), 4::bigint, 'a preview changes nothing');
DO $$ BEGIN PERFORM pgq.add_job('mail', '"holder"', unique_key => 'k'); END $$;
SELECT is(
    pg_temp.redriven(', max_jobs => 1'), '1 1 d2 holder', 'a job whose unique key another one holds does not stop those after it');
SELECT is(pgq.redrive_jobs('mail'), 3::bigint, 'a redrive leaves a job whose unique key another one holds');
SELECT is(pg_temp.state('d1'), 'dead', 'that one stays dead');
SELECT is(pg_temp.pick(9), 'd2 d3 d4 holder', 'the others run again');
SELECT is(pgq.redrive_jobs('mail'), 0::bigint, 'a redrive of nothing');
SELECT row_eq(
    $$ SELECT l.attempt, l.attempts -> 0 ->> 'error' FROM pgq.list_jobs('mail', 'running') AS l WHERE l.payload = '"d3"' $$,
    ROW (1, 'no paper'::text), 'a job that is redriven has its attempts anew and keeps their history');
SELECT is(pg_temp.state('other queue'), 'dead', 'a redrive is for its queue only');
SELECT throws_ok($$ SELECT pgq.redrive_jobs('never') $$, 'JQ001', NULL, 'a queue that does not exist is refused with JQ001');
SELECT is(pg_temp.error_of($$ pgq.redrive_jobs('mail', max_jobs => 0) $$), '22023', 'a redrive is of at least one job');
SELECT is(pg_temp.error_of($$ pgq.redrive_jobs('mail', max_jobs => -1) $$), '22023', 'and not of less than none');

-- Two dead jobs with the same key: one may come back
DO $$ BEGIN
    PERFORM pgq.drop_queue('mail', force => true);
    FOR v_job IN 1..2 LOOP
        PERFORM pgq.add_job('mail', to_jsonb('twin' || v_job), unique_key => 'k');
        PERFORM pg_temp.pick();
        PERFORM pg_temp.release('twin' || v_job, 'failed', retry => false);
    END LOOP;
    PERFORM pgq.add_job('mail', '"throttled"', unique_key => 't', on_conflict => 'throttle', throttle_milliseconds => 60000);
    PERFORM pg_temp.pick();
    PERFORM pg_temp.release('throttled', 'failed', retry => false);
END $$;
SELECT is(pgq.redrive_jobs('mail'), 2::bigint, 'of dead jobs with one unique key one comes back, and a throttle is no holder');
SELECT is(pg_temp.pick(9), 'twin1 throttled', 'it is the first');
SELECT is((pgq.add_job('mail', '"x"', unique_key => 't')).is_new, false, 'the throttled one has its key again');
SELECT is(pg_temp.release('twin1', 'complete'), 'complete', 'when the first has ended');
SELECT is(pgq.redrive_jobs('mail'), 1::bigint, 'the other can come back');

-- In the caller's transaction

CREATE FUNCTION pg_temp.everything()
RETURNS text
LANGUAGE sql
AS $$
    SELECT md5(concat(
        (SELECT string_agg(j::text, ' ' ORDER BY j.job_id) FROM pgq.job AS j),
        (SELECT string_agg(f::text, ' ' ORDER BY f.job_id) FROM pgq.finished_job AS f),
        (SELECT string_agg(k::text, ' ' ORDER BY k.queue_id, k.unique_key) FROM pgq.unique_key AS k),
        (SELECT string_agg(h::text, ' ' ORDER BY h.hint_id) FROM pgq.group_hint AS h),
        (SELECT string_agg(r::text, ' ' ORDER BY r.job_id) FROM pgq.running_job AS r),
        (SELECT string_agg(q::text, ' ' ORDER BY q.queue_id) FROM pgq.queue AS q),
        (SELECT string_agg(l::text, ' ' ORDER BY l.queue_id, l.priority) FROM pgq.lane AS l),
        (SELECT string_agg(w::text, ' ' ORDER BY w.queue_id, w.worker) FROM pgq.idle_worker AS w)))
$$;
CREATE FUNCTION pg_temp.undo(state text, call text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_job_id bigint := pg_temp.make(state);
    v_before text := pg_temp.everything();
    v_between text;
BEGIN
    BEGIN
        EXECUTE format('SELECT pgq.' || call, v_job_id);
        v_between := pg_temp.everything();
        RAISE EXCEPTION USING ERRCODE = 'UNDO1';
    EXCEPTION WHEN SQLSTATE 'UNDO1' THEN NULL;
    END;
    RETURN CASE WHEN v_between = v_before THEN 'did nothing' WHEN pg_temp.everything() <> v_before THEN 'left something'
                ELSE 'undone' END;
END
$$;
SELECT is_empty($$
    SELECT c.state, c.call, u.report
    FROM (VALUES
        ('ready', 'add_job(''mail'', ''1'', group_key => ''g'', unique_key => ''other than %s'', priority => 5)'),
        ('ready', 'add_job(''new queue'', to_jsonb(%s))'),
        ('ready', 'add_job(''mail'', to_jsonb(%s), unique_key => ''k'', on_conflict => ''replace'')'),
        ('ready', 'add_jobs(''mail'', ARRAY[to_jsonb(%s)], unique_keys => ARRAY[''l''], group_keys => ARRAY[''g''])'),
        ('ready', 'pick_jobs(ARRAY[''mail''], 1 + %s %% 2)'),
        ('held', 'pick_jobs(ARRAY[''mail''], 1 + %s %% 2)'),
        ('timed out', 'pick_jobs(ARRAY[''mail''], 1 + %s %% 2)'),
        ('running', 'release_job(%s, ''complete'')'), ('running', 'release_job(%s, ''failed'')'),
        ('running', 'release_job(%s, ''paused'')'), ('running', 'release_job(%s, ''cancelled'')'),
        ('running', 'release_jobs(ARRAY[%s], NULL, ''complete'')'),
        ('running', 'release_and_pick(ARRAY[%s], NULL, ''paused'', ARRAY[''mail''])'),
        ('running', 'keep_jobs_alive(ARRAY[%s], NULL, 3600000)'),
        ('running', 'cancel_job(%s)'), ('held', 'cancel_job(%s)'), ('dead', 'retry_job(%s)'),
        ('dead', 'redrive_jobs(''mail'', max_jobs => 1 + %s %% 2)'), ('held', 'reschedule_job(%s, pgq._now() + interval ''1 hour'')'),
        ('ready', 'reschedule_job(%s, pgq._now() + interval ''1 hour'')'),
        ('ready', 'pause_queue(''mail'', reason => ''%s'')'), ('held', 'purge_queue(left(''mail%s'', 4))'),
        ('running', 'drop_queue(left(''mail%s'', 4), force => true)'),
        ('held', 'set_queue_config(''mail'', max_attempts => 1 + %s %% 2, max_concurrency => 0, max_concurrency_per_group => 5)'),
        ('running', 'announce_idle(ARRAY[''mail''], ''worker %s'')')
    ) AS c (state, call)
    CROSS JOIN LATERAL pg_temp.undo(c.state, c.call) AS u (report)
    WHERE u.report <> 'undone'
$$, 'whatever is done in a transaction that is rolled back leaves nothing behind, in any table');

-- A run that waits

DO $$ BEGIN
    PERFORM pgq.define_workflow('flow', 'w', 1, '[{"id": "a"}, {"id": "b"}]');
    PERFORM pgq.add_job('flow', '"run"', workflow => 'w');
    PERFORM pgq.finish_step(p.job_id, p.lease_token, NULL, '{"signal": "s"}') FROM pgq.pick_jobs(ARRAY['flow']) AS p;
END $$;
SELECT throws_ok(
    format('SELECT pgq.reschedule_job(%s, now())', pg_temp.id('run')), 'JQ004', format('job %s is held by its signal', pg_temp.id('run')),
    'a run that waits for a signal cannot be rescheduled');
SELECT is(pgq.purge_queue('flow'), 1::bigint, 'it can be purged');
SELECT is_empty('SELECT job_id FROM pgq.run_wait', 'with what it waits for');

SELECT * FROM finish();
ROLLBACK;
