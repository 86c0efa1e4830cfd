\i test/setup.psql
-- Driving schedules: one job for each due time, whoever calls and however late.
BEGIN;
SELECT plan(28);

\i test/fixtures/clock.sql

-- The jobs that were added since the last look, by the hour and minute that they were due, of the time zone UTC.
CREATE TEMPORARY TABLE seen (job_id bigint);
CREATE FUNCTION pg_temp.new(queue_name text DEFAULT 'mail')
RETURNS text
LANGUAGE sql
AS $$
    WITH new AS (
        INSERT INTO seen (job_id)
        SELECT l.job_id FROM pgq.list_jobs(queue_name, max_jobs => 10000) AS l WHERE l.job_id NOT IN (SELECT s.job_id FROM seen AS s)
        RETURNING job_id
    )
    SELECT coalesce(string_agg(to_char((l.headers ->> 'due_at')::timestamptz AT TIME ZONE 'UTC', 'HH24:MI'), ' ' ORDER BY l.job_id), '')
    FROM new AS n JOIN pgq.list_jobs(queue_name, max_jobs => 10000) AS l ON l.job_id = n.job_id
$$;
CREATE PROCEDURE pg_temp.finish_all(queue_name text DEFAULT 'mail')
LANGUAGE sql
AS $$ SELECT pgq.release_job(p.job_id, 'complete', p.lease_token) FROM pgq.pick_jobs(ARRAY[queue_name], 10000) AS p $$;

SELECT is(pgq.drive_schedules(), NULL, 'without schedules there is nothing to wait for');
DO $$ BEGIN
    PERFORM pgq.schedule_job('news', '0 * * * *', 'mail', '{"to": "all"}', priority => 7, max_attempts => 2, group_key => 'g',
        timeout_milliseconds => 5000, timeout_with_result => 'paused', headers => '{"trace": 1, "due_at": "never"}');
END $$;
SELECT is(pgq.drive_schedules(), 3600000::bigint, 'it says in how many milliseconds the next one is due');
SELECT is(pg_temp.new(), '', 'and adds nothing before');
DO $$ BEGIN CALL pg_temp.pass('59 minutes 59.9995 seconds'); END $$;
SELECT is(pgq.drive_schedules(), 1::bigint, 'the time is rounded up, so that who waits is not too early');
DO $$ BEGIN CALL pg_temp.pass('1 second'); END $$;
SELECT is(pgq.drive_schedules(), 3599001::bigint, 'when it is due it is driven, and the next one is told');
SELECT results_eq(
    $$ SELECT l.payload, l.priority, l.max_attempts, l.group_key, l.timeout_milliseconds, l.timeout_with_result, l.headers, l.state
       FROM pgq.list_jobs('mail') AS l $$,
    $$ SELECT '{"to": "all"}'::jsonb, 7, 2, 'g', 5000, 'paused',
              jsonb_build_object('trace', 1, 'schedule', 'news', 'due_at', '2030-01-01 01:00:00+00'::timestamptz), 'ready' $$,
    'its job has the options of the schedule, and tells when it was due');
SELECT is(pgq.drive_schedules(), 3599001::bigint, 'a second call adds nothing');
SELECT is(pg_temp.new(), '01:00', 'there is one job');

-- Overlap

DO $$ BEGIN CALL pg_temp.pass('1 hour'); END $$;
SELECT is(pgq.drive_schedules(), 3599001::bigint, 'while the last job is live the time passes');
SELECT is(pg_temp.new(), '', 'and nothing is added');
SELECT results_eq(
    $$ SELECT s.last_at, s.last_job_id FROM pgq.list_schedules() AS s $$,
    $$ SELECT '2030-01-01 02:00:00+00'::timestamptz, max(s.job_id) FROM seen AS s $$, 'the schedule knows the last time and the last job');
CALL pg_temp.finish_all();
DO $$ BEGIN CALL pg_temp.pass('1 hour'); PERFORM pgq.drive_schedules(); END $$;
SELECT is(pg_temp.new(), '03:00', 'when it has finished the next one is added');
DO $$ BEGIN
    PERFORM pgq.schedule_job('news', '0 * * * *', 'mail', overlap => 'allow');
    CALL pg_temp.pass('1 hour');
    PERFORM pgq.drive_schedules();
END $$;
SELECT is(pg_temp.new(), '04:00', 'with overlap allow in any case');

-- Due times that nobody drove. It is 04:00:00.9995.

DO $$ BEGIN
    CALL pg_temp.pass('3 hours 10 minutes');
    PERFORM pgq.drive_schedules();
END $$;
SELECT is(pg_temp.new(), '05:00', 'catch_up one adds one job for all that were missed');
DO $$ BEGIN
    PERFORM pgq.schedule_job('news', '0 * * * *', 'mail', overlap => 'allow', catch_up => 'skip');
    CALL pg_temp.pass('2 hours');
END $$;
SELECT is(pgq.drive_schedules() / 60000, 49::bigint, 'catch_up skip goes on with the next one');
SELECT is(pg_temp.new(), '', 'and adds none for what was missed');
DO $$ BEGIN
    CALL pg_temp.pass('1 hour 54 minutes');
    PERFORM pgq.drive_schedules();
END $$;
SELECT is(pg_temp.new(), '11:00', 'but for what is due since 5 minutes at most');
DO $$ BEGIN
    PERFORM pgq.schedule_job('news', '0 * * * *', 'mail', overlap => 'allow', catch_up => 'all');
    CALL pg_temp.pass('3 hours');
    PERFORM pgq.drive_schedules();
END $$;
SELECT is(pg_temp.new(), '12:00 13:00 14:00', 'catch_up all adds one for each');
DO $$ BEGIN
    CALL pg_temp.pass('3 days');
    PERFORM pgq.drive_schedules();
END $$;
SELECT is(
    pg_temp.new(), (SELECT string_agg(to_char(make_time(h % 24, 0, 0), 'HH24:MI'), ' ' ORDER BY h) FROM generate_series(15, 38) AS h),
    'of the last day');
DO $$ BEGIN
    PERFORM pgq.schedule_job('often', '*/10 * * * * *', 'often', overlap => 'allow', catch_up => 'all');
    CALL pg_temp.pass('20 minutes');
END $$;
SELECT is(pgq.drive_schedules(), 0::bigint, 'a hundred at a time: it asks for another call');
SELECT is(pgq.drive_schedules() > 0, true, 'and then no more');
SELECT is((SELECT count(*) FROM pgq.list_jobs('often', max_jobs => 1000)), 120::bigint, 'none is left out, none comes twice');

-- Several, paused ones, bad ones

DO $$ BEGIN
    PERFORM pgq.unschedule_job('often');
    PERFORM pgq.schedule_job('news', '@daily', 'mail');
    PERFORM pgq.schedule_job('bad', '0 0 0 * * *', 'bad', (
        SELECT jsonb_agg(md5(n::text)) FROM generate_series(1, 100) AS n));
    PERFORM pgq.schedule_job('paused', '@daily', 'paused');
    PERFORM pgq.pause_schedule('paused');
    PERFORM pgq.set_queue_config('bad', max_payload_bytes => 1024);
    CALL pg_temp.finish_all();
    CALL pg_temp.pass('1 day');
END $$;
SELECT cmp_ok(pgq.drive_schedules(), '>', 0::bigint, 'a schedule that cannot add its job does not keep the others from being driven');
SELECT is(pg_temp.new(), '00:00', 'which add theirs');
SELECT results_eq(
    $$ SELECT s.schedule_name, regexp_replace(s.last_error, '\d+', 'so many'), s.next_at > pgq._now() FROM pgq.list_schedules() AS s ORDER BY s.schedule_name $$,
    $$ VALUES ('bad', 'payload of so many bytes is too large', true), ('news', NULL, true), ('paused', NULL, NULL) $$,
    'the reason is kept, and it is tried again at its next time');
SELECT is((SELECT count(*) FROM pgq.list_jobs('paused')), 0::bigint, 'a paused schedule adds nothing');

-- Runs of workflows

DO $$ BEGIN
    PERFORM pgq.unschedule_job(s.schedule_name) FROM pgq.list_schedules() AS s;
    PERFORM pgq.define_workflow('flow', 'w', 1, '[{"id": "one"}, {"id": "two"}]');
    PERFORM pgq.schedule_job('newest', '@daily', 'flow', workflow => 'w');
    PERFORM pgq.schedule_job('first', '@daily', 'flow', workflow => 'w', workflow_version => 1);
    PERFORM pgq.define_workflow('flow', 'w', 2, '[{"id": "zero"}]');
    CALL pg_temp.pass('1 day');
    PERFORM pgq.drive_schedules();
END $$;
SELECT results_eq(
    $$ SELECT l.headers ->> 'schedule', l.workflow, l.workflow_version, l.step FROM pgq.list_jobs('flow') AS l ORDER BY 1 $$,
    $$ VALUES ('first', 'w', 1, 'one'), ('newest', 'w', 2, 'zero') $$,
    'a schedule may start runs: of the version that it says, or of the highest that there is then');
DO $$ BEGIN
    PERFORM pgq.drop_queue('flow', force => true);
    PERFORM pgq.define_workflow('flow', 'w', 1, '[{"id": "one"}]');
    PERFORM pgq.schedule_job('first', '@daily', 'flow', workflow => 'w', workflow_version => 1);
    PERFORM pgq.define_workflow('flow', 'w', 2, '[{"id": "one"}]');
    PERFORM pgq.drop_workflow_version('flow', 'w', 1);
    CALL pg_temp.pass('1 day');
    PERFORM pgq.drive_schedules();
END $$;
SELECT is(
    (SELECT s.last_error FROM pgq.list_schedules('flow') AS s), 'workflow "w", version 1 not found in queue "flow"',
    'a version that is gone is told');

SELECT * FROM finish();
ROLLBACK;
