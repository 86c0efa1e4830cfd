\i test/setup.psql
-- Memory: what an attempt of a step has remembered, the next attempt knows, until the step is finished.
BEGIN;
SELECT plan(15);

\i test/fixtures/clock.sql
\i test/fixtures/words.sql
\i test/fixtures/runs.sql
DO $$ BEGIN
    PERFORM pgq.set_queue_config('shop', retry_backoff => 'fixed', pause_between_retries_milliseconds => 0);
    PERFORM pgq.define_workflow('shop', 'order', 1, '[{"id": "a"}, {"id": "b"}]');
    PERFORM pgq.add_job('shop', '"plain"');
    PERFORM pg_temp.start('ada');
    PERFORM pg_temp.work();
END $$;
CREATE FUNCTION pg_temp.remember(run text, name text, value jsonb)
RETURNS jsonb
LANGUAGE sql
AS $$ SELECT pgq.remember(l.job_id, l.lease_token, remember.name, remember.value) FROM pg_temp.lease(run) AS l $$;

SELECT is(pg_temp.remember('ada', 'charge', '1'), '1'::jsonb, 'a value is remembered');
SELECT is(pg_temp.remember('ada', 'charge', '2'), '1'::jsonb, 'the first one stays');
SELECT is(pg_temp.remember('ada', 'nothing', NULL), 'null'::jsonb, 'it may be nothing');
DO $$ BEGIN PERFORM pg_temp.fail('ada'); END $$;
SELECT is(pg_temp.work(), 'ada:a', 'the next attempt');
SELECT is((pg_temp.step('ada')).once, '{"charge": 1, "nothing": null}'::jsonb, 'knows all of them');
SELECT is(pg_temp.remember('ada', 'charge', '3'), '1'::jsonb, 'and gets the one that is kept');
SELECT is(pg_temp.done('ada'), 'ready', 'when the step is finished');
SELECT is_empty('SELECT * FROM pgq.run_memory', 'they are forgotten');
SELECT is(pg_temp.work(), 'ada:b', 'so that the next step');
SELECT is((pg_temp.step('ada')).once, '{}'::jsonb, 'knows none of them');
SELECT is(pg_temp.remember('ada', 'charge', '4'), '4'::jsonb, 'and may use the same names');
SELECT is(pg_temp.done('ada'), 'complete', 'after the last step');
SELECT is_empty('SELECT * FROM pgq.run_memory', 'nothing is left');
SELECT throws_ok(
    $$ SELECT pg_temp.remember('ada', 'charge', '1') $$, 'JQ003', NULL, 'who has lost the lease remembers nothing');
SELECT throws_ok(
    $$ SELECT pg_temp.remember('plain', 'charge', '1') $$,
    'JQ004', format('job %s is no run of a workflow', pg_temp.id('plain')), 'nor does a job that is no run');

SELECT * FROM finish();
ROLLBACK;
