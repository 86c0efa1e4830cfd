\i test/setup.psql
-- Workflows: their steps by version, and the runs that are open.
BEGIN;
SELECT plan(26);

\i test/fixtures/clock.sql
\i test/fixtures/words.sql
\i test/fixtures/runs.sql

SELECT is(pgq.define_workflow('shop', 'order', 1, '[{"id": "a"}, {"id": "b"}]'), true, 'a workflow is defined');
SELECT is((pgq.get_queue_config('shop')).queue_name, 'shop', 'its queue is made by that');
SELECT is(pgq.define_workflow('shop', 'order', 1, '[{"id": "a"}, {"id": "b"}]'), false, 'the same again is nothing new');
SELECT is(pgq.define_workflow('shop', 'order', 2, '[{"id": "a"}, {"id": "c"}]'), true, 'another version is');
DO $$ BEGIN PERFORM pg_temp.start('ada'), pg_temp.start('eve', options => ', workflow_version => 1'); END $$;
SELECT results_eq(
    $$ SELECT j.workflow, j.workflow_version, j.step FROM pgq.list_jobs('shop') AS j ORDER BY j.job_id $$,
    $$ VALUES ('order', 2, 'a'), ('order', 1, 'a') $$, 'a run begins on the highest version, or the one that is named');
SELECT results_eq(
    $$ SELECT p.workflow, p.workflow_version, p.step FROM pgq.pick_jobs(ARRAY['shop'], 10) AS p $$,
    $$ VALUES ('order', 2, 'a'), ('order', 1, 'a') $$, 'a pick tells where they stand');
DO $$ BEGIN
    PERFORM pgq.release_job(j.job_id, 'complete') FROM pgq.list_jobs('shop') AS j;
    PERFORM pgq.add_jobs('shop', '{1,2}', workflow => 'order', workflow_version => 1);
END $$;
SELECT results_eq(
    $$ SELECT v.queue_name, v.workflow, v.version, v.step_ids, v.open_runs, v.open_runs_by_step, v.is_newest FROM pgq.workflow_versions() AS v $$,
    $$ VALUES ('shop', 'order', 1, '{a,b}'::text[], 3::bigint, '{"a": 2, "b": 1}'::jsonb, false),
              ('shop', 'order', 2, '{a,c}', 1, '{"c": 1}', true) $$,
    'workflow_versions counts the open runs by step');
SELECT is((SELECT count(*) FROM pgq.workflow_versions('shop', 'none')), 0::bigint, 'of a workflow that is asked for');
SELECT throws_ok($$ SELECT * FROM pgq.workflow_versions('none') $$, 'JQ001', NULL, 'or of a queue');

-- Changing and dropping a version

SELECT is(pgq.define_workflow('shop', 'order', 1, '[{"id": "a"}, {"id": "x"}, {"id": "b", "max_attempts": 3}]'), true,
    'a version may get other steps');
SELECT is(pgq.define_workflow('shop', 'order', 2, '[{"id": "c"}]'), true, 'and lose those at which no run stands');
SELECT throws_ok(
    $$ SELECT pgq.define_workflow('shop', 'order', 1, '[{"id": "a"}, {"id": "x"}]') $$,
    '55000', NULL, 'but not one at which a run stands');
SELECT throws_ok($$ SELECT pgq.drop_workflow_version('shop', 'order', 1) $$, '55000', NULL, 'a version with open runs is not dropped');
DO $$ BEGIN PERFORM pgq.cancel_job(j.job_id) FROM pgq.list_jobs('shop') AS j WHERE j.workflow_version = 1; END $$;
SELECT lives_ok($$ SELECT pgq.drop_workflow_version('shop', 'order', 1) $$, 'one without is');
SELECT throws_ok(
    $$ SELECT pgq.drop_workflow_version('shop', 'order', 1) $$, 'JQ007', 'workflow "order", version 1 not found in queue "shop"', 'once');
SELECT throws_ok(
    $$ SELECT pg_temp.start('bob', options => ', workflow_version => 1') $$,
    'JQ007', 'workflow "order", version 1 not found in queue "shop"', 'no run begins on a version that is not there');
SELECT throws_ok(
    $$ SELECT pg_temp.start('bob', 'none') $$, 'JQ007', 'workflow "none" not found in queue "shop"', 'nor of a workflow that is not');
SELECT throws_ok(
    $$ SELECT pgq.add_jobs('other', '{1}', workflow => 'order') $$, 'JQ007', 'workflow "order" not found in queue "other"', 'in this queue');
SELECT throws_ok(
    $$ SELECT pgq.add_job('shop', '1', workflow_version => 1) $$, '22004', NULL, 'a version is that of a workflow');
SELECT throws_ok(
    $$ SELECT pgq.add_jobs('shop', '{1}', workflow_version => 1) $$, '22004', NULL, 'also in a batch');

-- A run at a step that is gone: it was moved there while the step was being left out.
DO $$ BEGIN
    PERFORM pg_temp.work();
    DELETE FROM pgq.workflow_step AS s WHERE s.step = 'c';
    PERFORM pgq.release_job(j.job_id, 'complete') FROM pgq.list_jobs('shop', 'running') AS j;
END $$;
SELECT is(pg_temp.at('ada'), 'dead c its workflow has no such step any more', 'a run at a step that is gone dies when it is finished');

-- Which steps there may be

SELECT results_eq($$
    SELECT s.steps, pg_temp.failure(format('define_workflow(''shop'', ''w'', 1, %L)', s.steps))
    FROM unnest(ARRAY['{}', '[]', '[1]', '[{}]', '[{"id": ""}]', '[{"id": 1}]', '[{"id": "a"}, {"id": "a"}]', '[{"id": "a", "compensates": 1}]',
        '[{"id": "a", "name": "b"}]', '[{"id": "a", "max_attempts": 0}]', '[{"id": "a", "timeout_milliseconds": 99}]',
        '[{"id": "a", "retry_backoff": "no"}]', NULL]) AS s (steps)
$$, $$ VALUES
    ('{}', '22023 expected steps to be a json array, got ''{}'''),
    ('[]', '22023 expected 1 to 1000 steps, got ''0'''),
    ('[1]', '22023 expected each step to be a json object, got ''1'''),
    ('[{}]', '22004 expected the id of each step to be 1 to 200 bytes long, got null'),
    ('[{"id": ""}]', '22023 expected the id of each step to be 1 to 200 bytes long, got '''''),
    ('[{"id": 1}]', '22023 expected the id of each step to be 1 to 200 bytes long, got ''1'''),
    ('[{"id": "a"}, {"id": "a"}]', '22023 expected ids that differ, got ''a'''),
    ('[{"id": "a", "compensates": 1}]', '22023 expected compensates to be true or false, got ''1'''),
    ('[{"id": "a", "name": "b"}]', '22023 expected nothing in a step but id, compensates and settings of a queue, got ''name'''),
    ('[{"id": "a", "max_attempts": 0}]', '22023 expected max_attempts to be between 1 and 1000, got ''0'''),
    ('[{"id": "a", "timeout_milliseconds": 99}]', '22023 expected timeout_milliseconds to be between 100 and 604800000, got ''99'''),
    ('[{"id": "a", "retry_backoff": "no"}]', '22023 expected retry_backoff to be one of exponential, fixed, got ''no'''),
    (NULL, '22004 expected steps to be a json array, got null')
$$, 'steps that are not as they should be are refused');
SELECT is(pg_temp.failure('define_workflow(''shop'', '''', 1, ''[{"id": "a"}]'')'), '22023 expected workflow to be 1 to 200 bytes long, got ''''', 'so is a name');
SELECT is(pg_temp.failure('define_workflow(''shop'', ''w'', 0, ''[{"id": "a"}]'')'), '22023 expected version to be above 0, got ''0''', 'and a version');

-- With its queue

DO $$ BEGIN PERFORM pgq.drop_queue('shop'); END $$;
SELECT is_empty($$ SELECT workflow FROM pgq.workflow UNION SELECT workflow FROM pgq.workflow_step $$, 'a queue that is dropped loses its workflows');
SELECT is(pgq.define_workflow('shop', 'order', 2, '[{"id": "c"}]'), true, 'and may get them anew');

SELECT * FROM finish();
ROLLBACK;
