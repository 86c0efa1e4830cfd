\i test/setup.psql
-- Schedules: setting, changing, pausing and listing them. (49-drive has what they add.)
BEGIN;
SELECT plan(18);

\i test/fixtures/clock.sql

SELECT row_eq(
    $$ SELECT s.schedule_name, s.queue_name, s.cron, s.time_zone, s.payload, s.overlap, s.catch_up, s.priority, s.is_paused, s.next_at,
              s.last_at, s.last_job_id
       FROM pgq.schedule_job('news', '0 9 * * *', 'mail') AS s $$,
    ROW ('news'::text, 'mail'::text, '0 9 * * *'::text, 'UTC'::text, '{}'::jsonb, 'skip'::text, 'one'::text, 0, false,
         '2030-01-01 09:00:00+00'::timestamptz, NULL::timestamptz, NULL::bigint),
    'a schedule has the documented defaults, and its first time');
SELECT is(
    (SELECT s.max_attempts FROM pgq.get_queue_config('mail') AS s), 10, 'its queue is made with it');
DO $$ BEGIN CALL pg_temp.pass('10 hours'); END $$;
SELECT is(
    (pgq.schedule_job('news', '0 9 * * *', 'mail', '{"n": 1}', priority => 5)).next_at, '2030-01-01 09:00:00+00'::timestamptz,
    'set again with the same times, it stays due');
SELECT row_eq(
    $$ SELECT s.payload, s.priority, s.overlap FROM pgq.list_schedules() AS s $$, ROW ('{"n": 1}'::jsonb, 5, 'skip'::text),
    'and the rest is as it was said last');
SELECT is(
    (pgq.schedule_job('news', '0 9 * * *', 'mail', time_zone => 'America/New_York')).next_at, '2030-01-01 14:00:00+00'::timestamptz,
    'with another time zone it begins anew');
SELECT is(
    (pgq.schedule_job('news', '0 8 * * *', 'post', time_zone => 'America/New_York')).next_at, '2030-01-01 13:00:00+00'::timestamptz,
    'with other times too');
SELECT is((SELECT count(*) FROM pgq.list_schedules()), 1::bigint, 'it is one schedule still');

-- Pausing

SELECT ok(pgq.pause_schedule('news'), 'a schedule can be paused');
SELECT row_eq(
    $$ SELECT s.is_paused, s.next_at FROM pgq.schedule_job('news', '0 7 * * *', 'post') AS s $$, ROW (true, NULL::timestamptz),
    'it stays paused when it is set anew');
DO $$ BEGIN CALL pg_temp.pass('3 days'); END $$;
SELECT ok(pgq.resume_schedule('news') AND pgq.resume_schedule('news'), 'and resumed, once or twice');
SELECT row_eq(
    $$ SELECT s.is_paused, s.next_at FROM pgq.list_schedules('post') AS s $$, ROW (false, '2030-01-05 07:00:00+00'::timestamptz),
    'it goes on with the next time that comes');
SELECT is(
    (pgq.pause_schedule('never'), pgq.resume_schedule('never'), pgq.unschedule_job('never')), (false, false, false),
    'of a schedule that is not there these say so');

-- Removing

SELECT is((SELECT count(*) FROM pgq.list_schedules('mail')), 0::bigint, 'the list may be that of one queue');
SELECT throws_ok($$ SELECT pgq.list_schedules('never') $$, 'JQ001', 'queue "never" not found', 'which must be there');
SELECT ok(pgq.unschedule_job('news') AND NOT pgq.unschedule_job('news'), 'a schedule can be removed, once');
DO $$ BEGIN
    PERFORM pgq.schedule_job('news', '@daily', 'post');
    PERFORM pgq.drop_queue('post');
END $$;
SELECT is_empty($$ SELECT FROM pgq.list_schedules() $$, 'it goes with its queue');
SELECT throws_ok(
    $$ SELECT pgq.schedule_job('never', '0 0 30 2 *', 'mail') $$, '22023', 'expected cron to mean a day that comes, got ''0 0 30 2 *''',
    'a schedule that would never add a job is refused');

SELECT throws_ok(
    $$ SELECT pgq.schedule_job('never', '@daily', 'mail', workflow => 'w') $$, 'JQ007', NULL, 'so is one of a workflow that is not defined');

SELECT * FROM finish();
ROLLBACK;
