\i test/setup.psql
-- The requests that pg_net has: what becomes of those that it loses, keeps, or cannot send.
BEGIN;
SELECT plan(25);

\i test/fixtures/clock.sql

SELECT is(pgq._native_trouble(), 'pg_net is not installed in this database', 'without pg_net everything else is there');
SELECT is(pgq._native_boot(), 0, 'and the dispatcher may begin');

\i test/support/pg_net/pg_net.sql

SELECT is(pgq._native_trouble(), 'pg_net is not in shared_preload_libraries', 'pg_net must be loaded');
SET LOCAL pg_net.batch_size = 5;
SET LOCAL pg_net.database_name = 'elsewhere';
SELECT is(
    pgq._native_trouble(), 'pg_net works in database "elsewhere" (pg_net.database_name), not in this one', 'for this database');
DO $$ BEGIN PERFORM set_config('pg_net.database_name', current_database(), true); END $$;
SELECT is(pgq._native_trouble(), 'the worker of pg_net is not running', 'and must run');

\i test/fixtures/pg_net.sql

SELECT is(pgq._native_trouble(), NULL, 'then all is well');

-- Boot

CREATE TEMPORARY TABLE job AS SELECT n AS name, pg_temp.add(n) AS job_id FROM unnest(ARRAY['one', 'two']) AS n;
CREATE FUNCTION pg_temp.id(name text) RETURNS bigint LANGUAGE sql AS $$ SELECT j.job_id FROM job AS j WHERE j.name = id.name $$;
DO $$ BEGIN PERFORM pgq._native_boot(); PERFORM pgq._native_claim(true); END $$;
SELECT is(pgq._native_boot(), 0, 'where nothing was lost a new run changes nothing');
DO $$ BEGIN
    -- As a crash does.
    DELETE FROM pgq.native_request; DELETE FROM pgq.native_epoch; DELETE FROM net.http_request_queue;
END $$;
SELECT is(pgq._native_boot(), 2, 'after a crash the jobs of the requests that are lost');
SELECT is(pg_temp.job(pg_temp.id('one')), 'ready 1 the request was lost on its way', 'may be picked again at once');
DO $$ BEGIN
    PERFORM pgq._native_claim(true);
    UPDATE pgq.native_epoch AS e SET queue_oid = 1;
END $$;
SELECT is(pgq._native_boot(), 2, 'so may they after pg_net was made anew, or all was restored from a dump');
SELECT is_empty($$ SELECT FROM pgq.native_request AS n $$, 'since its ids mean nothing any more');

-- Sweep: requests that wait

DO $$ BEGIN DELETE FROM net.http_request_queue; PERFORM pgq._native_claim(true); END $$;
CREATE TEMPORARY VIEW lease AS SELECT j.name, extract(epoch FROM s.lease_until - pgq._now()) AS seconds
FROM job AS j, pgq.get_job(j.job_id) AS s;
CALL pg_temp.pass('20 seconds');
SELECT is(pgq._native_sweep(), 0, 'what waits in pg_net is not over');
SELECT results_eq(
    $$ SELECT l.name, l.seconds::integer FROM lease AS l ORDER BY l.name $$, $$ VALUES ('one', 45), ('two', 45) $$,
    'and keeps its lease, from then on');
DO $$ BEGIN PERFORM pgq.cancel_job(pg_temp.id('one')); END $$;
CALL pg_temp.pass('20 seconds');
SELECT is(pgq._native_sweep(), 1, 'a job that was cancelled');
SELECT results_eq(
    $$ SELECT n.job_id FROM pgq.native_request AS n JOIN net.http_request_queue AS q ON q.id = n.request_id $$,
    ARRAY[pg_temp.id('two')], 'is not sent');
CALL pg_temp.pass('21 seconds');
SELECT is(pgq._native_sweep(), 1, 'what has waited for a minute');
SELECT results_eq(
    $$ SELECT s.state, s.attempt FROM pgq.get_job(pg_temp.id('two')) AS s $$, $$ VALUES ('ready', 2) $$,
    'is given back, and uses no attempt');
SELECT is_empty($$ SELECT FROM net.http_request_queue AS q $$, 'it waits there no longer');

-- Sweep: requests that are gone

DO $$ BEGIN PERFORM pgq._native_claim(true); CALL pg_temp.take(pg_temp.id('two')); END $$;
CALL pg_temp.pass('34 seconds');
SELECT is(pgq._native_sweep(), 0, 'what is gone may be under way, in some versions');
DO $$ BEGIN CALL pg_temp.answer(pg_temp.id('two'), 200); END $$;
CALL pg_temp.pass('1 second');
SELECT is(pgq._native_sweep(), 0, 'or answered');
DO $$ BEGIN DELETE FROM net._http_response; END $$;
SELECT is(pgq._native_sweep(), 1, 'else, when its time is over, it is lost');
SELECT is(pg_temp.job(pg_temp.id('two')), 'ready 3 the request was lost on its way', 'and may be picked again');

-- Sweep: requests that make the worker fail

DO $$
BEGIN
    PERFORM pgq._native_claim(true);
    FOR v_pid IN -4 .. -1 LOOP
        CALL pg_temp.pass('4 seconds');
        PERFORM pgq._native_sweep();
        -- The worker that sees it next is another.
        UPDATE pgq.native_request AS n SET worker_pid = v_pid;
    END LOOP;
END
$$;
SELECT is((SELECT n.restarts FROM pgq.native_request AS n), NULL, 'a worker that fails three times over a request');
SELECT is(
    pg_temp.job(pg_temp.id('two')), 'scheduled 4 no answer: the worker of pg_net fails while it sends it', 'gets it no more');

SELECT is(
    (SELECT count(*) FROM pgq.request AS r WHERE r.dispatcher = 'pg_net'), 0::bigint, 'nothing is left under way');

SELECT * FROM finish();
ROLLBACK;
