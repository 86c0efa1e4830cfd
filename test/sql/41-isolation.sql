\i test/setup.psql
-- A limit cannot be counted by an old snapshot: such a pick is refused, any other is not.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT plan(8);

DO $$ BEGIN
    PERFORM pgq.set_queue_config('limited', max_concurrency => 2);
    PERFORM pgq.set_queue_config('grouped', max_concurrency_per_group => 2);
    PERFORM pgq.set_queue_config('free again', max_concurrency => 2, max_concurrency_per_group => 2);
    PERFORM pgq.set_queue_config('free again', max_concurrency => 0, max_concurrency_per_group => 0);
    PERFORM pgq.add_job(q, '1', group_key => 'g') FROM unnest(ARRAY['free', 'free again', 'limited', 'grouped']) AS q;
END $$;

SELECT throws_ok(
    $$ SELECT count(*) FROM pgq.pick_jobs(ARRAY['limited']) $$,
    '0A000', 'a queue with a limit cannot be picked in a "repeatable read" transaction',
    'a queue with max_concurrency is not picked in a repeatable read transaction');
SELECT throws_ok(
    $$ SELECT count(*) FROM pgq.pick_jobs(ARRAY['grouped']) $$,
    '0A000', NULL, 'nor is a queue with a limit for groups');
SELECT throws_ok(
    $$ SELECT count(*) FROM pgq.pick_jobs(ARRAY['free', 'limited'], 9) $$,
    '0A000', NULL, 'nor are several queues of which one has a limit');
SELECT throws_ok(
    $$ SELECT count(*) FROM pgq.release_and_pick('{}', '{}', 'complete', ARRAY['limited']) $$,
    '0A000', NULL, 'release_and_pick refuses it too');
SELECT is(
    (SELECT count(*) FROM pgq.pick_jobs(ARRAY['free'])), 1::bigint,
    'a queue without a limit is picked in any transaction');
SELECT is(
    (SELECT count(*) FROM pgq.pick_jobs(ARRAY['free again'])), 1::bigint, 'a queue that had limits once is, too');
SELECT lives_ok(
    $$ SELECT pgq.release_job(l.job_id, 'complete') FROM pgq.list_jobs('free') AS l $$,
    'a release works in any transaction');
SELECT is(
    (SELECT string_agg(l.state, ' ') FROM pgq.list_jobs('limited') AS l), 'ready',
    'a pick that is refused changes nothing');

SELECT * FROM finish();
ROLLBACK;
