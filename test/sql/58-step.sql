\i test/setup.psql
-- Steps: a run goes from step to step, each with attempts of its own, and is fenced at each.
BEGIN;
SELECT plan(31);

\i test/fixtures/clock.sql
\i test/fixtures/words.sql
\i test/fixtures/runs.sql
DO $$ BEGIN
    PERFORM pgq.set_queue_config('shop', retry_backoff => 'fixed', pause_between_retries_milliseconds => 5000, max_attempts => 2);
    PERFORM pgq.define_workflow('shop', 'order', 1, '[{"id": "reserve"}, {"id": "pay", "max_attempts": 3, "timeout_milliseconds": 60000,
        "pause_between_retries_milliseconds": 1000}, {"id": "send", "timeout_with_result": "paused"}]');
    PERFORM pg_temp.start('ada');
END $$;

-- From the first step to the last

SELECT is(pg_temp.work(), 'ada:reserve', 'a run is picked at its first step');
SELECT is(pg_temp.done('ada', '{"seats": 2}'), 'ready', 'finishing a step makes the next one ready');
SELECT is(pg_temp.work(), 'ada:pay', 'and the run is picked there');
SELECT is((pg_temp.step('ada')).outputs, '{"reserve": {"seats": 2}}'::jsonb, 'the next step gets the output');
SELECT is((pg_temp.job('ada')).attempt, 1, 'the attempts of a step begin at 1');
SELECT is(pg_temp.release('ada:pay', 'complete'), 'ready', 'a release as complete finishes the step too');
SELECT is(pg_temp.work(), 'ada:send', 'so that the last one comes');
SELECT is(pg_temp.done('ada', '"sent"'), 'complete', 'after the last step the run is complete');
SELECT results_eq(
    $$ SELECT j.state, j.step, j.output FROM pg_temp.job('ada') AS j $$,
    $$ VALUES ('complete', 'send', '"sent"'::jsonb) $$,
    'the output of the last step is that of the run');
SELECT is(
    (SELECT string_agg(concat_ws(' ', a ->> 'step', a ->> 'attempt', a ->> 'outcome', a ->> 'worker'), ', ')
     FROM jsonb_array_elements((pg_temp.job('ada')).attempts) AS a),
    'reserve 1 complete tester, pay 1 complete tester, send 1 complete tester',
    'its history has each step');

-- Attempts, pauses and time-outs

DO $$ BEGIN PERFORM pg_temp.start('bob'); PERFORM pg_temp.work(); END $$;
SELECT is(
    concat(pg_temp.fail('bob'), ' ', EXTRACT(epoch FROM (pg_temp.job('bob')).start_after - pgq._now())::integer), 'scheduled 5',
    'a step that fails waits as the queue says');
CALL pg_temp.pass('5 seconds');
SELECT is(pg_temp.work(), 'bob:reserve', 'and is tried again');
SELECT is(pg_temp.done('bob'), 'ready', 'the second attempt may finish it');
SELECT is((pg_temp.step('bob')).outputs, '{}'::jsonb, 'a step without output leaves none');
SELECT is(pg_temp.work(), 'bob:pay', 'the next step comes');
SELECT results_eq(
    $$ SELECT j.attempt, j.max_attempts, j.lease_until - j.picked_at FROM pg_temp.job('bob') AS j $$,
    $$ VALUES (1, 3, interval '1 minute') $$,
    'with attempts and a time-out of its own');
SELECT is(
    concat(pg_temp.fail('bob'), ' ', EXTRACT(epoch FROM (pg_temp.job('bob')).start_after - pgq._now())::integer), 'scheduled 1',
    'and a pause of its own');
CALL pg_temp.pass('1 second');
DO $$ BEGIN PERFORM pg_temp.work(); PERFORM pg_temp.fail('bob'); END $$;
CALL pg_temp.pass('1 second');
DO $$ BEGIN PERFORM pg_temp.work(); END $$;
SELECT is(pg_temp.fail('bob', 'no money'), 'dead', 'after the last attempt at a step the run is dead');
SELECT is(pg_temp.at('bob'), 'dead pay no money', 'where it died is known');

DO $$ BEGIN PERFORM pg_temp.start('cyd'); PERFORM pg_temp.work(); PERFORM pg_temp.done('cyd', '1'); PERFORM pg_temp.work();
    PERFORM pg_temp.done('cyd'); PERFORM pg_temp.work(); END $$;
CALL pg_temp.pass('31 seconds');
SELECT is(pg_temp.work(), 'cyd:send', 'a step whose lease ran out is settled by the pick that meets it');
SELECT is((pg_temp.job('cyd')).attempt, 1, 'as the step says');

-- The fence

SELECT throws_ok(
    format('SELECT pgq.finish_step(%s, 1)', pg_temp.id('cyd')), 'JQ003', NULL, 'a step is not finished without its lease');
SELECT throws_ok(
    format($$ SELECT * FROM pgq.finish_steps('[{"job_id": %s, "lease_token": 1}]') $$, pg_temp.id('cyd')),
    'JQ003', NULL, 'nor in a batch');
SELECT results_eq(
    format($$ SELECT f.state FROM pgq.finish_steps('[{"job_id": %s, "lease_token": 1}]', skip_lost => true) AS f $$, pg_temp.id('cyd')),
    $$ VALUES ('lost') $$, 'which may tell it instead');
SELECT is(pg_temp.done('cyd'), 'complete', 'who has the lease finishes it');
DO $$ BEGIN PERFORM pgq.set_queue_config('shop', timeout_with_result => 'complete'); PERFORM pg_temp.start('dan'); PERFORM pg_temp.work(); END $$;
CALL pg_temp.pass('31 seconds');
SELECT is(pg_temp.work(), 'dan:pay', 'a lease that ran out may finish its step');
DO $$ BEGIN PERFORM pgq.add_job('shop', '"plain"'); PERFORM pg_temp.work(); END $$;
SELECT throws_ok(
    format('SELECT pgq.finish_step(%s, %s)', pg_temp.id('plain'), (pg_temp.lease('plain')).lease_token),
    'JQ004', format('job %s is no run of a workflow', pg_temp.id('plain')), 'a job that is no run has no steps');
SELECT throws_ok($$ SELECT * FROM pgq.finish_steps('{}') $$, '22023', NULL, 'finish_steps takes an array');
SELECT throws_ok($$ SELECT * FROM pgq.finish_steps('[{"job_id": 1, "lease": 2}]') $$, '22023', NULL, 'of objects with these fields');
SELECT is_empty($$ SELECT * FROM pgq.finish_steps('[]') $$, 'which may be empty');
SELECT throws_ok('SELECT pgq.finish_step(NULL, 1)', '22004', NULL, 'a job_id is needed');

SELECT * FROM finish();
ROLLBACK;
