\i test/setup.psql
-- Groups: their limit, their turns, and that no job of a group waits for ever.
BEGIN;
SELECT plan(65);

-- With the real clock: what a pick lets through it also picks.
DO $$ BEGIN
    PERFORM pgq.set_queue_config('mail', max_concurrency_per_group => 2);
    PERFORM pgq.add_jobs('mail', ARRAY['1', '2', '3']::jsonb[], group_keys => ARRAY['a', 'a', 'a']);
END $$;
SELECT is(
    (SELECT count(*) FROM pgq.pick_jobs(ARRAY['mail', 'post'], 9)), 2::bigint,
    'the first pick after an add finds the jobs that it lets through itself');
DO $$ BEGIN PERFORM pgq.drop_queue('mail', force => true); END $$;

\i test/fixtures/clock.sql
\i test/fixtures/words.sql
CREATE FUNCTION pg_temp.add_to(group_key text, VARIADIC names text[])
RETURNS bigint[]
LANGUAGE sql
AS $$
    SELECT pgq.add_jobs('mail', array_agg(to_jsonb(n.name) ORDER BY n.place),
                        group_keys => array_fill(add_to.group_key, ARRAY[cardinality(names)]))
    FROM unnest(names) WITH ORDINALITY AS n (name, place)
$$;
CREATE PROCEDURE pg_temp.restart(max_concurrency_per_group integer, group_order text DEFAULT 'loose')
LANGUAGE plpgsql
AS $$ BEGIN
    PERFORM pgq.set_queue_config('mail');
    PERFORM pgq.drop_queue('mail', force => true);
    PERFORM pgq.set_queue_config('mail', max_concurrency_per_group => restart.max_concurrency_per_group,
        group_order => restart.group_order, retry_backoff => 'fixed', pause_between_retries_milliseconds => 60000,
        timeout_milliseconds => 3600000);
END $$;

-- The limit

CALL pg_temp.restart(2);
DO $$ BEGIN
    PERFORM pg_temp.add_to('a', 'a1', 'a2', 'a3', 'a4');
    PERFORM pg_temp.add_to('b', 'b1');
    CALL pg_temp.add('free1', 'free2', 'free3');
END $$;
SELECT row_eq(
    $$ SELECT g.state, g.held_by FROM pgq.get_job(pg_temp.id('a1')) AS g $$,
    ROW ('held'::text, 'group'::text), 'a job of a limited group is held until a pick lets it through');
SELECT is(pg_temp.state('free1'), 'ready', 'a job without a group is not held');
SELECT is(
    pg_temp.pick(9), 'a1 a2 b1 free1 free2 free3',
    'a pick takes as many jobs of each group as the limit allows, and all jobs without a group');
SELECT is(pg_temp.pick(9), '', 'no more of the group are picked while these run');
SELECT is(pg_temp.release('a2', 'complete'), 'complete', 'one of them completes');
SELECT is(pg_temp.pick(9), 'a3', 'the next of the group is picked');
SELECT is(pg_temp.pick(9), '', 'and no more');
DO $$ BEGIN
    PERFORM pg_temp.release(n, 'complete') FROM unnest(ARRAY['b1', 'free1', 'free2', 'free3']) AS n;
    CALL pg_temp.pass('30 minutes');
    PERFORM pgq.keep_jobs_alive(ARRAY[l.job_id], ARRAY[l.lease_token]) FROM lease AS l WHERE l.name IN ('a1', 'a3');
    CALL pg_temp.pass('59 minutes');
END $$;
SELECT is(pg_temp.pick(9), '', 'a job that is kept alive keeps its place in the group');
DO $$ BEGIN
    CALL pg_temp.pass('1 minute');
    PERFORM pg_temp.pick(9);
END $$;
SELECT is(
    concat(pg_temp.state('a1'), ' ', pg_temp.state('a3')), 'held held',
    'jobs whose lease ran out go back to their group');
SELECT is(pg_temp.pick(9), 'a4', 'and give their places to the next');
CALL pg_temp.pass('1 minute');
SELECT is(pg_temp.pick(9), 'a1', 'one of them comes again after its pause, because the group has room for one');
CALL pg_temp.restart(1);
DO $$ BEGIN
    PERFORM pg_temp.add_to('a', 'a1', 'a2');
    PERFORM pgq.add_job('post', '"p1"', group_key => 'a');
    PERFORM pgq.add_job('post', '"p2"', group_key => 'a');
END $$;
SELECT is(
    pg_temp.pick(9, 'mail', 'post'), 'a1 p1 p2', 'the limit is that of the queue: elsewhere the same group has none');
DO $$ BEGIN PERFORM pgq.drop_queue('post', force => true); END $$;

-- Order and turns

CALL pg_temp.restart(1);
DO $$ BEGIN
    PERFORM pgq.add_job('mail', '"third"', group_key => 'a');
    PERFORM pgq.add_job('mail', '"fourth"', group_key => 'a');
    PERFORM pgq.add_job('mail', '"second"', group_key => 'a', start_after => pgq._now() - interval '1 second');
    PERFORM pgq.add_job('mail', '"fifth"', group_key => 'a', priority => -1,
        start_after => pgq._now() - interval '1 hour');
    PERFORM pgq.add_job('mail', '"first"', group_key => 'a', priority => 1);
END $$;
CREATE FUNCTION pg_temp.one_by_one(step interval DEFAULT '1 second')
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_line text[];
    v_name text;
BEGIN
    LOOP
        v_name := pg_temp.pick();
        EXIT WHEN v_name = '';
        v_line := v_line || v_name;
        PERFORM pg_temp.release(v_name, 'complete');
        CALL pg_temp.pass(step);
    END LOOP;
    RETURN array_to_string(v_line, ' ');
END
$$;
SELECT is(
    pg_temp.one_by_one(), 'first second third fourth fifth',
    'the jobs of a group come by priority, then by start_after, then as they were added');
DO $$ BEGIN
    PERFORM pg_temp.add_to('a', 'a1', 'a2', 'a3', 'a4');
    PERFORM pg_temp.add_to('b', 'b1', 'b2');
    PERFORM pg_temp.add_to('c', 'c1', 'c2', 'c3');
END $$;
SELECT is(
    pg_temp.one_by_one(), 'a1 b1 c1 a2 b2 c2 a3 c3 a4',
    'groups take turns, however many jobs one of them has added before the others');
DO $$ BEGIN
    PERFORM pgq.add_jobs('mail', array_agg(to_jsonb('a' || i)), group_keys => array_agg('a'::text))
    FROM generate_series(1, 3000) AS i;
    PERFORM pg_temp.pick();
    CALL pg_temp.pass('1 second');
    PERFORM pg_temp.add_to('b', 'b1');
END $$;
SELECT is(pg_temp.pick(9), 'b1', 'thousands of waiting jobs of one group are not in the way of another');

-- What a release does to the turn: loose and strict

CREATE FUNCTION pg_temp.next_after(group_order text, how text)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
    CALL pg_temp.restart(1, group_order);
    PERFORM pg_temp.add_to('a', 'a1', 'a2');
    PERFORM pg_temp.pick(9);
    CASE how
        WHEN 'timed out' THEN CALL pg_temp.pass('1 hour'); PERFORM pg_temp.pick(9);
        WHEN 'dead' THEN PERFORM pg_temp.release('a1', 'failed', retry => false);
        WHEN 'cancelled from outside' THEN PERFORM pgq.cancel_job(pg_temp.id('a1'));
        WHEN 'paused, delayed' THEN PERFORM pg_temp.release('a1', 'paused', delay_milliseconds => 60000);
        ELSE PERFORM pg_temp.release('a1', how);
    END CASE;
    -- At once, and in the minute after, when the job that was not finished is due again.
    RETURN concat_ws(', ',
        (SELECT string_agg(l.payload #>> '{}', ' ') FROM pgq.list_jobs('mail', 'running') AS l),
        NULLIF(pg_temp.pick(9), ''),
        (SELECT 'due: ' || NULLIF(pg_temp.pick(9), '')
         FROM (SELECT set_config('test.now', (pgq._now() + interval '1 minute')::text, true)) AS later));
END
$$;
SELECT results_eq($$
    SELECT h.how, pg_temp.next_after('loose', h.how), pg_temp.next_after('strict', h.how)
    FROM unnest(ARRAY['complete', 'cancelled', 'dead', 'cancelled from outside', 'failed', 'timed out', 'paused',
                      'paused, delayed']) AS h (how)
$$, $$ VALUES
    ('complete',               'a2', 'a2'),
    ('cancelled',              'a2', 'a2'),
    ('dead',                   'a2', 'a2'),
    ('cancelled from outside', 'a2', 'a2'),
    ('failed',                 'a2', 'due: a1'),
    ('timed out',              'a2', 'due: a1'),
    ('paused',                 'a1', 'a1'),
    ('paused, delayed',        'a2', 'due: a1')
$$, 'loose gives the turn to the next while a job backs off, strict keeps it, and the end of a job gives way in both');

CALL pg_temp.restart(2, 'strict');
DO $$ BEGIN
    PERFORM pg_temp.add_to('a', 'a1', 'a2', 'a3', 'a4');
    PERFORM pg_temp.pick(9);
    PERFORM pg_temp.release('a1', 'failed');
END $$;
SELECT is(pg_temp.pick(9), '', 'in a strict group of two a job that backs off keeps one place');
SELECT is(pg_temp.release('a2', 'complete'), 'complete', 'the other place');
SELECT is(pg_temp.pick(9), 'a3', 'is free for the next');

CALL pg_temp.restart(2, 'strict');
DO $$ BEGIN
    PERFORM pg_temp.add_to('a', 'a1', 'a2', 'a3');
    PERFORM pg_temp.pick(9);
    PERFORM pgq.set_queue_config('mail', max_concurrency_per_group => 1);
    PERFORM pg_temp.release('a1', 'failed');
    PERFORM pg_temp.release('a2', 'failed');
    CALL pg_temp.pass('1 minute');
END $$;
SELECT is(
    (SELECT count(*) FROM regexp_split_to_table(pg_temp.pick(9), ' ')), 1::bigint,
    'a limit that is lowered counts for jobs that had their turn before and are tried again');

-- Scheduled jobs

CALL pg_temp.restart(1);
DO $$ BEGIN
    PERFORM pgq.add_job('mail', '"later"', group_key => 'a', start_after => pgq._now() + interval '1 minute');
    PERFORM pg_temp.add_to('a', 'a1');
END $$;
SELECT is(pg_temp.pick(9), 'a1', 'a scheduled job does not keep its group from working');
CALL pg_temp.pass('59.999999 seconds');
SELECT is(pg_temp.pick(9), '', 'a scheduled job of a group is not picked before its time');
SELECT is(pg_temp.release('a1', 'complete'), 'complete', 'the group has room');
SELECT is(pg_temp.pick(9), '', 'a scheduled job of a group with room is not picked before its time either');
CALL pg_temp.pass('1 microsecond');
SELECT is(pg_temp.pick(9), 'later', 'a scheduled job of a group is picked when it is due');
CALL pg_temp.restart(1);
DO $$ BEGIN
    PERFORM pgq.add_job('mail', to_jsonb('s' || i), group_key => 'a',
        start_after => pgq._now() + i * interval '1 minute')
    FROM generate_series(1, 3) AS i;
    PERFORM pg_temp.add_to('a', 'a1');
    PERFORM pg_temp.pick(9);
    CALL pg_temp.pass('30 minutes');
    PERFORM pg_temp.pick(9);
    PERFORM pg_temp.pick(9);
END $$;
SELECT is(pg_temp.release('a1', 'failed'), 'held', 'scheduled jobs came due while the group was busy');
SELECT is(
    pg_temp.one_by_one('1 minute'), 's1 s2 s3 a1',
    'they are picked when it has room, and so is the one that failed');

-- Changes of the limit

CALL pg_temp.restart(1);
DO $$ BEGIN
    PERFORM pg_temp.add_to('a', 'a1', 'a2', 'a3', 'a4', 'a5');
    PERFORM pg_temp.pick(9);
    PERFORM pgq.set_queue_config('mail', max_concurrency_per_group => 3);
END $$;
SELECT is(pg_temp.pick(9), 'a2 a3', 'a raised limit lets more through');
DO $$ BEGIN
    PERFORM pgq.set_queue_config('mail', max_concurrency_per_group => 1);
    PERFORM pg_temp.release('a1', 'complete');
    PERFORM pg_temp.release('a2', 'complete');
END $$;
SELECT is(pg_temp.pick(9), '', 'a lowered limit counts the jobs that run already');
SELECT is(pg_temp.release('a3', 'complete'), 'complete', 'the last of them ends');
SELECT is(pg_temp.pick(9), 'a4', 'a lowered limit holds');
DO $$ BEGIN
    PERFORM pg_temp.add_to('a', 'a6', 'a7');
    PERFORM pgq.add_job('mail', '"later"', group_key => 'a', start_after => pgq._now() + interval '1 minute');
    PERFORM pgq.set_queue_config('mail', max_concurrency_per_group => 0);
END $$;
SELECT is(pg_temp.pick(9), 'a5 a6 a7', 'a limit that is taken away lets all through');
SELECT is((SELECT s.held FROM pgq.queue_stats('mail') AS s), 1::bigint, 'except the scheduled one');
CALL pg_temp.pass('1 minute');
SELECT is(pg_temp.pick(9), 'later', 'which comes when it is due');
DO $$ BEGIN PERFORM pg_temp.add_to('a', 'b1', 'b2', 'b3'); END $$;
SELECT is(pg_temp.state('b1'), 'ready', 'without a limit jobs of a group are not held');
DO $$ BEGIN PERFORM pgq.set_queue_config('mail', max_concurrency_per_group => 7); END $$;
SELECT is(pg_temp.state('b1'), 'held', 'a limit holds the jobs that wait already');
SELECT is(pg_temp.pick(9), 'b1 b2', 'a limit that is set counts the jobs that run already');
CALL pg_temp.restart(0);
DO $$ BEGIN
    PERFORM pgq.add_jobs('mail', array_agg(to_jsonb('a' || i)), group_keys => array_agg('a'::text))
    FROM generate_series(1, 3500) AS i;
    PERFORM pgq.set_queue_config('mail', max_concurrency_per_group => 1);
    PERFORM pgq.set_queue_config('mail', max_concurrency_per_group => 0);
    FOR v_round IN 1..10 LOOP
        PERFORM pgq.pick_jobs(ARRAY['mail'], 1000);
        CALL pg_temp.pass('1 second');
    END LOOP;
END $$;
SELECT is(
    (SELECT s.running FROM pgq.queue_stats('mail') AS s), 3500::bigint,
    'thousands of held jobs come to the line when the limit is taken away');

-- No job is held for ever

CALL pg_temp.restart(1, 'strict');
DO $$ BEGIN
    PERFORM pg_temp.add_to('a', 'a1', 'a2');
    PERFORM pg_temp.pick(9);
    PERFORM pg_temp.release('a1', 'failed');
    PERFORM pgq.set_queue_config('mail', max_concurrency_per_group => 2);
END $$;
SELECT is(pg_temp.pick(9), 'a2', 'the limit changes while a job backs off: the next one is let through');
DO $$ BEGIN
    PERFORM pg_temp.release('a2', 'complete');
    PERFORM pg_temp.pick(9);
    CALL pg_temp.pass('1 minute');
END $$;
SELECT is(pg_temp.pick(9), 'a1', 'a job that backed off when the limit changed comes when its pause is over');
CALL pg_temp.restart(1);
DO $$ BEGIN
    PERFORM pg_temp.add_to('a', 'a1', 'a2', 'a3');
    -- a1 is let through, but not picked: another job comes first.
    PERFORM pgq.add_job('mail', '"urgent"', priority => 9);
    PERFORM pg_temp.release(pg_temp.pick(), 'complete');
END $$;
SELECT is(pg_temp.state('a1'), 'ready', 'a job is let through and waits in line');
DO $$ BEGIN PERFORM pgq.cancel_job(pg_temp.id('a1')); END $$;
SELECT is(pg_temp.pick(9), 'a2', 'a job that is cancelled when it has the turn gives way');
DO $$ BEGIN
    PERFORM pg_temp.release('a2', 'complete');
    PERFORM pgq.add_job('mail', '"urgent"', priority => 9);
    PERFORM pg_temp.release(pg_temp.pick(), 'complete');
END $$;
SELECT is(pg_temp.state('a3'), 'ready', 'the next one is let through and waits in line');
DO $$ BEGIN
    PERFORM pgq.reschedule_job(pg_temp.id('a3'), pgq._now() + interval '1 hour');
    PERFORM pg_temp.add_to('a', 'a4');
END $$;
SELECT is(pg_temp.pick(9), 'a4', 'a job that is put off when it has the turn gives way');
DO $$ BEGIN
    PERFORM pg_temp.release('a4', 'complete');
    PERFORM pg_temp.pick(9);
    CALL pg_temp.pass('1 hour');
END $$;
SELECT is(pg_temp.pick(9), 'a3', 'and comes at its time');
DO $$ BEGIN
    PERFORM pg_temp.release('a3', 'complete');
    PERFORM pgq.add_job('mail', '"a5"', group_key => 'a', unique_key => 'k');
    PERFORM pgq.add_job('mail', '"urgent"', priority => 9);
    PERFORM pg_temp.release(pg_temp.pick(), 'complete');
END $$;
SELECT is(pg_temp.state('a5'), 'ready', 'another one is let through and waits in line');
DO $$ BEGIN
    PERFORM pgq.add_job('mail', '"a5, later"', unique_key => 'k', on_conflict => 'debounce',
        start_after => pgq._now() + interval '1 hour');
    PERFORM pg_temp.add_to('a', 'a6');
END $$;
SELECT is(pg_temp.pick(9), 'a6', 'a job that is debounced when it has the turn gives way');
DO $$ BEGIN PERFORM pgq.reschedule_job(pg_temp.id('a5, later'), pgq._now() + interval '1 minute'); END $$;
SELECT is(pg_temp.release('a6', 'complete'), 'complete', 'a held job is brought forward');
SELECT is(pg_temp.pick(9), '', 'it is not due');
CALL pg_temp.pass('1 minute');
SELECT is(pg_temp.pick(9), 'a5, later', 'a held job that was brought forward comes at its new time');
DO $$ BEGIN
    PERFORM pg_temp.add_to('a', 'a7', 'a8');
    PERFORM pgq.cancel_job(pg_temp.id('a7'));
    PERFORM pg_temp.pick(9);
    PERFORM pg_temp.release('a5, later', 'failed', retry => false);
END $$;
SELECT is(pg_temp.pick(9), 'a8', 'a held job can be cancelled, and the one behind it comes');
DO $$ BEGIN
    PERFORM pgq.retry_job(pg_temp.id('a7'));
    PERFORM pgq.retry_job(pg_temp.id('a5, later'), pgq._now() + interval '1 minute');
    PERFORM pg_temp.pick(9);
END $$;
SELECT is(pg_temp.state('a7'), 'held', 'a job that is retried waits for its group');
SELECT is(pg_temp.release('a8', 'complete'), 'complete', 'its group has room');
SELECT is(pg_temp.pick(9), 'a7', 'a job that is retried gets a turn');
SELECT is(pg_temp.release('a7', 'complete'), 'complete', 'its group has room again');
SELECT is(pg_temp.pick(9), '', 'the other job that is retried is not due');
CALL pg_temp.pass('1 minute');
SELECT is(pg_temp.pick(9), 'a5, later', 'a job that is retried later gets a turn at its time');
DO $$ BEGIN
    PERFORM pg_temp.add_to('a', 'a9');
    PERFORM pgq.purge_queue('mail');
    PERFORM pg_temp.release('a5, later', 'complete');
    PERFORM pg_temp.add_to('a', 'a10', 'a11');
END $$;
SELECT is(pg_temp.one_by_one(), 'a10 a11', 'a group works on after a purge');
DO $$ BEGIN
    PERFORM pgq.pause_queue('mail');
    PERFORM pg_temp.add_to('a', 'a12');
    PERFORM pg_temp.pick(9);
    CALL pg_temp.pass('1 hour');
    PERFORM pg_temp.pick(9);
    PERFORM pgq.resume_queue('mail');
END $$;
SELECT is(pg_temp.pick(9), 'a12', 'a group works on after a pause');

SAVEPOINT undone;
DO $$ BEGIN
    PERFORM pg_temp.release('a12', 'complete');
    PERFORM pg_temp.add_to('a', 'a13');
    PERFORM pg_temp.pick(9);
END $$;
ROLLBACK TO SAVEPOINT undone;
DO $$ BEGIN PERFORM pg_temp.add_to('a', 'a14'); END $$;
SELECT is(pg_temp.pick(9), '', 'a release that is rolled back gives no turn');
SELECT is(pg_temp.release('a12', 'complete'), 'complete', 'the release is made again');
SAVEPOINT undone;
SELECT is(pg_temp.pick(9), 'a14', 'the next one is let through');
ROLLBACK TO SAVEPOINT undone;
SELECT is(pg_temp.pick(9), 'a14', 'a turn that is rolled back is given again');

-- Anything may happen to the jobs of five groups for a while. Then all of them must come.
CREATE FUNCTION pg_temp.muddle(seed double precision, steps integer)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_limit integer := 2;
    v_job record;
    v_states text;
BEGIN
    CALL pg_temp.restart(v_limit);
    PERFORM setseed(seed);
    FOR v_step IN 1..steps LOOP
        BEGIN
            SELECT e.job_id INTO v_job FROM pgq.every_job AS e ORDER BY random() LIMIT 1;
            CASE floor(random() * 22)
                WHEN 0, 1, 2, 3 THEN
                    PERFORM pgq.add_job('mail', to_jsonb(v_step), group_key => 'g' || floor(random() * 5),
                        priority => floor(random() * 2)::integer,
                        start_after => pgq._now() + GREATEST(random() * 60 - 30, 0) * interval '1 second',
                        unique_key => CASE WHEN random() < 0.3 THEN 'k' || floor(random() * 10) END,
                        on_conflict => (ARRAY['skip', 'replace', 'debounce'])[1 + floor(random() * 3)]);
                WHEN 4, 5, 6, 7 THEN
                    FOR v_job IN
                        SELECT p.group_key
                        FROM pgq.pick_jobs(ARRAY['mail'], floor(1 + random() * 5)::integer) AS p
                    LOOP
                        IF (SELECT count(*) > v_limit FROM pgq.job AS j
                            WHERE j.group_key = v_job.group_key AND j.lease_token IS NOT NULL) THEN
                            RETURN 'limit passed at step ' || v_step;
                        END IF;
                    END LOOP;
                WHEN 8, 9, 10, 11, 12 THEN
                    PERFORM pgq.release_job(
                        j.job_id, (ARRAY['complete', 'failed', 'paused', 'cancelled'])[1 + v_step % 4])
                    FROM (SELECT j.job_id FROM pgq.job AS j WHERE j.lease_token IS NOT NULL
                          ORDER BY random() LIMIT 1) AS j;
                WHEN 13 THEN PERFORM pgq.cancel_job(v_job.job_id);
                WHEN 14 THEN PERFORM pgq.retry_job(v_job.job_id, pgq._now() + random() * interval '30 seconds');
                WHEN 15 THEN PERFORM pgq.reschedule_job(v_job.job_id, pgq._now() + random() * interval '1 minute');
                WHEN 16 THEN
                    v_limit := floor(random() * 4);
                    PERFORM pgq.set_queue_config('mail', max_concurrency_per_group => v_limit);
                    v_limit := COALESCE(NULLIF(v_limit, 0), 1000);
                    -- What runs above a lowered limit ends, so that the check above holds.
                    PERFORM pgq.release_job(j.job_id, 'paused') FROM pgq.job AS j WHERE j.lease_token IS NOT NULL;
                WHEN 17 THEN
                    PERFORM pgq.set_queue_config('mail',
                        group_order => (ARRAY['loose', 'strict'])[1 + floor(random() * 2)]);
                WHEN 18 THEN
                    CALL pg_temp.pass(CASE WHEN random() < 0.1 THEN interval '1 hour' ELSE interval '10 seconds' END);
                WHEN 19 THEN
                    IF random() < 0.1 THEN
                        PERFORM pgq.purge_queue('mail');
                    END IF;
                WHEN 20 THEN PERFORM pgq.maintain();
                ELSE CALL pg_temp.pass('1 second');
            END CASE;
        -- The job is in another state, its key is held, or there is no job.
        EXCEPTION WHEN SQLSTATE 'JQ004' OR unique_violation OR null_value_not_allowed THEN NULL;
        END;
    END LOOP;
    FOR v_round IN 1..500 LOOP
        EXIT WHEN NOT EXISTS (SELECT FROM pgq.job);
        PERFORM pgq.release_job(p.job_id, 'complete', p.lease_token) FROM pgq.pick_jobs(ARRAY['mail'], 100) AS p;
        CALL pg_temp.pass('2 minutes');
    END LOOP;
    SELECT string_agg(concat_ws(' ', j.held_by, j.group_key, j.start_after), ', ') INTO v_states FROM pgq.job AS j;
    RETURN COALESCE('left: ' || v_states, 'all done');
END
$$;
SELECT is_empty($$
    SELECT s.seed, m.report
    FROM generate_series(1, 3) AS s (seed), pg_temp.muddle(s.seed / 10.0, 300) AS m (report)
    WHERE m.report <> 'all done'
$$, 'whatever happens to the jobs of groups and to their limit, the limit holds and none is left behind');

SELECT * FROM finish();
ROLLBACK;
