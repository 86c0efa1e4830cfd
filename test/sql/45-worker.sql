\i test/setup.psql
-- Wake-ups: idle workers say so, and learn when the next job is due. (That an add notifies them takes two sessions.)
BEGIN;
SELECT plan(20);

\i test/fixtures/clock.sql

-- The answer of announce_idle: milliseconds until the next job is due

CREATE FUNCTION pg_temp.idle(idle_milliseconds integer DEFAULT 60000)
RETURNS bigint
LANGUAGE sql
AS $$ SELECT pgq.announce_idle(ARRAY['mail', 'never'], 'tester', idle_milliseconds) $$;
SELECT is(pg_temp.idle(), NULL, 'a worker may wait for queues that do not exist yet');
DO $$ BEGIN PERFORM pgq.add_job('mail', '1', start_after => pgq._now() + interval '10.0001 seconds'); END $$;
SELECT is(pg_temp.idle(), 10001::bigint, 'the time until a scheduled job is due is told in milliseconds, rounded up');
SELECT is(pg_temp.idle(10000), NULL, 'a job that is due only after the time of waiting is not told');
DO $$ BEGIN
    PERFORM pgq.add_job('mail', '1', start_after => pgq._now() + interval '10 seconds', priority => -7);
END $$;
SELECT is(
    pg_temp.idle(10000), 10000::bigint,
    'a job that is due at the end of the time of waiting is told, of any priority');
DO $$ BEGIN PERFORM pgq.add_job('post', '1', start_after => pgq._now() + interval '1 second'); END $$;
SELECT is(pg_temp.idle(), 10000::bigint, 'a job of a queue that the worker does not wait for is not told');
SELECT is(
    pgq.announce_idle(ARRAY['mail', 'post'], 'tester', 60000), 1000::bigint,
    'of several queues the first due job is told');
DO $$ BEGIN
    PERFORM pgq.set_queue_config('mail', max_concurrency_per_group => 1);
    PERFORM pgq.add_job('mail', '1', start_after => pgq._now() + interval '7 seconds', group_key => 'g');
END $$;
SELECT is(pg_temp.idle(), 7000::bigint, 'a scheduled job of a group is told');
DO $$ BEGIN PERFORM pgq.add_job('mail', '1'); END $$;
SELECT is(
    pg_temp.idle(), 7000::bigint,
    'a job that is ready is not told: the caller picks once more before it waits');
CALL pg_temp.pass('7 seconds');
SELECT is(
    (SELECT count(*) FROM pgq.pick_jobs(ARRAY['mail'], 9)), 2::bigint, 'both are picked');
SELECT is(pg_temp.idle(), 3000::bigint, 'the next one is due in less and less time');
DO $$ BEGIN
    PERFORM pgq.release_job(l.job_id, 'paused', delay_milliseconds => 500) FROM pgq.list_jobs('mail', 'running') AS l
    WHERE l.group_key IS NULL;
END $$;
SELECT is(pg_temp.idle(), 500::bigint, 'a job that is paused for a while is told');
DO $$ BEGIN
    PERFORM pgq.purge_queue('mail');
    PERFORM pgq.pause_queue('mail', pgq._now() + interval '2 seconds');
END $$;
SELECT is(pg_temp.idle(), 2000::bigint, 'the end of a pause is told');
DO $$ BEGIN PERFORM pgq.pause_queue('mail'); END $$;
SELECT is(pg_temp.idle(), NULL, 'the end of a pause without an end is not');
SELECT is(
    (SELECT count(*) FROM pgq.announce_idle('{}', 'tester', 60000) AS a WHERE a IS NULL), 1::bigint,
    'a worker of no queue is told nothing');
SELECT is(
    pgq.announce_idle(ARRAY['post'], 'tester'), NULL, 'a worker waits for a second unless it says otherwise');

-- Who is idle until when

DO $$ BEGIN
    DELETE FROM pgq.idle_worker;
    PERFORM pgq.announce_idle(ARRAY['mail', 'post', 'mail', NULL], 'one', 1000);
    CALL pg_temp.pass('0.5 seconds');
    PERFORM pgq.announce_idle(ARRAY['mail'], 'two', 3600000);
    PERFORM pgq.announce_idle(ARRAY['mail'], 'one', 2000);
END $$;
SELECT set_eq($$
    SELECT w.worker, q.queue_name, w.until - pgq._now()
    FROM pgq.idle_worker AS w JOIN pgq.queue AS q ON q.queue_id = w.queue_id
$$, $$ VALUES
    ('one', 'mail', interval '2 seconds'),
    ('one', 'post', interval '0.5 seconds'),
    ('two', 'mail', interval '1 hour')
$$, 'a worker is idle on each of its queues until the time of its last word for it');
DO $$ BEGIN PERFORM pgq.announce_busy('one'); END $$;
SELECT results_eq(
    $$ SELECT w.worker FROM pgq.idle_worker AS w $$, $$ VALUES ('two') $$,
    'announce_busy takes back what this worker said, and nothing else');
SELECT lives_ok($$ SELECT pgq.announce_busy('one') $$, 'a worker may say twice that it is busy');

SELECT is(
    pgq.wake_up_channel(), 'pgq_' || (SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = 'pgq' AND c.relname = 'job'),
    'each installation in a database has a channel of its own');
SELECT lives_ok(format('LISTEN %I', pgq.wake_up_channel()), 'a session can listen to the channel');

SELECT * FROM finish();
ROLLBACK;
