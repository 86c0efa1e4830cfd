\i test/setup.psql
-- Reruns: a run goes on where it ended, with what it had, or where a person says.
BEGIN;
SELECT plan(30);

\i test/fixtures/clock.sql
\i test/fixtures/words.sql
\i test/fixtures/runs.sql
DO $$ BEGIN
    PERFORM pgq.set_queue_config('shop', max_attempts => 1, retry_backoff => 'fixed');
    PERFORM pgq.define_workflow('shop', 'order', 1, '[{"id": "a"}, {"id": "b", "max_attempts": 2}, {"id": "c"}]');
END $$;
CREATE PROCEDURE pg_temp.bring(name text, step text, workflow text DEFAULT 'order')
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_temp.start(name, workflow);
    WHILE pg_temp.work() <> name || ':' || step LOOP
        PERFORM pg_temp.done(name, to_jsonb((pg_temp.job(name)).step));
    END LOOP;
END
$$;
CREATE FUNCTION pg_temp.outputs(name text)
RETURNS text
LANGUAGE sql
AS $$ SELECT string_agg(k, '' ORDER BY k) FROM jsonb_object_keys((pg_temp.step(name)).outputs) AS k $$;

-- From where it ended

CALL pg_temp.bring('ada', 'c');
DO $$ BEGIN
    PERFORM pgq.remember(l.job_id, l.lease_token, 'charge', '1') FROM pg_temp.lease('ada') AS l;
    PERFORM pgq.signal_job(pg_temp.id('ada'), 'late', '2');
    PERFORM pg_temp.fail('ada');
END $$;
SELECT is(pg_temp.at('ada'), 'dead c boom', 'a run that has died');
SELECT is_empty('SELECT job_id FROM pgq.run_memory UNION SELECT job_id FROM pgq.run_signal', 'leaves nothing but its history');
DO $$ BEGIN PERFORM pgq.retry_job(pg_temp.id('ada')); END $$;
SELECT is(pg_temp.work(), 'ada:c', 'is retried at the step where it died');
SELECT results_eq(
    $$ SELECT pg_temp.outputs('ada'), s.once, s.attempt FROM pg_temp.step('ada') AS s $$,
    $$ VALUES ('ab', '{"charge": 1}'::jsonb, 1) $$, 'with all outputs, with what that step had remembered, its attempts anew');
SELECT is(pg_temp.done('ada', '3', '{"signal": "late", "step": "c"}'), 'held', 'and with the signals');
SELECT is(concat(pg_temp.work(), (pg_temp.step('ada')).signal ->> 'payload'), 'ada:c2', 'that nobody had waited for');
DO $$ BEGIN PERFORM pg_temp.done('ada', '3'); PERFORM pgq.retry_job(pg_temp.id('ada')); END $$;
SELECT is(concat(pg_temp.work(), pg_temp.outputs('ada')), 'ada:a', 'a complete run begins anew');
DO $$ BEGIN PERFORM pgq.cancel_job(pg_temp.id('ada')); PERFORM pgq.retry_job(pg_temp.id('ada')); END $$;
SELECT is(pg_temp.work(), 'ada:a', 'one that was cancelled goes on');
DO $$ BEGIN PERFORM pg_temp.fail('ada'); END $$;
SELECT is(pgq.redrive_jobs('shop'), 1::bigint, 'redrive brings runs back too');
SELECT is(pg_temp.work(), 'ada:a', 'to where they died');

-- From a named step

CALL pg_temp.bring('bob', 'c');
DO $$ BEGIN
    PERFORM pgq.remember(l.job_id, l.lease_token, 'charge', '1') FROM pg_temp.lease('bob') AS l;
    PERFORM pg_temp.fail('bob');
    PERFORM pgq.retry_from_step(pg_temp.id('bob'), 'b');
END $$;
SELECT is(concat(pg_temp.work(), pg_temp.outputs('bob')), 'bob:ba', 'a run may be sent back, without the outputs of later steps');
SELECT is((pg_temp.job('bob')).max_attempts, 2, 'with the settings of that step');
DO $$ BEGIN PERFORM pg_temp.done('bob'); PERFORM pg_temp.work(); END $$;
SELECT is((pg_temp.step('bob')).once, '{}'::jsonb, 'what later steps had remembered is forgotten');
DO $$ BEGIN PERFORM pg_temp.done('bob', '1'); PERFORM pgq.retry_from_step(pg_temp.id('bob')); END $$;
SELECT is(pg_temp.work(), 'bob:a', 'without a step it is as retry_job');
DO $$ BEGIN PERFORM pg_temp.done('bob', '1'); PERFORM pg_temp.work(); PERFORM pg_temp.fail('bob'); END $$;
SELECT is(pg_temp.at('bob'), 'scheduled b', 'a run that waits for its next attempt');
DO $$ BEGIN PERFORM pgq.retry_from_step(pg_temp.id('bob'), 'a'); END $$;
SELECT is(concat(pg_temp.work(), pg_temp.outputs('bob')), 'bob:a', 'may be sent back too');
DO $$ BEGIN PERFORM pg_temp.done('bob', '1'); PERFORM pg_temp.work(); PERFORM pg_temp.fail('bob'); PERFORM pgq.retry_from_step(pg_temp.id('bob')); END $$;
SELECT is(concat(pg_temp.work(), pg_temp.outputs('bob')), 'bob:ba', 'or be tried at once where it stands');

-- After a wait

CALL pg_temp.bring('cyd', 'b');
DO $$ BEGIN PERFORM pg_temp.done('cyd', '1', '{"signal": "yes"}'); PERFORM pgq.cancel_job(pg_temp.id('cyd')); END $$;
SELECT is(pg_temp.at('cyd'), 'cancelled b', 'a run that ended while it waited stands at the step that asked to wait');
DO $$ BEGIN PERFORM pgq.retry_job(pg_temp.id('cyd')); END $$;
SELECT is(pg_temp.work(), 'cyd:b', 'and goes on with it');
DO $$ BEGIN PERFORM pg_temp.done('cyd', '1', '{"children": [{"payload": "c1"}]}'); PERFORM pg_temp.work();
    PERFORM pg_temp.fail('c1'); PERFORM pg_temp.work(); END $$;
SELECT is(pg_temp.at('cyd'), format('dead b 1 of 1 children did not complete: job %s is dead, boom', pg_temp.id('c1')), 'one that died of its children too');
DO $$ BEGIN PERFORM pgq.retry_job(pg_temp.id('cyd')); PERFORM pg_temp.work(); END $$;
SELECT is((pg_temp.step('cyd')).children, NULL::jsonb, 'and may start them anew');
DO $$ BEGIN PERFORM pgq.retry_job(pg_temp.id('c1')); END $$;
SELECT is((pg_temp.job('c1')).parent_job_id, NULL::bigint, 'a child that is retried goes on without its parent');

-- After a compensation

DO $$ BEGIN
    PERFORM pgq.define_workflow('shop', 'undo', 1, '[{"id": "a"}, {"id": "b", "compensates": true}, {"id": "c", "compensates": true}, {"id": "d"}]');
    PERFORM pg_temp.work();
    PERFORM pg_temp.release('c1', 'complete');
END $$;
CALL pg_temp.bring('dan', 'd', 'undo');
DO $$ BEGIN PERFORM pg_temp.fail('dan'); PERFORM pg_temp.work(); PERFORM pg_temp.done('dan'); PERFORM pg_temp.work(); PERFORM pg_temp.done('dan'); END $$;
SELECT is(pg_temp.at('dan'), 'dead d boom', 'a run whose steps were undone');
DO $$ BEGIN PERFORM pgq.retry_job(pg_temp.id('dan')); END $$;
SELECT is(concat(pg_temp.work(), pg_temp.outputs('dan'), (pg_temp.step('dan')).failure), 'dan:ba', 'begins with the first of them');
DO $$ BEGIN PERFORM pg_temp.done('dan'); PERFORM pg_temp.work(); PERFORM pg_temp.fail('dan'); END $$;
SELECT is(pg_temp.at('dan'), 'ready b', 'and undoes no more than it has done since');

-- What is refused

DO $$ BEGIN PERFORM pg_temp.work(); PERFORM pgq.add_job('shop', '"plain"'); PERFORM pg_temp.start('eve', options => ', unique_key => ''k'''); PERFORM pg_temp.work();
    PERFORM pg_temp.done('eve', NULL, '{"signal": "x"}'); END $$;
SELECT is(pg_temp.failure(format('retry_from_step(%s)', pg_temp.id('dan'))), format('JQ004 run %s is running', pg_temp.id('dan')), 'a run that is running is not sent back');
SELECT is(pg_temp.failure(format('retry_from_step(%s)', pg_temp.id('eve'))), format('JQ004 run %s is held by its signal', pg_temp.id('eve')), 'nor one that waits');
SELECT is(pg_temp.failure(format('retry_from_step(%s)', pg_temp.id('plain'))), format('JQ004 job %s is no run of a workflow', pg_temp.id('plain')), 'nor what is no run');
DO $$ BEGIN PERFORM pgq.cancel_job(pg_temp.id('eve')); PERFORM pg_temp.start('fay', options => ', unique_key => ''k'''); END $$;
SELECT results_eq(
    format($$ SELECT pg_temp.failure(c) FROM unnest(ARRAY['retry_from_step(%1$s, ''z'')', 'retry_from_step(%1$s)', 'retry_from_step(0)', 'retry_from_step(NULL)']) AS c $$, pg_temp.id('eve')),
    format($$ VALUES ('22023 expected step to be one of a, b, c, got ''z'''), ('23505 unique key "k" of job %s is held by another job'), ('JQ002 job 0 not found'),
        ('22004 expected job_id, got null') $$, pg_temp.id('eve')),
    'nor to a step that is not there, nor while another has its key');
DO $$ BEGIN
    PERFORM pgq.cancel_job(j.job_id) FROM pgq.list_jobs('shop') AS j WHERE j.workflow = 'order' AND j.finished_at IS NULL;
    PERFORM pgq.drop_workflow_version('shop', 'order', 1);
END $$;
SELECT results_eq(
    format($$ SELECT pg_temp.failure(c) FROM unnest(ARRAY['retry_job(%1$s)', 'retry_from_step(%1$s, ''a'')']) AS c $$, pg_temp.id('eve')),
    $$ VALUES ('JQ007 workflow "order", version 1 not found in queue "shop"'), ('JQ007 workflow "order", version 1 not found in queue "shop"') $$,
    'nor when its version is gone');

SELECT * FROM finish();
ROLLBACK;
