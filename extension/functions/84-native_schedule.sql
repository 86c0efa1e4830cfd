-- The schedule of the native dispatcher, by pg_cron, and how it is doing.

CREATE OR REPLACE FUNCTION @extschema@._schema_name()
RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
RETURN (
    SELECT n.nspname::text FROM pg_class AS job JOIN pg_namespace AS n ON n.oid = job.relnamespace
    WHERE job.oid = '@extschema@.job'::regclass);
COMMENT ON FUNCTION @extschema@._schema_name IS 'Internal: the schema of this installation, not quoted.';

CREATE OR REPLACE FUNCTION @extschema@._native_cron_name(purpose text)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN format('%s %s (%s)', @extschema@._schema_name(), purpose, current_database());
END
$$;
COMMENT ON FUNCTION @extschema@._native_cron_name IS
    'Internal: the name of a job of pg_cron, whose names are for all databases: purpose is dispatcher or vacuum.';

-- By the catalog, because to_regclass raises where the schema may not be used.
CREATE OR REPLACE FUNCTION @extschema@._native_has_cron()
RETURNS boolean
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM pg_namespace AS n WHERE n.nspname = 'cron' AND has_schema_privilege(n.oid, 'USAGE'))
       AND to_regclass('cron.job') IS NOT NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._native_has_cron IS
    'Internal: whether pg_cron is installed in this database, for the owner of this queue to use.';

-- Writes: cron.job.
CREATE OR REPLACE FUNCTION @extschema@._native_schedule(
    purpose text,
    every_seconds integer,
    command text,
    command_of_minute text
)
RETURNS text
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_name text := @extschema@._native_cron_name(purpose);
    v_schedule text := format('%s seconds', every_seconds);
BEGIN
    IF NOT @extschema@._native_has_cron() THEN
        RAISE EXCEPTION 'pg_cron is not installed in this database, or role "%" may not use it', current_user
            USING ERRCODE = '55000',
                  DETAIL = format('The database of pg_cron is "%s" (cron.database_name).',
                                  COALESCE(current_setting('cron.database_name', true), 'unknown')),
                  HINT = format('Create the extension pg_cron; or, in its database: SELECT cron.schedule_in_database(%L, %L, %L, %L).',
                                v_name, '* * * * *', command_of_minute, current_database());
    END IF;
    BEGIN
        EXECUTE format('SELECT %I.schedule($1, $2, $3)', 'cron') USING v_name, v_schedule, command;
    EXCEPTION WHEN OTHERS THEN
        -- Up to version 1.4 pg_cron knows only minutes. If it was something else, it is raised now.
        v_schedule := '* * * * *';
        EXECUTE format('SELECT %I.schedule($1, $2, $3)', 'cron') USING v_name, v_schedule, command_of_minute;
    END;
    RETURN v_schedule;
END
$$;
COMMENT ON FUNCTION @extschema@._native_schedule IS
    'Internal: has pg_cron run a command every few seconds, or another one each minute where it knows no seconds; returns which.';

-- Writes: cron.job.
CREATE OR REPLACE FUNCTION @extschema@.start_native_dispatcher()
RETURNS @extschema@.native_health
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_call text := format('CALL %I.run_native_dispatcher', @extschema@._schema_name());
BEGIN
    IF @extschema@._native_queue_oid() IS NULL THEN
        RAISE EXCEPTION 'pg_net is not installed in this database'
            USING ERRCODE = '55000', HINT = 'Create the extension pg_net, or use the dispatcher of the SDK.';
    END IF;
    -- A run takes 55 seconds: this is how soon the next one follows.
    PERFORM @extschema@._native_schedule('dispatcher', 5, v_call || '(run_seconds => 55)', v_call || '()');
    -- Before version 0.20.3 of pg_net autovacuum does not see what its worker deletes.
    IF (SELECT pg_has_role(c.relowner, 'USAGE') FROM pg_class AS c WHERE c.oid = @extschema@._native_queue_oid()) THEN
        EXECUTE format('SELECT %I.schedule($1, $2, $3)', 'cron')
        USING @extschema@._native_cron_name('vacuum'), '17 * * * *', 'VACUUM net.http_request_queue';
    END IF;
    RETURN @extschema@.native_health();
END
$$;
COMMENT ON FUNCTION @extschema@.start_native_dispatcher IS
$$Has pg_cron run the dispatcher inside Postgres from now on, which sends jobs to their endpoints by pg_net. Call it again after either extension was added anew or updated. Returns how it is doing. Endpoints with a timeout above 60000 milliseconds are not served.
Errors: 55000 when pg_net or pg_cron is not installed in this database.$$;

-- Writes: cron.job, native_request, net.http_request_queue; what answer_requests writes.
CREATE OR REPLACE FUNCTION @extschema@.stop_native_dispatcher()
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_left integer;
BEGIN
    IF @extschema@._native_has_cron() THEN
        EXECUTE format('SELECT count(%1$I.unschedule(j.jobid)) FROM %1$I.job AS j
                        WHERE j.username = current_user AND j.jobname = ANY ($1)', 'cron')
        USING ARRAY[@extschema@._native_cron_name('dispatcher'), @extschema@._native_cron_name('vacuum')];
    END IF;
    PERFORM @extschema@._native_end_run();
    IF @extschema@._native_queue_oid() IS NOT NULL THEN
        PERFORM @extschema@._native_give_up(
            @extschema@._native_withdraw(ARRAY(SELECT n.request_id FROM @extschema@.native_request AS n)),
            '{"given_back": true}');
    END IF;
    SELECT count(*) INTO v_left FROM @extschema@.native_request AS n;
    RETURN v_left;
END
$$;
COMMENT ON FUNCTION @extschema@.stop_native_dispatcher IS
    'Ends the dispatcher inside Postgres. Jobs that still wait in pg_net go back to their lines. Returns how many requests pg_net is sending: their answers are taken if the dispatcher is started again in time, else their leases run out.';

-- Locks: the advisory lock of the dispatcher; waits 2 seconds at most.
CREATE OR REPLACE FUNCTION @extschema@._native_end_run()
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_lock_timeout text := current_setting('lock_timeout');
    v_space oid := '@extschema@.native_epoch'::regclass;
BEGIN
    -- pg_cron 1.4 only turns away from the session of a run that is unscheduled.
    PERFORM pg_cancel_backend(l.pid)
    FROM pg_locks AS l
    JOIN pg_database AS d ON d.oid = l.database
    WHERE l.locktype = 'advisory' AND l.classid = v_space AND l.objid = 0 AND l.objsubid = 2 AND l.granted
      AND d.datname = current_database() AND l.pid <> pg_backend_pid();
    PERFORM set_config('lock_timeout', '2s', true);
    PERFORM pg_advisory_xact_lock(v_space::integer, 0);
    PERFORM set_config('lock_timeout', v_lock_timeout, true);
EXCEPTION WHEN lock_not_available OR insufficient_privilege THEN
    RAISE WARNING 'the run under way goes on until its time is over'
        USING DETAIL = 'Another role has started it, or it does not react.';
END
$$;
COMMENT ON FUNCTION @extschema@._native_end_run IS
    'Internal: cancels the run that is under way, and lets no other begin before the transaction ends.';

-- Writes: native_epoch.purged_at; deletes from cron.job_run_details.
CREATE OR REPLACE FUNCTION @extschema@._purge_native_runs()
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_call text := format('CALL %I.run_native_dispatcher', @extschema@._schema_name());
    v_purged integer := 0;
BEGIN
    -- It has no index on time.
    UPDATE @extschema@.native_epoch AS e SET purged_at = v_now
    WHERE COALESCE(e.purged_at <= v_now - interval '6 hours', true);
    IF FOUND AND @extschema@._native_has_cron() THEN
        EXECUTE format($sql$
            DELETE FROM %I.job_run_details AS d
            WHERE d.end_time < $1 AND d.username = current_user AND d.database = current_database()
              AND (split_part(d.command, '(', 1) = $2 OR d.command = $3) $sql$, 'cron')
        USING v_now - interval '1 day', v_call, 'VACUUM net.http_request_queue';
        GET DIAGNOSTICS v_purged = ROW_COUNT;
    END IF;
    RETURN v_purged;
END
$$;
COMMENT ON FUNCTION @extschema@._purge_native_runs IS
    'Internal: deletes, each 6 hours, what pg_cron has noted of our runs more than a day ago; returns the number.';

CREATE OR REPLACE FUNCTION @extschema@.native_health()
RETURNS @extschema@.native_health
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_health @extschema@.native_health;
    v_last_run text;
BEGIN
    SELECT e.turn_at, e.fault, e.fault_at INTO v_health.last_turn_at, v_health.last_fault, v_health.last_fault_at
    FROM @extschema@.native_epoch AS e;
    SELECT count(*), (EXTRACT(epoch FROM v_now - min(n.sent_at)) * 1000)::bigint
    INTO v_health.in_flight, v_health.oldest_milliseconds
    FROM @extschema@.native_request AS n;
    v_health.pg_net_version := (SELECT e.extversion FROM pg_extension AS e WHERE e.extname = 'pg_net');
    v_health.pg_cron_version := (SELECT e.extversion FROM pg_extension AS e WHERE e.extname = 'pg_cron');
    IF @extschema@._native_has_cron() THEN
        EXECUTE format($sql$
            SELECT j.schedule, (SELECT concat_ws(': ', d.status, d.return_message)
                                FROM %1$I.job_run_details AS d
                                WHERE d.jobid = j.jobid AND d.status IN ('failed', 'succeeded')
                                ORDER BY d.runid DESC LIMIT 1)
            FROM %1$I.job AS j
            WHERE j.username = current_user AND j.active AND j.jobname = $1 $sql$, 'cron')
        INTO v_health.schedule, v_last_run USING @extschema@._native_cron_name('dispatcher');
    END IF;
    v_health.problems := @extschema@._native_problems(v_health, v_last_run);
    v_health.is_healthy := v_health.problems = '{}';
    RETURN v_health;
END
$$;
COMMENT ON FUNCTION @extschema@.native_health IS
    'Returns whether the dispatcher inside Postgres works, and if not, what is in its way: an extension that is missing or not loaded, another database, a schedule that is not set or does not run, endpoints that it does not serve.';

CREATE OR REPLACE FUNCTION @extschema@._native_problems(health @extschema@.native_health, last_run text)
RETURNS text[]
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_slow text := (
        SELECT string_agg(format('"%s"', q.queue_name), ', ' ORDER BY q.queue_name)
        FROM @extschema@.endpoint AS e
        JOIN @extschema@.queue AS q ON q.queue_id = e.queue_id
        WHERE e.is_active AND e.timeout_milliseconds > 60000);
BEGIN
    RETURN array_remove(ARRAY[
        @extschema@._native_trouble(),
        CASE
            WHEN COALESCE(health.last_turn_at > v_now - interval '2 minutes', false) THEN NULL
            WHEN NOT @extschema@._native_has_cron() THEN 'pg_cron is not installed in this database'
            WHEN health.schedule IS NULL THEN 'it is not scheduled: call start_native_dispatcher()'
            WHEN last_run LIKE 'failed%' THEN format('its last run by pg_cron %s', last_run)
            ELSE 'it has not run for two minutes' END,
        CASE WHEN health.last_fault_at > v_now - interval '10 minutes'
            THEN format('a step failed (%s)', health.last_fault) END,
        CASE WHEN health.oldest_milliseconds > 120000
            THEN format('a request is under way for %s seconds', health.oldest_milliseconds / 1000) END,
        CASE WHEN @extschema@._native_batch() > 800
            THEN 'pg_net.batch_size is above 800: it may run out of files (ulimit -n)' END,
        'pg_net serves no timeout above 60000 milliseconds, as have the endpoints of ' || v_slow], NULL);
END
$$;
COMMENT ON FUNCTION @extschema@._native_problems IS
    'Internal: what keeps the native dispatcher from working, or will. last_run: how the last run by pg_cron has ended.';
