\i test/setup.psql
-- Schedules driven by pg_cron, with a stand-in for it (test/native has the real one).
BEGIN;
SELECT plan(8);

SELECT throws_like(
    'SELECT pgq.start_native_schedules()', 'pg_cron is not installed in this database%', 'it cannot be started without pg_cron');
SELECT is(pgq.stop_native_schedules(), false, 'and there is nothing to stop');

\i test/fixtures/pg_cron.sql

SELECT is(pgq.start_native_schedules(), '* * * * *', 'pg_cron 1.4 drives schedules each minute');
SET LOCAL test.cron_version = '1.5';
SELECT is(pgq.start_native_schedules(), '10 seconds', 'a version that knows seconds each ten');
SELECT is(pgq.start_native_schedules(2), '2 seconds', 'or as you say');
SELECT results_eq(
    $$ SELECT e.name COLLATE "C", e.schedule, regexp_replace(e.command, '\s?("My Jobs"|pgq)\.', ' ') FROM entry AS e ORDER BY e.name $$,
    $$ SELECT n.nspname || ' schedules' COLLATE "C", '2 seconds', 'SELECT drive_schedules()' FROM pg_namespace AS n WHERE n.nspname = 'pgq'
       UNION ALL
       SELECT n.nspname || ' schedules purge' COLLATE "C", '37 * * * *',
              'DELETE FROM cron.job_run_details WHERE end_time < now() - interval ''1 day'' AND username = current_user'
              ' AND database = current_database() AND command = ''SELECT drive_schedules()'''
       FROM pg_namespace AS n WHERE n.nspname = 'pgq' ORDER BY 1 $$,
    'by one entry, and another that deletes what pg_cron keeps of its runs');
SELECT ok(pgq.stop_native_schedules() AND NOT pgq.stop_native_schedules(), 'it can be stopped');
SELECT is_empty($$ SELECT FROM entry $$, 'which takes both away');

SELECT * FROM finish();
ROLLBACK;
