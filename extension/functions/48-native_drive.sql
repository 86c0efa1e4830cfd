-- Schedules driven from inside Postgres, by pg_cron.

-- Writes: cron.job.
CREATE OR REPLACE FUNCTION @extschema@.start_native_schedules(every_seconds integer DEFAULT 10)
RETURNS text
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_command text := format('SELECT %I.drive_schedules()', @extschema@._schema_name());
    v_schedule text;
BEGIN
    PERFORM @extschema@._require(every_seconds BETWEEN 1 AND 59,
        'every_seconds to be between 1 and 59', every_seconds::text);
    v_schedule := @extschema@._native_schedule('schedules', every_seconds, v_command, v_command);
    -- pg_cron keeps a row of each run for ever.
    EXECUTE format('SELECT %I.schedule($1, $2, $3)', 'cron')
    USING @extschema@._native_cron_name('schedules purge'), '37 * * * *', format(
        'DELETE FROM cron.job_run_details WHERE end_time < now() - interval %L AND username = current_user AND database = current_database() AND command = %L',
        '1 day', v_command);
    RETURN v_schedule;
END
$$;
COMMENT ON FUNCTION @extschema@.start_native_schedules IS
$$Has pg_cron call drive_schedules every few seconds (1 to 59, default 10), or each minute where pg_cron is older than 1.5, so that schedules need no worker and no dispatcher to be driven. Returns the schedule of pg_cron.
Errors: 55000 when pg_cron is not installed in this database.$$;

-- Writes: cron.job.
CREATE OR REPLACE FUNCTION @extschema@.stop_native_schedules()
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_stopped integer := 0;
BEGIN
    IF @extschema@._native_has_cron() THEN
        EXECUTE format('SELECT count(%1$I.unschedule(j.jobid)) FROM %1$I.job AS j
                        WHERE j.username = current_user AND j.jobname = ANY ($1)', 'cron')
        INTO v_stopped
        USING ARRAY[@extschema@._native_cron_name('schedules'), @extschema@._native_cron_name('schedules purge')];
    END IF;
    RETURN v_stopped > 0;
END
$$;
COMMENT ON FUNCTION @extschema@.stop_native_schedules IS
    'Takes back start_native_schedules. Returns whether pg_cron drove schedules until now.';
