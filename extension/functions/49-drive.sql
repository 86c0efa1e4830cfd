-- Driving schedules: whoever comes first after a due time adds the job, once. All it takes is a call now and then.

-- What a schedule is driven for now: an array of due times, and the time after them.
CREATE OR REPLACE FUNCTION @extschema@._due_times(
    cron @extschema@.cron,
    time_zone text,
    catch_up text,
    next_at timestamptz,
    now timestamptz
)
RETURNS timestamptz[]
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_since timestamptz := CASE catch_up
        WHEN 'skip' THEN now - interval '5 minutes'
        WHEN 'all' THEN now - interval '1 day'
        ELSE next_at END;
    v_at timestamptz := next_at;
    v_times timestamptz[] := ARRAY[]::timestamptz[];
BEGIN
    IF v_at < v_since THEN
        v_at := @extschema@._next_cron(cron, time_zone, v_since);
    END IF;
    WHILE v_at <= now AND cardinality(v_times) < 100 LOOP
        v_times := v_times || v_at;
        v_at := @extschema@._next_cron(cron, time_zone, CASE catch_up WHEN 'all' THEN v_at ELSE now END);
    END LOOP;
    RETURN v_times || v_at;
END
$$;
COMMENT ON FUNCTION @extschema@._due_times IS
    'Internal: the due times for which jobs are to be added now, and, last, the next one: 101 at most.';

-- Writes: schedule; what add_job writes.
CREATE OR REPLACE FUNCTION @extschema@._drive_schedule(schedule @extschema@.schedule, queue_name text)
RETURNS timestamptz
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_times timestamptz[] := @extschema@._due_times(
        @extschema@._read_cron(schedule.cron), schedule.time_zone, schedule.catch_up, schedule.next_at, v_now);
    v_due_at timestamptz;
    v_error text;
BEGIN
    BEGIN
        FOREACH v_due_at IN ARRAY trim_array(v_times, 1) LOOP
            CONTINUE WHEN schedule.overlap = 'skip'
                AND EXISTS (SELECT FROM @extschema@.job AS j WHERE j.job_id = schedule.last_job_id);
            schedule.last_job_id := (@extschema@.add_job(
                queue_name, schedule.payload, priority => schedule.priority, max_attempts => schedule.max_attempts,
                unique_key => schedule.unique_key, group_key => schedule.group_key,
                timeout_milliseconds => schedule.timeout_milliseconds,
                timeout_with_result => schedule.timeout_with_result,
                workflow => schedule.workflow, workflow_version => schedule.workflow_version,
                headers => COALESCE(schedule.headers, '{}')
                    || jsonb_build_object('schedule', schedule.schedule_name, 'due_at', v_due_at))).job_id;
        END LOOP;
    EXCEPTION WHEN data_exception OR program_limit_exceeded OR SQLSTATE 'JQ007' THEN
        -- It would be the same at the next call, and the others must not suffer.
        v_error := SQLERRM;
    END;
    UPDATE @extschema@.schedule AS s SET
        next_at = v_times[cardinality(v_times)],
        last_at = COALESCE(v_due_at, s.last_at),
        last_job_id = _drive_schedule.schedule.last_job_id,
        last_error = v_error
    WHERE s.schedule_name = _drive_schedule.schedule.schedule_name;
    RETURN v_times[cardinality(v_times)];
END
$$;
COMMENT ON FUNCTION @extschema@._drive_schedule IS
    'Internal: adds the jobs that are due by a schedule, whose row is locked, and moves it to its next time, which is returned.';

-- Writes: schedule; what add_job writes.  Locks: the schedules that are due; those that another drives are left out.
CREATE OR REPLACE FUNCTION @extschema@.drive_schedules()
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_due record;
    v_next_at timestamptz;
BEGIN
    -- To add a job needs access to its queue.
    FOR v_due IN
        SELECT s AS schedule, q.queue_name
        FROM @extschema@.schedule AS s
        JOIN @extschema@.queue AS q ON q.queue_id = s.queue_id
        WHERE s.next_at <= v_now AND (NOT q.is_restricted OR @extschema@._has_access(q.queue_id, 'producer'))
        ORDER BY s.next_at
        FOR UPDATE OF s SKIP LOCKED
    LOOP
        v_next_at := LEAST(v_next_at, @extschema@._drive_schedule(v_due.schedule, v_due.queue_name));
    END LOOP;
    -- What another drives at this moment is due already, but no reason to call again at once.
    v_next_at := LEAST(v_next_at, (
        SELECT s.next_at FROM @extschema@.schedule AS s WHERE s.next_at > v_now ORDER BY s.next_at LIMIT 1));
    RETURN CASE WHEN v_next_at IS NOT NULL
                THEN GREATEST(ceil(EXTRACT(epoch FROM v_next_at - @extschema@._now()) * 1000), 0) END;
END
$$;
COMMENT ON FUNCTION @extschema@.drive_schedules IS
    'Adds the jobs that are due by schedule_job, each once, whoever calls. Returns the milliseconds until the next one is due, null when there is none. Costs next to nothing when nothing is due: call it each second if you like. Schedules of a restricted queue are driven by those who may add to it.';
