\i test/setup.psql
-- Next: going elsewhere, sleeping, ending early, and what is refused.
BEGIN;
SELECT plan(18);

\i test/fixtures/clock.sql
\i test/fixtures/words.sql
\i test/fixtures/runs.sql
DO $$ BEGIN
    PERFORM pgq.define_workflow('shop', 'order', 1, '[{"id": "reserve"}, {"id": "pay"}, {"id": "send"}]');
    PERFORM pg_temp.start(n), pg_temp.work() FROM unnest(ARRAY['ada', 'bob', 'cyd', 'dan', 'eve', 'fay']) AS n;
END $$;

SELECT is(pg_temp.done('ada', '1', '{"step": "send"}'), 'ready', 'a step may go to another');
SELECT is(pg_temp.work(), 'ada:send', 'later in the workflow');
SELECT is(pg_temp.done('ada', '2', '{"step": "reserve"}'), 'ready', 'or earlier');
SELECT is(pg_temp.work(), 'ada:reserve', 'which makes a loop');
SELECT is((pg_temp.step('ada')).outputs, '{"reserve": 1, "send": 2}'::jsonb, 'and keeps the outputs');
SELECT is(pg_temp.done('ada', NULL, '{"step": "send"}'), 'ready', 'a step that is finished again');
SELECT is((pg_temp.step('ada')).outputs, '{"send": 2}'::jsonb, 'leaves the output of the last time');
SELECT is(pg_temp.done('bob', '"early"', '{"complete": true}'), 'complete', 'a step may end the run');
SELECT is((pg_temp.job('bob')).output, '"early"'::jsonb, 'with its own output');

SELECT is(
    concat(pg_temp.done('cyd', NULL, '{"delay_milliseconds": 60000}'), ' ', EXTRACT(epoch FROM (pg_temp.job('cyd')).start_after - pgq._now())::integer),
    'scheduled 60', 'a run may sleep for some time');
SELECT is(
    concat(pg_temp.done('dan', NULL, '{"start_after": "2030-01-02T00:00:00Z", "step": "send"}'), ' ',
        EXTRACT(epoch FROM (pg_temp.job('dan')).start_after - pgq._now())::integer), 'scheduled 86400', 'or until a time, and go elsewhere then');
SELECT is(pg_temp.done('eve', NULL, '{"start_after": "2020-01-01T00:00:00Z"}'), 'ready', 'a time that has passed is now');
SELECT is(pg_temp.work(), 'ada:send eve:pay', 'who sleeps is not picked');
CALL pg_temp.pass('1 minute');
SELECT is(pg_temp.work(), 'cyd:pay', 'but then goes on with the next step');
CALL pg_temp.pass('1 day');
SELECT is(substring(pg_temp.work() FROM 'dan:[a-z]+'), 'dan:send', 'or with the other one');

-- What is refused

CREATE FUNCTION pg_temp.refused(name text, next text)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
    RETURN pg_temp.done(name, NULL, next::jsonb);
EXCEPTION WHEN data_exception THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
SELECT results_eq($$
    SELECT n.next, pg_temp.refused('fay', n.next)
    FROM unnest(ARRAY['[]', '{"stp": "pay"}', '{"step": 1}', '{"step": "no"}', '{"complete": false}', '{"complete": true, "step": "pay"}',
        '{"delay_milliseconds": -1}', '{"delay_milliseconds": "x"}', '{"start_after": "infinity"}',
        '{"delay_milliseconds": 1, "start_after": "2030-01-01"}', '{"signal": ""}', '{"signal": "a", "children": []}',
        '{"signal": "a", "timeout_milliseconds": 0}', '{"timeout_milliseconds": 1}']) AS n (next)
$$, $$ VALUES
    ('[]', '22023 expected next to be a json object, got ''[]'''),
    ('{"stp": "pay"}', '22023 expected next to have step, and one of complete, delay_milliseconds, start_after, children, signal, got ''stp'''),
    ('{"step": 1}', '22023 expected step to be the id of a step, got ''1'''),
    ('{"step": "no"}', '22023 expected next to lead to a step of the workflow, got ''{"step": "no"}'''),
    ('{"complete": false}', '22023 expected complete to be true, got ''false'''),
    ('{"complete": true, "step": "pay"}', '22023 expected next to have step, and one of complete, delay_milliseconds, start_after, children, signal, got ''step'''),
    ('{"delay_milliseconds": -1}', '22023 expected delay_milliseconds to be between 0 and 31536000000, got ''-1'''),
    ('{"delay_milliseconds": "x"}', '22P02 invalid input syntax for type bigint: "x"'),
    ('{"start_after": "infinity"}', '22023 expected start_after to be a finite time, got ''infinity'''),
    ('{"delay_milliseconds": 1, "start_after": "2030-01-01"}', '22023 expected next to have step, and one of complete, delay_milliseconds, start_after, children, signal, got ''delay_milliseconds'''),
    ('{"signal": ""}', '22023 expected signal to be 1 to 200 bytes long, got '''''),
    ('{"signal": "a", "children": []}', '22023 expected next to have step, and one of complete, delay_milliseconds, start_after, children, signal, got ''signal'''),
    ('{"signal": "a", "timeout_milliseconds": 0}', '22023 expected timeout_milliseconds to be between 1 and 31536000000, got ''0'''),
    ('{"timeout_milliseconds": 1}', '22023 expected next to have step, and one of complete, delay_milliseconds, start_after, children, signal, got ''timeout_milliseconds''')
$$, 'a next that is not as it should be is refused');
SELECT is(pg_temp.at('fay'), 'running reserve', 'and the run stands where it stood');
SELECT is(pg_temp.refused('ada', '{"delay_milliseconds": 1}'),
    '22023 expected next to lead to a step of the workflow, got ''{"delay_milliseconds": 1}''', 'after the last step there is nothing to wait for');

SELECT * FROM finish();
ROLLBACK;
