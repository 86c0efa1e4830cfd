\i test/setup.psql
-- The schedule of the native dispatcher, with a stand-in for pg_cron (test/native has the real one), and its health.
BEGIN;
SELECT plan(13);

\i test/fixtures/clock.sql

SELECT is(
    (pgq.native_health()).problems,
    ARRAY['pg_net is not installed in this database', 'pg_cron is not installed in this database'],
    'health says what is missing');
SELECT throws_ok(
    'SELECT pgq.start_native_dispatcher()', '55000', 'pg_net is not installed in this database', 'it cannot be started without pg_net');

\i test/support/pg_net/pg_net.sql
\i test/fixtures/pg_net.sql

SELECT throws_like(
    'SELECT pgq.start_native_dispatcher()', 'pg_cron is not installed in this database%', 'nor without pg_cron');

\i test/fixtures/pg_cron.sql

SELECT is((pgq.native_health()).problems, ARRAY['it is not scheduled: call start_native_dispatcher()'], 'with both, a call is missing');
SELECT is((pgq.start_native_dispatcher()).schedule, '* * * * *', 'pg_cron 1.4 has it run each minute');
SELECT results_eq(
    $$ SELECT e.schedule, regexp_replace(e.command, ' .*\.', ' ') FROM entry AS e ORDER BY e.command $$,
    $$ VALUES ('* * * * *', 'CALL run_native_dispatcher()'), ('17 * * * *', 'VACUUM http_request_queue') $$, 'by these entries');
SET LOCAL test.cron_version = '1.5';
SELECT is((pgq.start_native_dispatcher()).schedule, '5 seconds', 'a version that knows seconds has it begin anew at once');
SELECT set_eq(
    $$ SELECT regexp_replace(e.command, ' .*\.', ' ') FROM entry AS e $$, ARRAY['CALL run_native_dispatcher(run_seconds => 55)', 'VACUUM http_request_queue'],
    'in place of the old entry');
SELECT is((pgq.native_health()).problems, ARRAY['it has not run for two minutes'], 'health tells that nobody runs it');
DO $$ BEGIN PERFORM pgq._native_boot(); PERFORM pgq._native_check(); END $$;
SELECT ok((pgq.native_health()).is_healthy, 'and when it runs, all is well');
DO $$ BEGIN
    PERFORM pgq.set_endpoint('slow', 'https://example.com/', timeout_milliseconds => 60001);
    PERFORM pgq.set_endpoint('slow, not active', 'https://example.com/', timeout_milliseconds => 60001, is_active => false);
END $$;
SELECT is(
    (pgq.native_health()).problems, ARRAY['pg_net serves no timeout above 60000 milliseconds, as have the endpoints of "slow"'],
    'but for endpoints that it does not serve');

DO $$ BEGIN PERFORM pg_temp.add('mail'); PERFORM pgq._native_claim(true); END $$;
SELECT is(pgq.stop_native_dispatcher(), 0, 'stop gives back what waits');
SELECT is_empty($$ SELECT FROM cron.job $$, 'and takes both entries away');

SELECT * FROM finish();
ROLLBACK;
