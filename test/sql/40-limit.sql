\i test/setup.psql
-- max_concurrency: how many jobs of a queue may run at once.
BEGIN;
SELECT plan(51);

\i test/fixtures/clock.sql
\i test/fixtures/words.sql

-- The limit

DO $$ BEGIN PERFORM pgq.set_queue_config('mail', max_concurrency => 2, timeout_milliseconds => 60000,
    retry_backoff => 'fixed', pause_between_retries_milliseconds => 60000); END $$;
CALL pg_temp.add('a', 'b', 'c', 'd', 'e');
SELECT is(pg_temp.pick(9), 'a b', 'no more jobs run than max_concurrency says');
SELECT is(pg_temp.pick(9), '', 'a full queue is not picked');
SELECT is((SELECT s.ready FROM pgq.queue_stats('mail') AS s), 3::bigint, 'the others are ready');
SELECT is(pg_temp.release('a', 'complete'), 'complete', 'a job that completes');
SELECT is(pg_temp.pick(9), 'c', 'makes room for one');
SELECT is(pg_temp.release('b', 'failed'), 'scheduled', 'a job that failed');
SELECT is(pg_temp.pick(9), 'd', 'makes room for one');
SELECT is(pg_temp.release('c', 'failed', retry => false), 'dead', 'a job that died');
SELECT is(pg_temp.pick(9), 'e', 'makes room for one');
SELECT is(pg_temp.release('e', 'paused', delay_milliseconds => 1000), 'scheduled', 'a paused job');
CALL pg_temp.add('f', 'g', 'h', 'i', 'j');
SELECT is(pg_temp.pick(9), 'f', 'makes room for one');
SELECT is(pg_temp.release('f', 'cancelled'), 'cancelled', 'a job that its worker cancels');
SELECT is(pg_temp.pick(9), 'g', 'makes room for one');
DO $$ BEGIN PERFORM pgq.cancel_job(pg_temp.id('g')); END $$;
SELECT is(pg_temp.pick(9), 'h', 'so does a running job that is cancelled from outside');
DO $$ BEGIN
    PERFORM pgq.release_jobs(array_agg(l.job_id), array_agg(l.lease_token), 'complete')
    FROM lease AS l WHERE l.name IN ('d', 'h');
END $$;
SELECT is(pg_temp.pick(9), 'i j', 'a batch makes room for as many as it has');
SELECT is(
    (SELECT string_agg(p.payload #>> '{}', ' ')
     FROM (SELECT array_agg(l.job_id) AS ids, array_agg(l.lease_token) AS tokens
           FROM lease AS l WHERE l.name IN ('i', 'j')) AS last,
          pgq.release_and_pick(last.ids, last.tokens, 'paused', ARRAY['mail'], 9) AS p), 'i j',
    'release_and_pick has the room that it makes');
SELECT is(pgq.purge_queue('mail'), 2::bigint, 'a purge of the jobs that wait');
CALL pg_temp.add('k');
SELECT is(pg_temp.pick(9), '', 'makes no room');

-- Time

CALL pg_temp.pass('59 seconds');
SELECT is(pg_temp.pick(9), '', 'a lease that runs keeps its place');
DO $$ BEGIN
    PERFORM pgq.keep_jobs_alive(ARRAY[j.job_id], NULL) FROM pgq.list_jobs('mail', 'running') AS j
    WHERE j.payload = '"i"';
    CALL pg_temp.pass('1 second');
END $$;
SELECT is(pg_temp.pick(9), 'k', 'a lease that ran out makes room for one, a lease that was kept alive does not');
SELECT is(pg_temp.state('j'), 'scheduled', 'the one whose lease ran out has been released');
CALL pg_temp.add('l');
CALL pg_temp.pass('58 seconds');
SELECT is(pg_temp.pick(9), '', 'a lease that was kept alive keeps its place until its new end');
CALL pg_temp.pass('1 second');
SELECT is(pg_temp.pick(9), 'l', 'and then makes room');
CALL pg_temp.pass('1 hour');
SELECT is(pg_temp.pick(9), 'j i', 'all leases that ran out make room for the next that are due');
DO $$ BEGIN
    CALL pg_temp.pass('1 hour');
    PERFORM pg_temp.pick(9);
    CALL pg_temp.pass('1 hour');
    PERFORM pg_temp.pick(9);
    CALL pg_temp.pass('1 hour');
END $$;
SELECT is(
    (SELECT count(*) FROM regexp_split_to_table(pg_temp.pick(9), ' ')), 2::bigint,
    'however often leases run out, their places become free');

-- Beyond the limit, on purpose

CALL pg_temp.add('m');
CREATE TEMPORARY TABLE forced AS
SELECT p.payload #>> '{}' AS name, p.job_id, p.lease_token
FROM pgq.pick_jobs(ARRAY['mail'], ignore_max_concurrency => true) AS p;
SELECT is((SELECT count(*) FROM forced), 1::bigint, 'ignore_max_concurrency picks above the limit');
SELECT is((SELECT s.running FROM pgq.queue_stats('mail') AS s), 3::bigint, 'three run');
SELECT is(
    (SELECT pg_temp.release(l.payload #>> '{}', 'complete')
     FROM pgq.list_jobs('mail', 'running', (SELECT f.job_id FROM forced AS f), 1) AS l), 'complete',
    'one of the others ends');
SELECT is(pg_temp.pick(9), '', 'a job that was picked above the limit counts all the same');
CALL pg_temp.add('n');
SELECT is(
    (SELECT p.payload FROM forced AS f, pgq.release_and_pick(
        ARRAY[f.job_id], ARRAY[f.lease_token], 'complete', ARRAY['mail'], ignore_max_concurrency => true) AS p),
    '"n"', 'release_and_pick ignores the limit when it is told to');
CALL pg_temp.add('o');
SELECT is(pg_temp.pick(9), '', 'and what it picked counts too');

DO $$ BEGIN
    PERFORM pgq.set_queue_config('post', max_concurrency => 1);
    PERFORM pgq.add_jobs('post', '{1,2,3}');
    PERFORM pgq.pick_jobs(ARRAY['post']);
END $$;
SELECT is(
    (SELECT count(*) FROM pgq.pick_jobs(ARRAY['post'], 9, ignore_max_concurrency => true)), 2::bigint,
    'as many as are asked for are picked above the limit');
DO $$ BEGIN PERFORM pgq.drop_queue('post', force => true); END $$;

-- Changes of the limit

DO $$ BEGIN
    PERFORM pgq.drop_queue('mail', force => true);
    CALL pg_temp.add('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');
    PERFORM pg_temp.pick(3);
    PERFORM pgq.set_queue_config('mail', max_concurrency => 4);
END $$;
SELECT is(pg_temp.pick(9), 'd', 'a limit that is set counts the jobs that run already');
DO $$ BEGIN PERFORM pgq.set_queue_config('mail', max_concurrency => 5); END $$;
SELECT is(pg_temp.pick(9), 'e', 'a raised limit counts at once');
DO $$ BEGIN
    PERFORM pgq.set_queue_config('mail', max_concurrency => 2);
    PERFORM pg_temp.release(n, 'complete') FROM unnest(ARRAY['a', 'b', 'c']) AS n;
END $$;
SELECT is(pg_temp.pick(9), '', 'a lowered limit waits until enough jobs have ended');
SELECT is(pg_temp.release('d', 'complete'), 'complete', 'enough have ended');
SELECT is(pg_temp.pick(9), 'f', 'a lowered limit holds');
DO $$ BEGIN PERFORM pgq.set_queue_config('mail', max_concurrency => 0); END $$;
SELECT is(pg_temp.pick(9), 'g h', 'without the limit all jobs are picked');
DO $$ BEGIN
    PERFORM pg_temp.release('e', 'complete');
    CALL pg_temp.add('i', 'j');
    PERFORM pgq.set_queue_config('mail', max_concurrency => 4);
END $$;
SELECT is(
    pg_temp.pick(9), 'i',
    'a limit that is set again counts what runs now, and nothing that has ended meanwhile');

-- Several queues

DO $$ BEGIN
    PERFORM pgq.drop_queue('mail', force => true);
    PERFORM pgq.set_queue_config('mail', max_concurrency => 1);
    CALL pg_temp.add('m1', 'm2', 'm3');
    CALL pg_temp.pass('1 second');
    PERFORM pgq.add_job('post', to_jsonb('p' || i)) FROM generate_series(1, 4) AS i;
END $$;
SELECT is(pg_temp.pick(3, 'mail', 'post'), 'm1 p1 p2', 'a full queue leaves its share of a pick to the others');
SELECT is(pg_temp.pick(3, 'mail', 'post'), 'p3 p4', 'a queue that is full from the start too');
SELECT is(pg_temp.release('m1', 'complete'), 'complete', 'it has room again');
DO $$ BEGIN
    PERFORM pgq.add_job('mail', '"urgent"', priority => 10);
    PERFORM pgq.add_job('mail', '"not urgent"', priority => -10);
END $$;
SELECT is(pg_temp.pick(9), 'urgent', 'the limit counts over all priorities');

-- Limits of the queue and of its groups together

DO $$ BEGIN
    PERFORM pgq.drop_queue('mail', force => true);
    PERFORM pgq.set_queue_config('mail', max_concurrency => 3, max_concurrency_per_group => 2);
    PERFORM pgq.add_jobs('mail', ARRAY['"a1"', '"a2"', '"a3"', '"b1"', '"b2"', '"b3"']::jsonb[],
        group_keys => ARRAY['a', 'a', 'a', 'b', 'b', 'b']);
END $$;
SELECT is(pg_temp.pick(9), 'a1 b1 a2', 'a queue with both limits keeps both');
DO $$ BEGIN
    PERFORM pg_temp.release('b1', 'complete');
    PERFORM pg_temp.release('a1', 'complete');
END $$;
SELECT is(pg_temp.pick(9), 'a3 b2', 'and goes on in both');
SELECT is(pg_temp.pick(9), '', 'and is full again');

-- A transaction that is undone

SAVEPOINT undone;
DO $$ BEGIN
    PERFORM pg_temp.release('a2', 'complete');
    PERFORM pg_temp.pick(9);
END $$;
ROLLBACK TO SAVEPOINT undone;
SELECT is(pg_temp.pick(9), '', 'a release that is rolled back makes no room');
SAVEPOINT undone;
SELECT is(pg_temp.release('a2', 'complete'), 'complete', 'it is made again');
SELECT is(pg_temp.pick(9), 'b3', 'and the room is taken');
ROLLBACK TO SAVEPOINT undone;
SELECT is(pg_temp.release('a2', 'complete'), 'complete', 'both are rolled back and the release is made again');
SELECT is(pg_temp.pick(9), 'b3', 'a pick that is rolled back takes no place');

SELECT * FROM finish();
ROLLBACK;
