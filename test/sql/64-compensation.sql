\i test/setup.psql
-- Compensation: before a run dies the steps that it has finished are undone, the last one first.
BEGIN;
SELECT plan(27);

\i test/fixtures/clock.sql
\i test/fixtures/words.sql
\i test/fixtures/runs.sql
DO $$ BEGIN
    PERFORM pgq.set_queue_config('shop', max_attempts => 2, retry_backoff => 'fixed', pause_between_retries_milliseconds => 0);
    PERFORM pgq.define_workflow('shop', 'order', 1, '[{"id": "reserve", "compensates": true}, {"id": "note"},
        {"id": "pay", "compensates": true, "max_attempts": 1}, {"id": "send", "max_attempts": 1}]');
END $$;
-- A run that has come to this step.
CREATE PROCEDURE pg_temp.bring(name text, step text)
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_temp.start(name);
    WHILE pg_temp.work() <> name || ':' || step LOOP
        PERFORM pg_temp.done(name, to_jsonb((pg_temp.job(name)).step));
    END LOOP;
END
$$;

CALL pg_temp.bring('ada', 'send');
SELECT is(pg_temp.fail('ada', 'no van'), 'ready', 'a run that would die is not dead while it has steps to undo');
SELECT is(pg_temp.work(), 'ada:pay', 'it is picked at the last of them');
SELECT results_eq(
    $$ SELECT s.failure, s.outputs, s.attempt FROM pg_temp.step('ada') AS s $$,
    $$ VALUES ('no van', '{"reserve": "reserve", "note": "note", "pay": "pay"}'::jsonb, 1) $$, 'and is told of the failure');
SELECT throws_ok(
    $$ SELECT pg_temp.done('ada', NULL, '{"step": "send"}') $$, '22023', NULL, 'it cannot go elsewhere now');
SELECT is(pg_temp.done('ada', '"undone"'), 'ready', 'when that step is undone');
SELECT is(pg_temp.work(), 'ada:reserve', 'the one before it comes, those that need no undoing are left out');
SELECT is(pg_temp.fail('ada'), 'ready', 'undoing has the attempts of its step');
SELECT is(pg_temp.work(), 'ada:reserve', 'so that it is tried again');
SELECT is(pg_temp.done('ada'), 'dead', 'when all is undone the run is dead');
SELECT is(pg_temp.at('ada'), 'dead send no van', 'of the first failure, at the step that failed');
SELECT is(
    (SELECT string_agg(concat_ws(' ', a ->> 'step', a ->> 'outcome', a ->> 'error'), ', ' ORDER BY place)
     FROM jsonb_array_elements((pg_temp.job('ada')).attempts) WITH ORDINALITY AS a (a, place)),
    'reserve complete, note complete, pay complete, send failed no van, pay compensated, reserve failed boom, reserve compensated',
    'its history tells all of it');

CALL pg_temp.bring('bob', 'pay');
SELECT is(pg_temp.fail('bob', 'no money'), 'ready', 'a step that failed is not undone itself');
SELECT is(pg_temp.work(), 'bob:reserve', 'only those before it');
DO $$ BEGIN PERFORM pg_temp.fail('bob', 'stuck'); PERFORM pg_temp.work(); END $$;
SELECT is(pg_temp.fail('bob', 'stuck for good'), 'dead', 'when undoing fails for good the run is dead');
SELECT is(pg_temp.at('bob'),
    'dead pay no money; then the compensation of step "reserve" failed: stuck for good', 'and its error tells both');

CALL pg_temp.bring('cyd', 'send');
DO $$ BEGIN PERFORM pg_temp.fail('cyd'); PERFORM pg_temp.work(); END $$;
SELECT is(pg_temp.release('cyd:pay', 'complete'), 'ready', 'a release as complete undoes a step too');
SELECT is(pg_temp.work(), 'cyd:reserve', 'the next one comes');
SELECT is(pg_temp.release('cyd:reserve', 'complete'), 'dead', 'and at the end the run is dead');

CALL pg_temp.bring('dan', 'reserve');
DO $$ BEGIN PERFORM pg_temp.fail('dan'); PERFORM pg_temp.work(); END $$;
SELECT is(pg_temp.fail('dan'), 'dead', 'without a step to undo a run dies at once');

CALL pg_temp.bring('eve', 'note');
DO $$ BEGIN PERFORM pgq.cancel_job(pg_temp.id('eve')); END $$;
SELECT is(pg_temp.at('eve'), 'cancelled note', 'who cancels a run undoes nothing');

-- Many at once

CALL pg_temp.bring('fay', 'send');
CALL pg_temp.bring('gil', 'pay');
CALL pg_temp.bring('hal', 'reserve');
DO $$ BEGIN
    PERFORM pgq.release_jobs(array_agg(l.job_id), array_agg(l.lease_token), 'failed', errors => array_agg(n), retry => false)
    FROM unnest(ARRAY['fay', 'gil', 'hal']) AS n CROSS JOIN LATERAL pg_temp.lease(n) AS l;
END $$;
SELECT results_eq(
    $$ SELECT pg_temp.at(n) FROM unnest(ARRAY['fay', 'gil', 'hal']) AS n $$,
    $$ VALUES ('ready pay'), ('ready reserve'), ('dead reserve hal') $$, 'of many that fail each is undone as far as it came');
DO $$ BEGIN
    PERFORM pg_temp.work();
    PERFORM pgq.release_jobs(array_agg(l.job_id), array_agg(l.lease_token), 'complete')
    FROM unnest(ARRAY['fay', 'gil']) AS n CROSS JOIN LATERAL pg_temp.lease(n) AS l;
END $$;
SELECT results_eq(
    $$ SELECT pg_temp.at(n) FROM unnest(ARRAY['fay', 'gil']) AS n $$,
    $$ VALUES ('ready reserve'), ('dead pay gil') $$, 'and finishes that in one call');

-- A run that dies of its children

DO $$ BEGIN
    PERFORM pgq.define_workflow('shop', 'split', 1, '[{"id": "first", "compensates": true}, {"id": "split", "compensates": true}, {"id": "join"}]');
    PERFORM pg_temp.work();
    PERFORM pg_temp.done('fay');
    PERFORM pg_temp.start('ida', 'split');
    PERFORM pg_temp.work();
    PERFORM pg_temp.done('ida');
    PERFORM pg_temp.work();
    PERFORM pg_temp.done('ida', NULL, '{"children": [{"payload": "i1", "max_attempts": 1}]}');
    PERFORM pg_temp.work();
    PERFORM pg_temp.fail('i1', 'no paper');
END $$;
SELECT is(pg_temp.work(), 'ida:split', 'is undone from the step that started them on');
SELECT is((pg_temp.step('ida')).failure, format('1 of 1 children did not complete: job %s is dead, no paper', pg_temp.id('i1')), 'with their failure');
SELECT is(pg_temp.done('ida'), 'ready', 'and back');
SELECT is(pg_temp.work(), 'ida:first', 'to the first');
SELECT is(pg_temp.done('ida'), 'dead', 'until it is dead');

SELECT * FROM finish();
ROLLBACK;
