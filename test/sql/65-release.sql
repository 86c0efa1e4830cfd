\i test/setup.psql
-- Release: each result, alone and in batches, and the fence of the lease token.
BEGIN;
SELECT plan(45);

\i test/fixtures/clock.sql
\i test/fixtures/words.sql
CREATE FUNCTION pg_temp.token(name text)
RETURNS bigint
LANGUAGE sql
AS $$ SELECT l.lease_token FROM lease AS l WHERE l.name = token.name ORDER BY l.pick_id DESC LIMIT 1 $$;
CREATE PROCEDURE pg_temp.restart()
LANGUAGE plpgsql
AS $$ BEGIN
    PERFORM pgq.set_queue_config('mail');
    PERFORM pgq.drop_queue('mail', force => true);
    PERFORM pgq.set_queue_config('mail', retry_backoff => 'fixed', pause_between_retries_milliseconds => 5000,
        max_attempts => 3);
    DELETE FROM lease;
END $$;

-- The results, and the state that each leads to

CREATE FUNCTION pg_temp.released(options text, attempt integer DEFAULT 1)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_state text;
    v_job record;
BEGIN
    CALL pg_temp.restart();
    CALL pg_temp.add('job');
    FOR v_attempt IN 2..attempt LOOP
        PERFORM pg_temp.pick();
        PERFORM pg_temp.release('job', 'failed', delay_milliseconds => 0);
    END LOOP;
    PERFORM pg_temp.pick();
    EXECUTE format('SELECT pgq.release_job(%s, lease_token => %s, %s)', pg_temp.id('job'), pg_temp.token('job'), options)
    INTO v_state;
    SELECT l.state, l.attempt, EXTRACT(epoch FROM l.start_after - pgq._now())::double precision AS starts_in,
           l.output, l.error, l.lease_until
    INTO v_job FROM pgq.list_jobs('mail') AS l;
    RETURN concat_ws(', ', v_state, CASE WHEN v_job.state <> v_state THEN 'is ' || v_job.state END,
        'attempt ' || v_job.attempt, 'in ' || NULLIF(v_job.starts_in, 0) || ' s',
        'output ' || v_job.output::text, 'error ' || v_job.error, 'lease ' || v_job.lease_until);
END
$$;
SELECT results_eq($$
    SELECT o.options, pg_temp.released(o.options), pg_temp.released(o.options, attempt => 3)
    FROM unnest(ARRAY[
        $o$ result => 'complete' $o$,
        $o$ result => 'complete', output => '{"n": 1}' $o$,
        $o$ result => 'complete', output => 'null' $o$,
        $o$ result => 'failed' $o$,
        $o$ result => 'failed', error => 'no paper' $o$,
        $o$ result => 'failed', delay_milliseconds => 90000 $o$,
        $o$ result => 'failed', delay_milliseconds => 0 $o$,
        $o$ result => 'failed', retry => false, error => 'never' $o$,
        $o$ result => 'paused' $o$,
        $o$ result => 'paused', delay_milliseconds => 1 $o$,
        $o$ result => 'cancelled' $o$,
        $o$ result => 'cancelled', error => 'not wanted' $o$
    ]) AS o (options)
$$, $$ VALUES
    (' result => ''complete'' ', 'complete, attempt 1', 'complete, attempt 3'),
    (' result => ''complete'', output => ''{"n": 1}'' ', 'complete, attempt 1, output {"n": 1}', 'complete, attempt 3, output {"n": 1}'),
    (' result => ''complete'', output => ''null'' ', 'complete, attempt 1, output null', 'complete, attempt 3, output null'),
    (' result => ''failed'' ', 'scheduled, attempt 1, in 5 s', 'dead, attempt 3'),
    (' result => ''failed'', error => ''no paper'' ', 'scheduled, attempt 1, in 5 s', 'dead, attempt 3, error no paper'),
    (' result => ''failed'', delay_milliseconds => 90000 ', 'scheduled, attempt 1, in 90 s', 'dead, attempt 3'),
    (' result => ''failed'', delay_milliseconds => 0 ', 'ready, attempt 1', 'dead, attempt 3'),
    (' result => ''failed'', retry => false, error => ''never'' ', 'dead, attempt 1, error never', 'dead, attempt 3, error never'),
    (' result => ''paused'' ', 'ready, attempt 0', 'ready, attempt 2'),
    (' result => ''paused'', delay_milliseconds => 1 ', 'scheduled, attempt 0, in 0.001 s', 'scheduled, attempt 2, in 0.001 s'),
    (' result => ''cancelled'' ', 'cancelled, attempt 1', 'cancelled, attempt 3'),
    (' result => ''cancelled'', error => ''not wanted'' ', 'cancelled, attempt 1, error not wanted', 'cancelled, attempt 3, error not wanted')
$$, 'each result leads to its state, which release_job returns: on the first and on the last attempt');

-- Attempts

CALL pg_temp.restart();
DO $$ BEGIN PERFORM pgq.add_job('mail', '"own"', max_attempts => 2); END $$;
SELECT is(pg_temp.pick() || pg_temp.release('own', 'failed', delay_milliseconds => 0), 'ownready', 'the first of two attempts fails');
SELECT is(pg_temp.pick() || pg_temp.release('own', 'failed'), 'owndead', 'a job is dead after the max_attempts of its own');
CALL pg_temp.add('queue');
SELECT is(pg_temp.pick() || pg_temp.release('queue', 'failed', delay_milliseconds => 0), 'queueready', 'one of three');
DO $$ BEGIN PERFORM pgq.set_queue_config('mail', max_attempts => 1); END $$;
SELECT is(pg_temp.pick() || pg_temp.release('queue', 'failed'), 'queuedead', 'the max_attempts of the queue count as they are now');
DO $$ BEGIN
    CALL pg_temp.restart();
    CALL pg_temp.add('patient');
    FOR v_time IN 1..1200 LOOP
        PERFORM pgq.release_job(p.job_id, 'paused', p.lease_token) FROM pgq.pick_jobs(ARRAY['mail']) AS p;
    END LOOP;
END $$;
SELECT row_eq(
    $$ SELECT l.state, l.attempt, l.attempts FROM pgq.list_jobs('mail') AS l $$,
    ROW ('ready'::text, 0, '[]'::jsonb), 'a job may be paused for ever: it uses no attempt and leaves no history');

-- Where a job comes in the line again

DO $$ BEGIN
    CALL pg_temp.restart();
    CALL pg_temp.add('a', 'b', 'c');
    PERFORM pg_temp.pick();
    CALL pg_temp.pass('1 second');
    PERFORM pg_temp.release('a', 'paused');
END $$;
SELECT is(pg_temp.pick(9), 'b c a', 'a job that is given back comes to the end of its line');
DO $$ BEGIN PERFORM pgq.set_queue_config('mail', max_concurrency_per_group => 1); END $$;
SELECT is((pgq.add_job('mail', '"in group"', group_key => 'g')).is_new, true, 'a job of a group');
SELECT is(pg_temp.pick() || ' ' || pg_temp.release('in group', 'paused'), 'in group held', 'goes back to its group');

-- The fence: a token that does not hold the job any more

CREATE FUNCTION pg_temp.stale(how text)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_token bigint;
BEGIN
    CALL pg_temp.restart();
    CALL pg_temp.add('job', 'other');
    PERFORM pg_temp.pick(2);
    v_token := pg_temp.token('job');
    CASE how
        WHEN 'timed out' THEN
            CALL pg_temp.pass('1 hour');
            PERFORM pgq.pick_jobs(ARRAY['mail']);
        WHEN 'picked anew' THEN
            PERFORM pg_temp.release('job', 'paused');
            PERFORM pgq.pick_jobs(ARRAY['mail']);
        WHEN 'paused' THEN PERFORM pg_temp.release('job', 'paused');
        WHEN 'failed' THEN PERFORM pg_temp.release('job', 'failed');
        WHEN 'complete' THEN PERFORM pg_temp.release('job', 'complete');
        WHEN 'cancelled' THEN PERFORM pgq.cancel_job(pg_temp.id('job'));
        WHEN 'retried' THEN
            PERFORM pgq.cancel_job(pg_temp.id('job'));
            PERFORM pgq.retry_job(pg_temp.id('job'));
            PERFORM pgq.pick_jobs(ARRAY['mail']);
        WHEN 'another job''s' THEN v_token := pg_temp.token('other');
        WHEN 'zero' THEN v_token := 0;
        WHEN 'negative' THEN v_token := -v_token;
        ELSE v_token := NULL;
    END CASE;
    RETURN v_token;
END
$$;
CREATE FUNCTION pg_temp.refused(call text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_before text := (SELECT string_agg(j::text, ' ' ORDER BY j.job_id) FROM pgq.every_job AS j);
    v_state text := 'accepted';
BEGIN
    BEGIN
        EXECUTE call;
    EXCEPTION WHEN OTHERS THEN v_state := SQLSTATE;
    END;
    RETURN v_state || CASE WHEN v_before IS DISTINCT FROM
        (SELECT string_agg(j::text, ' ' ORDER BY j.job_id) FROM pgq.every_job AS j) THEN ' but something changed' ELSE '' END;
END
$$;
SELECT is_empty($$
    SELECT h.how, c.call, r.answer
    FROM unnest(ARRAY['timed out', 'picked anew', 'paused', 'failed', 'complete', 'cancelled', 'retried', 'another job''s',
                      'zero', 'negative']) AS h (how)
    CROSS JOIN unnest(ARRAY[
        'SELECT pgq.release_job(%1$s, ''complete'', %2$s)',
        'SELECT pgq.release_job(%1$s, ''failed'', %2$s)',
        'SELECT pgq.release_job(%1$s, ''failed'', %2$s, retry => false)',
        'SELECT pgq.release_job(%1$s, ''paused'', %2$s)',
        'SELECT pgq.release_job(%1$s, ''cancelled'', %2$s)',
        'SELECT pgq.release_jobs(ARRAY[%1$s], ARRAY[%2$s], ''complete'')',
        'SELECT pgq.release_jobs(ARRAY[%3$s, %1$s], ARRAY[%4$s, %2$s], ''failed'')',
        'SELECT pgq.release_jobs(ARRAY[%1$s, %3$s], ARRAY[%2$s, %4$s], ''paused'')',
        'SELECT pgq.release_jobs(ARRAY[%1$s, %3$s], ARRAY[%2$s, %4$s], ''cancelled'')',
        'SELECT count(*) FROM pgq.release_and_pick(ARRAY[%1$s, %3$s], ARRAY[%2$s, %4$s], ''complete'', ARRAY[''mail''], 9)',
        'SELECT count(*) FROM pgq.release_and_pick(ARRAY[%1$s], ARRAY[%2$s], ''failed'', ARRAY[''mail''], 9)',
        'SELECT count(*) FROM pgq.keep_jobs_alive(ARRAY[%1$s, %3$s], ARRAY[%2$s, %4$s])',
        'SELECT count(*) FROM pgq.keep_jobs_alive(ARRAY[%1$s], ARRAY[%2$s])'
    ]) AS c (call)
    CROSS JOIN LATERAL pg_temp.stale(h.how) AS s (token)
    CROSS JOIN LATERAL pg_temp.refused(format(
        c.call, pg_temp.id('job'), s.token, pg_temp.id('other'), pg_temp.token('other'))) AS r (answer)
    WHERE r.answer <> 'JQ003'
$$, 'whoever does not hold the lease is refused with JQ003 in every way to release or keep alive, and nothing is done');

CREATE FUNCTION pg_temp.late(call text)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_temp.stale('running');
    CALL pg_temp.pass('1 hour');
    RETURN pg_temp.refused(format(call, pg_temp.id('job'), pg_temp.token('job'), pg_temp.id('other'), pg_temp.token('other')));
END
$$;
CREATE TEMPORARY TABLE app (written text NOT NULL);
CREATE TEMPORARY TABLE stale AS SELECT pg_temp.stale('picked anew') AS lease_token;
SELECT throws_ok(
    format($$ WITH work AS (INSERT INTO app (written) VALUES ('by a stale worker') RETURNING 1)
              SELECT pgq.release_job(%s, 'complete', %s) FROM work $$, pg_temp.id('job'), (SELECT s.lease_token FROM stale AS s)),
    'JQ003', 'lease of job ' || pg_temp.id('job') || ' lost', 'a stale release is an error that names the job');
SELECT is_empty($$ SELECT a.written FROM app AS a $$, 'what a stale worker wrote in its transaction is rolled back with it');
SELECT lives_ok(
    format($$ WITH work AS (INSERT INTO app (written) VALUES ('by the holder') RETURNING 1)
              SELECT pgq.release_job(%s, 'complete', %s) FROM work $$, pg_temp.id('other'), pg_temp.token('other')),
    'a release whose lease holds');
SELECT results_eq(
    $$ SELECT a.written FROM app AS a $$, $$ VALUES ('by the holder') $$, 'commits with what its worker wrote');

CREATE FUNCTION pg_temp.work(how text, call text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_token bigint := COALESCE(pg_temp.stale(how), pg_temp.token('job'));
    v_answer text := 'accepted';
BEGIN
    DELETE FROM app;
    BEGIN
        INSERT INTO app (written) VALUES (call);
        EXECUTE format('SELECT count(*) FROM ' || call, pg_temp.id('job'), v_token, pg_temp.id('other'), pg_temp.token('other'));
    EXCEPTION WHEN SQLSTATE 'JQ003' THEN v_answer := 'refused';
    END;
    RETURN concat_ws(', ', v_answer, (SELECT 'written' FROM app AS a));
END
$$;
SELECT results_eq($$
    SELECT pg_temp.work('running', c.call), pg_temp.work('picked anew', c.call), pg_temp.work('timed out', c.call)
    FROM unnest(ARRAY[
        'pgq.release_job(%1$s, ''complete'', %2$s)',
        'pgq.release_jobs(ARRAY[%3$s, %1$s], ARRAY[%4$s, %2$s], ''paused'')',
        'pgq.release_and_pick(ARRAY[%3$s, %1$s], ARRAY[%4$s, %2$s], ''complete'', ARRAY[''mail''])',
        'pgq.keep_jobs_alive(ARRAY[%3$s, %1$s], ARRAY[%4$s, %2$s])'
    ]) AS c (call)
$$, $$ VALUES
    ('accepted, written', 'refused', 'refused'), ('accepted, written', 'refused', 'refused'),
    ('accepted, written', 'refused', 'refused'), ('accepted, written', 'refused', 'refused')
$$, 'whichever call refuses a stale token takes the statements before it in its savepoint along');
SELECT is_empty($$
    SELECT c.call, r.answer
    FROM unnest(ARRAY[
        'SELECT pgq.release_job(%1$s, ''complete'', %2$s)',
        'SELECT pgq.release_job(%1$s, ''failed'', %2$s)',
        'SELECT pgq.release_job(%1$s, ''paused'')',
        'SELECT pgq.release_jobs(ARRAY[%3$s, %1$s], ARRAY[%4$s, %2$s], ''complete'')',
        'SELECT pgq.release_jobs(ARRAY[%3$s, %1$s], ARRAY[%4$s, %2$s], ''failed'', retry => false)',
        'SELECT pgq.release_jobs(ARRAY[%3$s, %1$s], NULL, ''cancelled'')',
        'SELECT count(*) FROM pgq.release_and_pick(ARRAY[%1$s], ARRAY[%2$s], ''paused'', ARRAY[''mail''], 9)'
    ]) AS c (call)
    CROSS JOIN LATERAL pg_temp.late(c.call) AS r (answer)
    WHERE r.answer <> 'accepted but something changed'
$$, 'a lease that ran out holds until a pick meets the job: a late release is accepted');

-- The weaker form: no token

CREATE FUNCTION pg_temp.tokenless(how text, call text)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_temp.stale(how);
    RETURN pg_temp.refused(format(call, pg_temp.id('job'), pg_temp.id('other'), pg_temp.token('other')));
END
$$;
SELECT results_eq($$
    SELECT h.how, pg_temp.tokenless(h.how, $c$ SELECT pgq.release_job(%s, 'complete') $c$),
           pg_temp.tokenless(h.how, $c$ SELECT pgq.release_jobs(ARRAY[%s, %s], NULL, 'failed') $c$),
           pg_temp.tokenless(h.how, $c$ SELECT pgq.release_jobs(ARRAY[%s, %s], ARRAY[NULL, %s], 'paused', skip_lost => true) $c$)
    FROM unnest(ARRAY['running', 'picked anew', 'paused', 'failed', 'complete', 'cancelled']) AS h (how)
$$, $$ VALUES
    ('running',     'accepted but something changed', 'accepted but something changed', 'accepted but something changed'),
    ('picked anew', 'accepted but something changed', 'accepted but something changed', 'accepted but something changed'),
    ('paused',      'JQ004', 'JQ004', 'JQ004'),
    ('failed',      'JQ004', 'JQ004', 'JQ004'),
    ('complete',    'JQ004', 'JQ004', 'JQ004'),
    ('cancelled',   'JQ004', 'JQ004', 'JQ004')
$$, 'without a token a job is released whoever runs it, and one that nobody runs is refused with JQ004');
SELECT throws_ok(
    $$ SELECT pgq.release_job(9007199254740991, 'complete') $$, 'JQ002', NULL, 'a job that is not known is refused with JQ002');
SELECT throws_ok(
    $$ SELECT pgq.release_job(9007199254740991, 'complete', 1) $$, 'JQ003', NULL,
    'with a token a job that is not known is a lease that is lost');

-- Batches

CREATE FUNCTION pg_temp.batch(call text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_answer text;
BEGIN
    CALL pg_temp.restart();
    PERFORM pgq.add_job('mail', to_jsonb(n), max_attempts => CASE n WHEN 'c' THEN 1 END)
    FROM unnest(ARRAY['a', 'b', 'c', 'd']) AS n;
    PERFORM pg_temp.pick(9);
    PERFORM pgq.cancel_job(pg_temp.id('d'));
    EXECUTE call INTO v_answer
    USING ARRAY[pg_temp.id('a'), pg_temp.id('b'), pg_temp.id('c'), pg_temp.id('d')],
          ARRAY[pg_temp.token('a'), pg_temp.token('b'), pg_temp.token('c'), pg_temp.token('d')];
    RETURN concat_ws(', ', COALESCE('lost ' || (SELECT NULLIF(string_agg(g.payload #>> '{}', ' '), '')
                                   FROM pgq.get_jobs(v_answer::bigint[]) AS g), 'none lost'),
        (SELECT string_agg(concat_ws(' ', l.payload #>> '{}', l.state, l.output, l.error,
                                     (SELECT string_agg(t ->> 'error', ' ') FROM jsonb_array_elements(l.attempts) AS t
                                      WHERE l.finished_at IS NULL)), ', ' ORDER BY l.job_id)
         FROM pgq.list_jobs('mail') AS l WHERE l.payload <> '"d"'));
END
$$;
SELECT is(
    pg_temp.batch($$ SELECT pgq.release_jobs($1, $2, 'complete', ARRAY['1', '2', NULL, '4']::jsonb[], skip_lost => true) $$),
    'lost d, a complete 1, b complete 2, c complete',
    'in a batch each job keeps its own output, and skip_lost returns those whose lease was lost');
SELECT is(
    pg_temp.batch($$ SELECT pgq.release_jobs($1[1:3], $2[1:3], 'failed', NULL, ARRAY['ea', 'eb', 'ec']) $$),
    'none lost, a scheduled ea, b scheduled eb, c dead ec',
    'in a batch each job keeps its own error, and each is tried again or dead for itself');
SELECT is(
    pg_temp.batch($$ SELECT pgq.release_jobs($1, $2, 'failed', NULL, ARRAY['ea', 'eb', 'ec', 'ed'], 0, false, true) $$),
    'lost d, a dead ea, b dead eb, c dead ec', 'a batch that is not to be tried again is dead');
SELECT is(
    pg_temp.batch($$ SELECT pgq.release_jobs($1[1:2], $2[1:2], 'paused', delay_milliseconds => 1000) $$),
    'none lost, a scheduled, b scheduled, c running', 'a batch is paused, the jobs that are not in it run on');
SELECT is(
    pg_temp.batch($$ SELECT pgq.release_jobs(ARRAY[$1[3], $1[1]], ARRAY[$2[3], $2[1]], 'cancelled', NULL, ARRAY['ec', 'ea']) $$),
    'none lost, a cancelled ea, b running, c cancelled ec', 'the order of a batch does not matter');
SELECT is(
    pg_temp.batch($$ SELECT pgq.release_jobs(ARRAY[$1[1], $1[1]], ARRAY[$2[1], $2[1]], 'failed', NULL, ARRAY['e', 'e']) $$),
    'none lost, a scheduled e, b running, c running', 'a job that stands twice in a batch is released once');
SELECT is(
    pg_temp.batch($$ SELECT pgq.release_jobs(ARRAY[$1[4], $1[2], 0, -1], ARRAY[$2[4], $2[2], 1, 1], 'complete', skip_lost => true) $$),
    'lost d, a running, b complete, c running', 'with skip_lost jobs that are not known are lost, too');
SELECT is(
    pg_temp.batch($$ SELECT pgq.release_jobs(array_fill($1[1], ARRAY[1], ARRAY[0]), array_fill($2[1], ARRAY[1], ARRAY[5]), 'complete',
                                             array_fill('7'::jsonb, ARRAY[1], ARRAY[-1])) $$),
    'none lost, a complete 7, b running, c running', 'arrays may begin at any index');
CREATE FUNCTION pg_temp.thrice(result text, by_token boolean)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
    CALL pg_temp.restart();
    CALL pg_temp.add('job');
    PERFORM pg_temp.pick();
    PERFORM pgq.release_jobs(array_fill(pg_temp.id('job'), ARRAY[3]),
        CASE WHEN by_token THEN array_fill(pg_temp.token('job'), ARRAY[3]) END, result);
    RETURN (SELECT string_agg(concat_ws(', ', l.state, l.attempt, jsonb_array_length(l.attempts)), '; ')
            FROM pgq.list_jobs('mail') AS l);
END
$$;
SELECT results_eq($$
    SELECT r.result, pg_temp.thrice(r.result, true), pg_temp.thrice(r.result, false)
    FROM unnest(ARRAY['complete', 'failed', 'paused', 'cancelled']) AS r (result)
$$, $$ VALUES
    ('complete',  'complete, 1, 1',  'complete, 1, 1'),
    ('failed',    'scheduled, 1, 1', 'scheduled, 1, 1'),
    ('paused',    'ready, 0, 0',     'ready, 0, 0'),
    ('cancelled', 'cancelled, 1, 1', 'cancelled, 1, 1')
$$, 'a job that stands three times in a batch gives back or uses one attempt, and has one entry in the history');
CREATE FUNCTION pg_temp.kept(keep_history text, result text)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
    CALL pg_temp.restart();
    PERFORM pgq.set_queue_config('mail', keep_history => kept.keep_history);
    CALL pg_temp.add('a', 'b');
    PERFORM pg_temp.pick(2);
    PERFORM pgq.release_jobs(ARRAY[pg_temp.id('a'), pg_temp.id('b')], ARRAY[pg_temp.token('a'), pg_temp.token('b')],
        result, retry => result <> 'failed');
    RETURN (SELECT string_agg(l.state, ' ') FROM pgq.list_jobs('mail') AS l);
END
$$;
SELECT results_eq($$
    SELECT k.keep, pg_temp.kept(k.keep, 'complete'), pg_temp.kept(k.keep, 'failed'), pg_temp.kept(k.keep, 'cancelled')
    FROM unnest(ARRAY['all', 'dead', 'none']) AS k (keep)
$$, $$ VALUES
    ('all',  'complete complete', 'dead dead', 'cancelled cancelled'),
    ('dead', NULL,                'dead dead', NULL),
    ('none', NULL,                NULL,        NULL)
$$, 'of a batch the history keeps what the queue says');
CALL pg_temp.restart();
SELECT is(pgq.release_jobs('{}', '{}', 'complete'), '{}'::bigint[], 'an empty batch releases nothing');
SELECT is(pgq.release_jobs('{}', NULL, 'paused'), '{}'::bigint[], 'an empty batch without tokens neither');
SELECT throws_ok(
    $$ SELECT pgq.release_jobs(ARRAY[9007199254740990, 9007199254740991], ARRAY[1, 2], 'complete') $$,
    'JQ003', NULL, 'a batch of lost leases is refused');
DO $$ BEGIN
    CALL pg_temp.restart();
    PERFORM pgq.set_queue_config('post', keep_history => 'none', max_concurrency => 5000);
    PERFORM pgq.add_jobs('mail', ARRAY(SELECT to_jsonb(i) FROM generate_series(1, 5000) AS i));
    PERFORM pgq.add_jobs('post', ARRAY(SELECT to_jsonb(i) FROM generate_series(1, 5000) AS i),
        unique_keys => ARRAY(SELECT 'k' || i FROM generate_series(1, 5000) AS i));
    PERFORM pgq.release_jobs(array_agg(p.job_id), array_agg(p.lease_token), 'complete', array_agg(p.payload))
    FROM pgq.pick_jobs(ARRAY['mail', 'post'], 10000) AS p;
END $$;
SELECT row_eq(
    $$ SELECT count(*), count(*) FILTER (WHERE l.output = l.payload) FROM pgq.list_jobs('mail', 'complete', max_jobs => 10000) AS l $$,
    ROW (5000::bigint, 5000::bigint), '10 000 jobs of two queues are released in one call, each with its own output');
SELECT is(
    (SELECT s.ready + s.scheduled + s.running FROM pgq.queue_stats('post') AS s), 0::bigint, 'none is left');

-- release_and_pick

DO $$ BEGIN
    CALL pg_temp.restart();
    CALL pg_temp.add('a', 'b', 'c', 'd');
    PERFORM pg_temp.pick(2);
    CALL pg_temp.pass('1 second');
END $$;
CREATE TEMPORARY TABLE next AS
SELECT p.* FROM pgq.release_and_pick(
    ARRAY[pg_temp.id('a'), pg_temp.id('b')], ARRAY[pg_temp.token('a'), pg_temp.token('b')], 'complete', ARRAY['mail', 'post'],
    max_jobs => 2, worker => 'next', timeout_milliseconds => 60000, outputs => ARRAY['1', '2']::jsonb[]) AS p;
SELECT results_eq(
    $$ SELECT n.payload, n.attempt, n.timeout_milliseconds, n.lease_until FROM next AS n $$,
    $$ VALUES ('"c"'::jsonb, 1, 60000, pgq._now() + interval '1 minute'), ('"d"', 1, 60000, pgq._now() + interval '1 minute') $$,
    'release_and_pick picks the next jobs as pick_jobs does');
SELECT set_eq(
    $$ SELECT l.payload, l.state, l.output, l.worker FROM pgq.list_jobs('mail') AS l $$,
    $$ VALUES ('"a"'::jsonb, 'complete', '1'::jsonb, 'tester'), ('"b"', 'complete', '2', 'tester'),
              ('"c"', 'running', NULL, 'next'), ('"d"', 'running', NULL, 'next') $$,
    'release_and_pick releases the last jobs as release_jobs does');
SELECT is(
    (SELECT string_agg(p.payload #>> '{}', ' ')
     FROM (SELECT array_agg(n.job_id) AS ids, array_agg(n.lease_token) AS tokens FROM next AS n) AS last,
          pgq.release_and_pick(last.ids, last.tokens, 'failed', ARRAY['mail'], 9, errors => ARRAY['x', 'y'],
                               delay_milliseconds => 0) AS p), 'c d',
    'release_and_pick may pick the same jobs again');
SELECT is(
    (SELECT string_agg(l.attempts -> 0 ->> 'error', ' ' ORDER BY l.job_id) FROM pgq.list_jobs('mail', 'running') AS l), 'x y',
    'each with its own error');
SELECT is(
    (SELECT count(*) FROM pgq.release_and_pick(ARRAY(SELECT l.job_id FROM pgq.list_jobs('mail', 'running') AS l), NULL,
        'failed', ARRAY['mail'], 9, retry => false)), 0::bigint, 'release_and_pick may find nothing to pick');
SELECT is(
    (SELECT count(*) FROM pgq.list_jobs('mail', 'dead')), 2::bigint, 'what it released is dead where it is not to be tried again');
CALL pg_temp.add('e');
SELECT is(
    (SELECT string_agg(p.payload #>> '{}', ' ') FROM pgq.release_and_pick('{}', '{}', 'complete', ARRAY['mail']) AS p), 'e',
    'release_and_pick may have nothing to release');

-- Options that do not fit a result

SELECT is_empty($$
    SELECT o.options, r.answer
    FROM unnest(ARRAY[
        '''complete'', delay_milliseconds => 1', '''cancelled'', delay_milliseconds => 1', '''complete'', retry => false',
        '''paused'', retry => false', '''cancelled'', retry => false', '''failed'', delay_milliseconds => -1',
        '''failed'', delay_milliseconds => 31536000001', '''Complete''', '''''', '''dead'''
    ]) AS o (options)
    CROSS JOIN unnest(ARRAY['pgq.release_job(%s, %s)', 'pgq.release_jobs(ARRAY[%s], NULL, %s)']) AS c (call)
    CROSS JOIN LATERAL pg_temp.refused(format('SELECT ' || c.call, pg_temp.id('e'), o.options)) AS r (answer)
    WHERE r.answer <> '22023'
$$, 'an option that does not fit the result is refused, and the job runs on');

-- In the caller's transaction

SAVEPOINT undone;
DO $$ BEGIN
    CALL pg_temp.restart();
    CALL pg_temp.add('a', 'b', 'c', 'd');
    PERFORM pg_temp.pick(9);
END $$;
CREATE TEMPORARY TABLE before AS SELECT l.* FROM pgq.list_jobs('mail') AS l;
SAVEPOINT release;
DO $$ BEGIN
    PERFORM pg_temp.release('a', 'complete');
    PERFORM pg_temp.release('b', 'failed');
    PERFORM pg_temp.release('c', 'paused');
    PERFORM pg_temp.release('d', 'cancelled');
END $$;
SELECT results_eq(
    $$ SELECT l.state FROM pgq.list_jobs('mail') AS l ORDER BY l.job_id $$,
    $$ VALUES ('complete'), ('scheduled'), ('ready'), ('cancelled') $$, 'jobs are released');
ROLLBACK TO SAVEPOINT release;
SELECT results_eq(
    $$ SELECT l::text FROM pgq.list_jobs('mail') AS l $$, $$ SELECT b::text FROM before AS b $$,
    'a release that is rolled back leaves the job as it was');
SELECT is(pg_temp.release('a', 'complete'), 'complete', 'and its lease holds');

SELECT * FROM finish();
ROLLBACK;
