\i test/setup.psql
-- Children: a run starts jobs, waits for all of them, and gets what became of each.
BEGIN;
SELECT plan(32);

\i test/fixtures/clock.sql
\i test/fixtures/words.sql
\i test/fixtures/runs.sql
DO $$ BEGIN
    PERFORM pgq.set_queue_config('shop', max_attempts => 1);
    PERFORM pgq.define_workflow('shop', 'order', 1, '[{"id": "split"}, {"id": "join"}]');
    PERFORM pgq.define_workflow('pack', 'box', 1, '[{"id": "fold", "max_attempts": 7}, {"id": "fill"}]');
END $$;
CREATE FUNCTION pg_temp.split(name text, next jsonb)
RETURNS text
LANGUAGE plpgsql
AS $$ BEGIN PERFORM pg_temp.start(name), pg_temp.work(); RETURN pg_temp.done(name, '"split"', next); END $$;
CREATE FUNCTION pg_temp.results(name text)
RETURNS text
LANGUAGE sql
AS $$
    SELECT string_agg(concat_ws(' ', c ->> 'state', c ->> 'output', c ->> 'error'), ', ' ORDER BY place)
    FROM jsonb_array_elements((pg_temp.step(name)).children) WITH ORDINALITY AS c (c, place)
$$;

SELECT is(pg_temp.split('ada', '{"children": [{"payload": "a1"}, {"payload": "a2", "priority": 5}, {"payload": "a3", "queue_name": "pack",
    "max_attempts": 3, "group_key": "g", "headers": {"h": 1}, "timeout_milliseconds": 5000, "start_after": "2030-01-01T00:01:00Z"}]}'),
    'held', 'a run that waits for its children is held');
SELECT results_eq(
    $$ SELECT j.held_by, j.step FROM pg_temp.job('ada') AS j $$, $$ VALUES ('children', 'join') $$, 'before the step that gets the results');
SELECT is(pg_temp.work(), 'a2 a1', 'its children are jobs like others');
SELECT results_eq(
    $$ SELECT j.queue_name, j.max_attempts, j.group_key, j.headers, j.timeout_milliseconds, j.state, j.parent_job_id
       FROM pg_temp.job('a3') AS j $$,
    $$ VALUES ('pack', 3, 'g', '{"h": 1}'::jsonb, 5000, 'scheduled', pg_temp.id('ada')) $$,
    'in any queue, with what add_job takes');
SELECT is(pg_temp.release('a2', 'complete'), 'complete', 'they end like others');
DO $$ BEGIN PERFORM pgq.release_job(l.job_id, 'complete', l.lease_token, '{"n": 1}') FROM pg_temp.lease('a1') AS l; END $$;
SELECT is(pg_temp.work(), '', 'as long as one is not finished');
SELECT is(pg_temp.at('ada'), 'held join', 'the run is held');
CALL pg_temp.pass('1 minute');
SELECT is(pg_temp.work(10, 'pack'), 'a3', 'the last one comes');
SELECT is(pg_temp.release('a3', 'complete'), 'complete', 'and ends');
SELECT is(pg_temp.work(), 'ada:join', 'then the run goes on');
SELECT is(pg_temp.results('ada'), 'complete {"n": 1}, complete, complete', 'and has the results in the order of the children');
SELECT is((pg_temp.step('ada')).outputs, '{"split": "split"}'::jsonb, 'beside the outputs');
SELECT is(pg_temp.done('ada'), 'complete', 'it ends');
SELECT is_empty('SELECT * FROM pgq.child_result', 'and leaves no results behind');

SELECT is(pg_temp.split('bob', '{"children": []}'), 'ready', 'without a child there is nothing to wait for');
SELECT is((pg_temp.step('bob')).children, '[]'::jsonb, 'and no result');
DO $$ BEGIN PERFORM pg_temp.work(); PERFORM pg_temp.done('bob'); END $$;

-- Failures

SELECT is(pg_temp.split('cyd', '{"children": [{"payload": "c1"}, {"payload": "c2"}]}'), 'held', 'by default no child may fail');
DO $$ BEGIN PERFORM pg_temp.work(); PERFORM pg_temp.fail('c1', 'no paper'); PERFORM pg_temp.release('c2', 'complete'); PERFORM pg_temp.work(); END $$;
SELECT is(pg_temp.at('cyd'),
    format('dead split 1 of 2 children did not complete: job %s is dead, no paper', pg_temp.id('c1')), 'else the run dies');
SELECT is(pg_temp.split('dan', '{"children": [{"payload": "d1"}, {"payload": "d2"}], "failed_children": "ignore"}'), 'held', 'they may fail');
DO $$ BEGIN PERFORM pg_temp.work(); PERFORM pg_temp.fail('d1', 'no ink'); PERFORM pg_temp.release('d2', 'cancelled'); PERFORM pg_temp.work(); END $$;
SELECT is(pg_temp.results('dan'), 'dead no ink, cancelled', 'if the run says so, and it sees it');
SELECT is(
    (SELECT string_agg(pg_temp.split(n, '{"children": [{"payload": "e1"}, {"payload": "e2"}, {"payload": "e3"}], "failed_children": 1}'), ' ')
     FROM unnest(ARRAY['eve', 'fay']) AS n), 'held held', 'or so many of them');
DO $$ BEGIN
    PERFORM pg_temp.work();
    PERFORM pgq.release_jobs(array_agg(c.job_id ORDER BY c.job_id), array_agg(c.lease_token ORDER BY c.job_id), r.result)
    FROM (SELECT c.job_id, c.lease_token, row_number() OVER (ORDER BY c.job_id) AS place
          FROM lease AS c WHERE c.name IN ('e1', 'e2', 'e3')) AS c
    JOIN (VALUES ('complete', '{1,2,4}'::integer[]), ('failed', '{3,5,6}')) AS r (result, places) ON c.place = ANY (r.places)
    GROUP BY r.result;
    PERFORM pg_temp.work();
END $$;
SELECT is(concat_ws(', ', pg_temp.at('eve'), left(pg_temp.at('fay'), 43)),
    'running join, dead split 2 of 3 children did not complete', 'not more');

-- Runs as children

SELECT is(pg_temp.split('gil', '{"children": [{"payload": "g1", "queue_name": "pack", "workflow": "box", "max_attempts": 2}]}'),
    'held', 'a child may be a run');
SELECT is(pg_temp.work(1, 'pack'), 'g1:fold', 'of a workflow of its queue');
SELECT is(
    concat((pg_temp.job('g1')).max_attempts, pg_temp.done('g1'), (pg_temp.job('g1')).max_attempts), '7ready2',
    'with the settings of each step, or else its own');
DO $$ BEGIN PERFORM pg_temp.work(1, 'pack'); PERFORM pg_temp.done('g1', '"full"'); PERFORM pg_temp.work(); END $$;
SELECT is(pg_temp.results('gil'), 'complete full', 'it is finished after its last step');
SELECT throws_ok(
    $$ SELECT pg_temp.done('gil', NULL, '{"step": "split", "children": [{"payload": 1, "workflow": "none"}]}') $$,
    'JQ007', 'workflow "none" not found in queue "shop"', 'its workflow must be known');

-- Control

DO $$ BEGIN
    PERFORM pg_temp.split('hal', '{"children": [{"payload": "h1"}, {"payload": "h2"}]}');
    PERFORM pg_temp.work(1);
    PERFORM pgq.cancel_job(pg_temp.id('hal'));
END $$;
SELECT is(concat_ws(', ', pg_temp.at('h1'), pg_temp.at('h2')), 'running, cancelled the run that started it has ended',
    'with a run its children that wait are cancelled');
DO $$ BEGIN
    PERFORM pg_temp.split('ida', '{"children": [{"payload": "i1"}, {"payload": "i2", "queue_name": "pack"}], "failed_children": "ignore"}');
    PERFORM pgq.purge_queue('pack');
    PERFORM pg_temp.work(1);
    PERFORM pg_temp.release('i1', 'complete');
    PERFORM pg_temp.work();
END $$;
SELECT is(pg_temp.results('ida'), 'complete, cancelled its queue was purged', 'a child that is purged counts as cancelled');
CREATE FUNCTION pg_temp.refused(children text)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN pg_temp.done('ida', NULL, jsonb_build_object('step', 'split', 'children', children::jsonb));
EXCEPTION WHEN data_exception THEN
    RETURN SQLSTATE;
END
$$;
SELECT results_eq($$
    SELECT c.children, pg_temp.refused(c.children)
    FROM unnest(ARRAY['1', '[1]', '[{}]', '[{"payload": 1, "unique_key": "k"}]', '[{"payload": 1, "priority": 101}]',
        '[{"payload": 1, "workflow_version": 1}]', '[{"payload": 1, "headers": []}]']) AS c (children)
$$, $$ VALUES ('1', '22023'), ('[1]', '22023'), ('[{}]', '22023'), ('[{"payload": 1, "unique_key": "k"}]', '22023'),
    ('[{"payload": 1, "priority": 101}]', '22023'), ('[{"payload": 1, "workflow_version": 1}]', '22023'),
    ('[{"payload": 1, "headers": []}]', '22023')
$$, 'children that are not as they should be are refused');

-- Too large results

CREATE OR REPLACE FUNCTION pgq._max_results_bytes() RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 1000;
DO $$ BEGIN
    PERFORM pg_temp.split('zoe', '{"children": [{"payload": "z1", "queue_name": "large"}, {"payload": "z2", "queue_name": "large"}]}');
    PERFORM pg_temp.split('yan', '{"children": [{"payload": "y1", "queue_name": "large"}]}');
    PERFORM pgq.release_job(p.job_id, 'complete', p.lease_token, to_jsonb(repeat('x', 600))) FROM pgq.pick_jobs(ARRAY['large'], 3) AS p;
END $$;
SELECT is(pg_temp.work(), 'yan:join', 'results that are too large for one run do not hinder the others');
SELECT is((pg_temp.job('zoe')).error, 'the outputs and errors of its children are larger than 1000 bytes together', 'it dies, and says why');

SELECT * FROM finish();
ROLLBACK;
