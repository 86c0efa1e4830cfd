\i test/setup.psql
-- Leases: how they are kept alive, and how a worker learns that one is lost. 65-release tests the fence,
-- also for keep-alives.
BEGIN;
SELECT plan(26);

\i test/fixtures/clock.sql
\i test/fixtures/words.sql
CREATE FUNCTION pg_temp.keep(timeout_milliseconds integer, skip_lost boolean, VARIADIC names text[])
RETURNS text
LANGUAGE sql
AS $$
    SELECT string_agg(
        concat_ws(' ', n.name, k.state, EXTRACT(epoch FROM k.lease_until - pgq._now())::double precision), ', '
        ORDER BY k.place)
    FROM (SELECT array_agg(last.name ORDER BY n.place) AS names, array_agg(last.job_id ORDER BY n.place) AS ids,
                 array_agg(last.lease_token ORDER BY n.place) AS tokens
          FROM unnest(names) WITH ORDINALITY AS n (name, place)
          CROSS JOIN LATERAL (SELECT l.name, l.job_id, l.lease_token FROM lease AS l
                              WHERE l.name = n.name ORDER BY l.pick_id DESC LIMIT 1) AS last) AS g
    CROSS JOIN LATERAL pgq.keep_jobs_alive(g.ids, g.tokens, keep.timeout_milliseconds, keep.skip_lost)
        WITH ORDINALITY AS k (job_id, state, lease_until, place)
    CROSS JOIN LATERAL (SELECT g.names[k.place] AS name WHERE g.ids[k.place] = k.job_id) AS n
$$;

-- How long

DO $$ BEGIN
    PERFORM pgq.set_queue_config('mail', timeout_milliseconds => 10000, timeout_with_result => 'paused');
    PERFORM pgq.add_job('mail', '"own"', timeout_milliseconds => 20000);
    CALL pg_temp.add('a', 'b');
    PERFORM pg_temp.pick(3);
    CALL pg_temp.pass('5 seconds');
END $$;
SELECT is(
    pg_temp.keep(NULL, false, 'own', 'a', 'b'), 'own running 20, a running 10, b running 10',
    'a lease that is kept alive lasts from now on as long as the job says, or else its queue');
SELECT is(
    (SELECT l.lease_until - pgq._now() FROM pgq.list_jobs('mail', 'running') AS l WHERE l.payload = '"a"'),
    interval '10 seconds', 'the lease of the job is the one that was told');
SELECT is(
    pg_temp.keep(30000, false, 'b', 'own'), 'b running 30, own running 30',
    'a keep-alive may say how long, and answers in the order of its jobs');
SELECT is(pg_temp.keep(100, false, 'b'), 'b running 30', 'a keep-alive never makes a lease shorter');
SELECT is(pg_temp.keep(604800000, false, 'b'), 'b running 604800', 'a keep-alive may last for a week');
CALL pg_temp.pass('10 seconds');
SELECT is(pg_temp.pick(9), 'a', 'a job whose lease was not kept alive any more is picked again');
CALL pg_temp.pass('20 seconds');
SELECT is(pg_temp.pick(9), 'own a', 'and one that was kept alive at its new time');
SELECT row_eq(
    $$ SELECT l.attempt, l.picked_at < pgq._now() - interval '30 seconds'
       FROM pgq.list_jobs('mail', 'running') AS l WHERE l.payload = '"b"' $$,
    ROW (1, true), 'a keep-alive changes neither the attempt nor the time of the pick');

-- A lease that ran out, and is not lost yet

DO $$ BEGIN
    PERFORM pgq.drop_queue('mail', force => true);
    CALL pg_temp.add('a');
    PERFORM pg_temp.pick();
    CALL pg_temp.pass('1 hour');
END $$;
SELECT is(pg_temp.state('a'), 'ready', 'a lease ran out');
SELECT is(
    pg_temp.keep(NULL, false, 'a'), 'a running 30',
    'a late keep-alive counts as long as no pick has met the job');
SELECT is(pg_temp.pick(9), '', 'and the job is not picked');

-- What is lost

DO $$ BEGIN
    PERFORM pgq.drop_queue('mail', force => true);
    CALL pg_temp.add('runs', 'complete', 'cancelled', 'paused', 'picked anew', 'retried');
    PERFORM pg_temp.pick(9);
    PERFORM pg_temp.release('complete', 'complete');
    PERFORM pgq.cancel_job(pg_temp.id('cancelled'), 'not wanted');
    PERFORM pgq.cancel_job(pg_temp.id('retried'));
    PERFORM pgq.retry_job(pg_temp.id('retried'), pgq._now() + interval '1 minute');
    PERFORM pg_temp.release('picked anew', 'paused');
    PERFORM pgq.pick_jobs(ARRAY['mail']);
    PERFORM pg_temp.release('paused', 'paused');
    CALL pg_temp.pass('1 second');
END $$;
SELECT is(
    pg_temp.keep(NULL, true, 'complete', 'runs', 'cancelled', 'paused', 'picked anew', 'retried'),
    'complete lost, runs running 30, cancelled cancelled, paused lost, picked anew lost, retried lost',
    'with skip_lost a keep-alive tells which leases are lost and which jobs are cancelled, and extends the others');
SELECT is(
    (SELECT l.lease_until - pgq._now() FROM pgq.list_jobs('mail', 'running') AS l WHERE l.payload = '"picked anew"'),
    interval '29 seconds', 'the lease of whoever has the job now is not extended');
SELECT throws_ok(
    $$ SELECT pg_temp.keep(60000, false, 'runs', 'cancelled') $$, 'JQ003', NULL,
    'without skip_lost one lost lease refuses the whole keep-alive');
SELECT is(pg_temp.keep(100, false, 'runs'), 'runs running 30', 'and extends none');
SELECT is(
    (SELECT string_agg(k.state, ' ')
     FROM pgq.keep_jobs_alive(ARRAY[0, -1, 9007199254740991], ARRAY[1, 1, 1], skip_lost => true) AS k),
    'lost lost lost', 'a job that is not known is lost');
DO $$ BEGIN
    PERFORM pgq.set_queue_config('mail', keep_history => 'none');
    PERFORM pgq.cancel_job(pg_temp.id('runs'));
END $$;
SELECT is(
    pg_temp.keep(NULL, true, 'runs'), 'runs lost', 'a cancelled job whose history is not kept is lost');

-- Without a token, twice, none

DO $$ BEGIN
    PERFORM pgq.drop_queue('mail', force => true);
    CALL pg_temp.add('a', 'b');
    PERFORM pg_temp.pick();
END $$;
SELECT results_eq(
    $$ SELECT k.state, k.lease_until - pgq._now()
       FROM pgq.keep_jobs_alive(ARRAY[pg_temp.id('a')], NULL, 40000) AS k $$,
    $$ VALUES ('running', interval '40 seconds') $$,
    'without a token the lease of whoever runs the job is kept alive');
SELECT throws_ok(
    $$ SELECT count(*) FROM pgq.keep_jobs_alive(ARRAY[pg_temp.id('a'), pg_temp.id('b')], NULL, skip_lost => true) $$,
    'JQ004', NULL, 'without a token a job that nobody runs is an error');
SELECT is(
    pg_temp.keep(NULL, false, 'a', 'a'), 'a running 40, a running 40',
    'a job that stands twice is answered twice');
SELECT is((SELECT count(*) FROM pgq.keep_jobs_alive('{}', '{}')), 0::bigint, 'an empty batch has no answer');
SELECT is((SELECT count(*) FROM pgq.keep_jobs_alive('{}', NULL)), 0::bigint, 'an empty batch without tokens neither');

-- A large batch of a limited queue

DO $$ BEGIN
    PERFORM pgq.set_queue_config('post', max_concurrency => 2000, timeout_milliseconds => 10000);
    PERFORM pgq.add_jobs('post', ARRAY(SELECT to_jsonb(i) FROM generate_series(1, 2001) AS i));
END $$;
CREATE TEMPORARY TABLE many AS SELECT p.job_id, p.lease_token FROM pgq.pick_jobs(ARRAY['post'], 10000) AS p;
CALL pg_temp.pass('9 seconds');
SELECT results_eq(
    $$ SELECT k.state, k.lease_until - pgq._now(), count(*)
       FROM (SELECT array_agg(m.job_id) AS ids, array_agg(m.lease_token) AS tokens FROM many AS m) AS g,
            pgq.keep_jobs_alive(g.ids, g.tokens) AS k GROUP BY 1, 2 $$,
    $$ VALUES ('running', interval '10 seconds', 2000::bigint) $$, 'thousands of leases are kept alive in one call');
SELECT is(
    ARRAY(SELECT DISTINCT r.lease_until - pgq._now() FROM pgq.running_job AS r), ARRAY[interval '10 seconds'],
    'their places under max_concurrency last as long as they do');
CALL pg_temp.pass('9 seconds');
SELECT is(
    (SELECT count(*) FROM pgq.pick_jobs(ARRAY['post'])), 0::bigint,
    'leases that are kept alive keep their places under max_concurrency');

-- In the caller's transaction

SAVEPOINT undone;
DO $$ BEGIN
    PERFORM pgq.keep_jobs_alive(array_agg(m.job_id), array_agg(m.lease_token), 3600000) FROM many AS m;
END $$;
ROLLBACK TO SAVEPOINT undone;
CALL pg_temp.pass('1 second');
SELECT is(
    (SELECT count(*) FROM pgq.pick_jobs(ARRAY['post'])), 1::bigint,
    'a keep-alive that is rolled back extends nothing');

SELECT * FROM finish();
ROLLBACK;
