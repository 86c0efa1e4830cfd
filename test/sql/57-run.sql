\i test/setup.psql
-- Runs: what holds for jobs holds for them, over all their steps and in batches.
BEGIN;
SELECT plan(34);

\i test/fixtures/clock.sql
\i test/fixtures/words.sql
\i test/fixtures/runs.sql
DO $$ BEGIN
    PERFORM pgq.set_queue_config('shop', max_attempts => 2, retry_backoff => 'fixed');
    PERFORM pgq.define_workflow('shop', 'order', 1, '[{"id": "a"}, {"id": "b", "max_attempts": 5, "timeout_milliseconds": 1000}, {"id": "c"}]');
END $$;

-- Settings of a run

DO $$ BEGIN PERFORM pg_temp.start('ada', options => ', max_attempts => 3, timeout_milliseconds => 2000, timeout_with_result => ''paused'''); END $$;
CREATE FUNCTION pg_temp.settings(name text)
RETURNS text
LANGUAGE sql
AS $$ SELECT concat_ws(' ', j.step, j.max_attempts, j.timeout_milliseconds, j.timeout_with_result) FROM pg_temp.job(name) AS j $$;
SELECT is(pg_temp.settings('ada'), 'a 3 2000 paused', 'a run may have settings of its own');
DO $$ BEGIN PERFORM pg_temp.work(); PERFORM pg_temp.done('ada'); END $$;
SELECT is(pg_temp.settings('ada'), 'b 5 1000 paused', 'those of a step come before them');
DO $$ BEGIN PERFORM pg_temp.work(); PERFORM pg_temp.done('ada'); END $$;
SELECT is(pg_temp.settings('ada'), 'c 3 2000 paused', 'and they hold again for the steps without');
DO $$ BEGIN PERFORM pg_temp.work(); PERFORM pg_temp.fail('ada', retry => false); PERFORM pgq.retry_from_step(pg_temp.id('ada'), 'b'); END $$;
SELECT is(pg_temp.settings('ada'), 'b 5 1000 paused', 'also when it is retried');
DO $$ BEGIN PERFORM pgq.cancel_job(pg_temp.id('ada')); PERFORM pgq.add_jobs('shop', '{"\"all\""}', max_attempts => 4, workflow => 'order'); END $$;
SELECT is(pg_temp.settings('all'), 'a 4', 'a batch may have them too');
DO $$ BEGIN PERFORM pg_temp.work(); PERFORM pg_temp.done('all'); PERFORM pg_temp.work(); PERFORM pg_temp.done('all'); END $$;
SELECT is(pg_temp.settings('all'), 'c 4', 'for all steps');
DO $$ BEGIN PERFORM pgq.cancel_job(pg_temp.id('all')); END $$;

-- Unique keys

DO $$ BEGIN PERFORM pg_temp.start('bob', options => ', unique_key => ''k'''); END $$;
SELECT is((pgq.add_job('shop', '"new"', unique_key => 'k', on_conflict => 'replace', workflow => 'order')).is_new, false, 'a run that has not begun is replaced');
SELECT is(pg_temp.work(), 'new:a', 'by the new one');
DO $$ BEGIN PERFORM pg_temp.done('new'); END $$;
SELECT is((pgq.add_job('shop', '"skipped"', unique_key => 'k', workflow => 'order')).is_new, false, 'its key holds over its steps');
SELECT is((pgq.add_job('shop', '"next"', unique_key => 'k', on_conflict => 'replace', workflow => 'order')).is_new, true, 'a run that has begun is not replaced');
SELECT is(pg_temp.work(), 'new:b next:a', 'both go on');
DO $$ BEGIN PERFORM pg_temp.done('new', NULL, '{"complete": true}'); END $$;
SELECT is((pgq.add_job('shop', '"skipped"', unique_key => 'k')).is_new, false, 'the key is now the new one''s');
DO $$ BEGIN PERFORM pg_temp.done('next', NULL, '{"complete": true}'); END $$;
SELECT is((pgq.add_job('shop', '"plain"', unique_key => 'k')).is_new, true, 'and is free when that has finished');
DO $$ BEGIN PERFORM pgq.add_job('shop', '"turned"', unique_key => 'k', on_conflict => 'replace', workflow => 'order'); END $$;
SELECT is(pg_temp.work(), 'turned:a', 'a waiting job may become a run');
DO $$ BEGIN PERFORM pg_temp.done('turned', NULL, '{"complete": true}'); END $$;
SELECT is(
    (SELECT array_agg(j.is_new) FROM pgq.add_jobs('shop', '{"\"k1\"","\"k2\"","\"k1\""}', unique_keys => '{k1,k2,k1}', workflow => 'order') AS ids,
     LATERAL (SELECT count(DISTINCT i) = 2 AS is_new FROM unnest(ids) AS i) AS j), '{t}', 'a batch of runs may have keys');
SELECT is(pg_temp.work(), 'k1:a k2:a', 'and gives a run for each');
DO $$ BEGIN PERFORM pg_temp.done(n, NULL, '{"complete": true}') FROM unnest(ARRAY['k1', 'k2']) AS n; END $$;

-- Limits and groups

DO $$ BEGIN
    PERFORM pgq.set_queue_config('shop', max_concurrency => 1);
    PERFORM pg_temp.start('cyd'); PERFORM pg_temp.start('dan');
END $$;
CALL pg_temp.pass('1 second');
SELECT is(pg_temp.work(), 'cyd:a', 'under a limit so many run at once');
SELECT is(pg_temp.work(), '', 'not more');
DO $$ BEGIN PERFORM pg_temp.done('cyd'); END $$;
SELECT is(pg_temp.work(), 'dan:a', 'between two steps a run gives its place to others');
CALL pg_temp.pass('1 second');
DO $$ BEGIN PERFORM pg_temp.done('dan'); END $$;
SELECT is(pg_temp.work(), 'cyd:b', 'and comes again');
DO $$ BEGIN
    PERFORM pg_temp.done('cyd', NULL, '{"complete": true}'); PERFORM pg_temp.work(); PERFORM pg_temp.done('dan', NULL, '{"complete": true}');
    PERFORM pgq.set_queue_config('shop', max_concurrency => 0, max_concurrency_per_group => 1);
    PERFORM pg_temp.start('eve', options => ', group_key => ''g'''); PERFORM pg_temp.start('fay', options => ', group_key => ''g''');
END $$;
CALL pg_temp.pass('1 second');
SELECT is(pg_temp.work(), 'eve:a', 'in a group so many run at once');
SELECT is(pg_temp.done('eve'), 'held', 'between two steps a run waits for its turn');
SELECT is(pg_temp.work(), 'fay:a', 'which the next one has first');
DO $$ BEGIN PERFORM pg_temp.done('fay', NULL, '{"signal": "s"}'); END $$;
SELECT is(pg_temp.work(), 'eve:b', 'who waits for a signal has no turn');
DO $$ BEGIN PERFORM pgq.signal_job(pg_temp.id('fay'), 's'); END $$;
SELECT is(pg_temp.work(), '', 'when it has come');
SELECT is((pg_temp.job('fay')).held_by, 'group', 'the run waits for its turn');
DO $$ BEGIN PERFORM pg_temp.done('eve', NULL, '{"complete": true}'); END $$;
SELECT is(pg_temp.work(), 'fay:b', 'and gets it');
DO $$ BEGIN
    PERFORM pg_temp.done('fay', NULL, '{"complete": true}');
    PERFORM pgq.set_queue_config('shop', group_order => 'strict');
    PERFORM pg_temp.start('gus', options => ', group_key => ''g'''); PERFORM pg_temp.start('hal', options => ', group_key => ''g''');
    PERFORM pg_temp.work(); PERFORM pg_temp.done('gus', NULL, '{"delay_milliseconds": 500}');
END $$;
SELECT is(pg_temp.work(), '', 'in a strict group a run keeps its turn between two steps, also while it sleeps');
CALL pg_temp.pass('1 second');
SELECT is(pg_temp.work(), 'gus:b', 'and goes on before the next one begins');
DO $$ BEGIN PERFORM pg_temp.done('gus', NULL, '{"signal": "s"}'); END $$;
SELECT is(pg_temp.work(), 'hal:a', 'unless it waits for a signal');
DO $$ BEGIN PERFORM pgq.signal_job(pg_temp.id('gus'), 's'); PERFORM pg_temp.done('hal', NULL, '{"complete": true}'); END $$;
SELECT is(pg_temp.work(), 'gus:c', 'after which it gets another turn');
DO $$ BEGIN
    PERFORM pg_temp.done('gus', NULL, '{"complete": true}');
    PERFORM pgq.set_queue_config('shop', group_order => 'loose');
END $$;

-- Batches of runs and jobs, each at another place

DO $$ BEGIN
    PERFORM pgq.set_queue_config('shop', max_concurrency_per_group => 0);
    PERFORM pg_temp.start('r1'); PERFORM pg_temp.work(); PERFORM pg_temp.done('r1', '1', '{"step": "c"}');
    PERFORM pg_temp.start('r2'); PERFORM pgq.add_job('shop', '"p1"'); PERFORM pg_temp.start('r3'); PERFORM pgq.add_job('shop', '"p2"');
    PERFORM pg_temp.work();
    PERFORM pgq.release_jobs(array_agg(l.job_id), array_agg(l.lease_token), 'complete', outputs => array_agg(to_jsonb(n)))
    FROM unnest(ARRAY['p2', 'r3', 'r1', 'p1', 'r2']) AS n CROSS JOIN LATERAL pg_temp.lease(n) AS l;
END $$;
SELECT results_eq(
    $$ SELECT pg_temp.at(n), COALESCE((pg_temp.job(n)).output, (pg_temp.step(n)).outputs) FROM unnest(ARRAY['p1', 'p2', 'r1', 'r2', 'r3']) AS n $$,
    $$ VALUES ('complete', '"p1"'::jsonb), ('complete', '"p2"'), ('complete c', '"r1"'), ('ready b', '{"a": "r2"}'), ('ready b', '{"a": "r3"}') $$,
    'a batch may have jobs and runs, each with its output');
DO $$ BEGIN PERFORM pg_temp.work(); END $$;
SELECT results_eq($$
    SELECT pg_temp.at(n), f.state FROM (SELECT array_agg(n ORDER BY n) AS names, jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
               'job_id', l.job_id, 'lease_token', l.lease_token, 'output', n, 'next', x::jsonb)) ORDER BY n) AS steps
           FROM (VALUES ('r2', '{"delay_milliseconds": 5}'), ('r3', NULL)) AS s (n, x) CROSS JOIN LATERAL pg_temp.lease(n) AS l) AS g
    CROSS JOIN LATERAL pgq.finish_steps(g.steps) WITH ORDINALITY AS f (job_id, lease_token, state, place)
    CROSS JOIN LATERAL (SELECT g.names[f.place]) AS n (n)
$$, $$ VALUES ('scheduled c', 'scheduled'), ('ready c', 'ready') $$, 'so may a batch of finish_steps, each with its next');

-- What workers are told

SELECT results_eq(
    $$ SELECT s.job_id, s.outputs, s.children, s.signal, s.once, s.failure, s.attempt
       FROM pgq.get_steps(ARRAY[pg_temp.id('r3'), 0, pg_temp.id('p1'), pg_temp.id('r2'), pg_temp.id('r1')]) AS s $$,
    $$ VALUES (pg_temp.id('r3'), '{"a": "r3", "b": "r3"}'::jsonb, NULL::jsonb, NULL::jsonb, '{}'::jsonb, NULL, 0),
              (pg_temp.id('r2'), '{"a": "r2", "b": "r2"}', NULL, NULL, '{}', NULL, 0) $$,
    'get_steps tells of the runs that are not finished, in the order that is asked for');

SELECT * FROM finish();
ROLLBACK;
