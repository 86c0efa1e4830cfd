-- Schedules: jobs that are added again and again. Here they are set; drive_schedules (49-drive.sql) adds the jobs.

CREATE OR REPLACE FUNCTION @extschema@._check_time_zone(time_zone text)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Postgres knows other forms too, with surprises: CET is a fixed offset, UTC+2 lies west of Greenwich.
    PERFORM @extschema@._require(time_zone ~ '^(UTC|Etc/GMT[+-]\d{1,2}|[A-Za-z_]+(/[A-Za-z_-]+)+)$',
        'time_zone to be UTC or a name such as Europe/Berlin', time_zone);
    PERFORM clock_timestamp() AT TIME ZONE time_zone;
EXCEPTION WHEN invalid_parameter_value THEN
    PERFORM @extschema@._require(false, 'time_zone to be UTC or a name such as Europe/Berlin', time_zone);
END
$$;
COMMENT ON FUNCTION @extschema@._check_time_zone IS
    'Internal: raises 22023 unless this is the name of a time zone.';

CREATE OR REPLACE FUNCTION @extschema@._check_name(name text, max_bytes integer)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._require(name <> '' AND octet_length(name) <= max_bytes,
        format('name to be 1 to %s bytes long', max_bytes), name);
END
$$;
COMMENT ON FUNCTION @extschema@._check_name IS 'Internal: raises 22023 for the name of a schedule or a trigger of a wrong length.';

-- Writes: schedule; queue and lane, when they are new.  Locks: the schedule's row.
CREATE OR REPLACE FUNCTION @extschema@.schedule_job(
    name text,
    cron text,
    queue_name text,
    payload jsonb DEFAULT '{}',
    time_zone text DEFAULT 'UTC',
    overlap text DEFAULT 'skip',
    catch_up text DEFAULT 'one',
    priority integer DEFAULT 0,
    max_attempts integer DEFAULT NULL,
    unique_key text DEFAULT NULL,
    group_key text DEFAULT NULL,
    timeout_milliseconds integer DEFAULT NULL,
    timeout_with_result text DEFAULT NULL,
    headers jsonb DEFAULT NULL,
    workflow text DEFAULT NULL,
    workflow_version integer DEFAULT NULL
)
RETURNS @extschema@.schedule_status
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_next_at timestamptz;
    v_queue_id integer;
BEGIN
    PERFORM @extschema@._check_name(name, 200);
    v_next_at := @extschema@._first_time(cron, time_zone);
    PERFORM @extschema@._require(overlap IN ('skip', 'allow'), 'overlap to be one of skip, allow', overlap);
    PERFORM @extschema@._require(catch_up IN ('skip', 'one', 'all'), 'catch_up to be one of skip, one, all', catch_up);
    PERFORM @extschema@._check_add(NULL, priority, max_attempts, unique_key IS NOT NULL, 'skip', NULL,
        timeout_milliseconds, timeout_with_result);
    PERFORM @extschema@._require(payload IS NOT NULL, 'payload', NULL);
    PERFORM @extschema@._require(jsonb_typeof(headers) = 'object' OR headers IS NULL,
        'headers to be a json object', headers::text);
    PERFORM @extschema@._check_keys('unique_key', ARRAY[unique_key]);
    PERFORM @extschema@._check_keys('group_key', ARRAY[group_key]);
    PERFORM @extschema@._check_access_to(queue_name, 'admin');
    PERFORM @extschema@._check_schedule_access(name);
    v_queue_id := @extschema@._prepare_add(queue_name, priority, pg_column_size(payload), pg_column_size(headers));
    PERFORM @extschema@._check_workflow(v_queue_id, workflow, workflow_version);

    INSERT INTO @extschema@.schedule AS s (
        schedule_name, queue_id, next_at, cron, time_zone, overlap, catch_up, priority, max_attempts,
        timeout_milliseconds, timeout_with_result, unique_key, group_key, workflow, workflow_version, headers, payload)
    VALUES (
        schedule_job.name, v_queue_id, v_next_at, schedule_job.cron, schedule_job.time_zone, schedule_job.overlap,
        schedule_job.catch_up, schedule_job.priority, schedule_job.max_attempts,
        schedule_job.timeout_milliseconds, schedule_job.timeout_with_result, schedule_job.unique_key,
        schedule_job.group_key, schedule_job.workflow, schedule_job.workflow_version, schedule_job.headers,
        schedule_job.payload)
    ON CONFLICT ON CONSTRAINT schedule_pkey DO UPDATE SET
        (queue_id, cron, time_zone, overlap, catch_up, priority, max_attempts, timeout_milliseconds,
         timeout_with_result, unique_key, group_key, workflow, workflow_version, headers, payload) = ROW (
            EXCLUDED.queue_id, EXCLUDED.cron, EXCLUDED.time_zone, EXCLUDED.overlap, EXCLUDED.catch_up,
            EXCLUDED.priority, EXCLUDED.max_attempts, EXCLUDED.timeout_milliseconds,
            EXCLUDED.timeout_with_result, EXCLUDED.unique_key, EXCLUDED.group_key, EXCLUDED.workflow,
            EXCLUDED.workflow_version, EXCLUDED.headers, EXCLUDED.payload),
        -- What is due already stays so, when a program says at each start what it said before.
        next_at = CASE
            WHEN s.next_at IS NULL OR (s.cron, s.time_zone) = (EXCLUDED.cron, EXCLUDED.time_zone) THEN s.next_at
            ELSE EXCLUDED.next_at END;
    RETURN @extschema@._schedule_status(name);
END
$$;
COMMENT ON FUNCTION @extschema@.schedule_job IS
$$Has a job added to a queue at each time that a cron expression means; sets the schedule of this name anew if there is one (a paused one stays paused). Returns the schedule. drive_schedules adds the jobs: SDK workers and dispatchers call it, and pg_cron after start_native_schedules.
cron: minute, hour, day, month, weekday, or six fields with the second first, or @hourly, @daily, @weekly, @monthly, @yearly. A field is * or numbers, names (MON, JAN), ranges (1-5), steps (*/15, 8-18/2) and lists; L is the last day of a month. With both day and weekday given either is enough.
time_zone: such as Europe/Berlin. A time that is left out when clocks are put forward comes at the end of the gap; one that comes twice counts once, unless every hour is meant.
overlap: skip (nothing is added while the last job of the schedule is live; the default) or allow.
catch_up: what becomes of due times that nobody drove: one (one job for all of them; the default), skip (none for those more than 5 minutes ago) or all (one for each of the last day).
payload and the other options are those of add_job; with a workflow its jobs are runs, in the highest version that is defined then unless you say which. The headers schedule and due_at are added.
Errors: 22023 and 22004 for bad values, 54000 for a payload that is too large, JQ007 for a workflow that is not defined.$$;

CREATE OR REPLACE FUNCTION @extschema@._first_time(cron text, time_zone text)
RETURNS timestamptz
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_next_at timestamptz;
BEGIN
    PERFORM @extschema@._check_time_zone(time_zone);
    v_next_at := @extschema@._next_cron(@extschema@._read_cron(cron), time_zone, @extschema@._now());
    PERFORM @extschema@._require(v_next_at IS NOT NULL, 'cron to mean a day that comes', cron);
    RETURN v_next_at;
END
$$;
COMMENT ON FUNCTION @extschema@._first_time IS
    'Internal: the next time that an expression means; raises 22023 when it is not understood or means none.';

CREATE OR REPLACE FUNCTION @extschema@._check_workflow(queue_id integer, workflow text, workflow_version integer)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._require(workflow IS NOT NULL OR workflow_version IS NULL,
        'a workflow with workflow_version', workflow);
    IF workflow IS NOT NULL THEN
        PERFORM @extschema@._first_step(queue_id, workflow, workflow_version);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_workflow IS
    'Internal: raises JQ007 for a workflow that the queue has not, 22004 for a version without a workflow.';

CREATE OR REPLACE FUNCTION @extschema@._schedule_status(name text)
RETURNS @extschema@.schedule_status
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT s.schedule_name, q.queue_name, s.workflow, s.workflow_version, s.cron, s.time_zone, s.payload, s.overlap,
           s.catch_up, s.priority, s.max_attempts, s.unique_key, s.group_key, s.timeout_milliseconds,
           s.timeout_with_result, s.headers, s.next_at IS NULL, s.next_at, s.last_at, s.last_job_id, s.last_error, s.created_at
    FROM @extschema@.schedule AS s
    JOIN @extschema@.queue AS q ON q.queue_id = s.queue_id
    WHERE s.schedule_name = _schedule_status.name;
END;
COMMENT ON FUNCTION @extschema@._schedule_status IS 'Internal: a schedule by its name.';

CREATE OR REPLACE FUNCTION @extschema@._check_schedule_access(name text)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._require(name IS NOT NULL, 'name', NULL);
    PERFORM @extschema@._check_access(
        ARRAY(SELECT s.queue_id FROM @extschema@.schedule AS s WHERE s.schedule_name = name), 'admin');
END
$$;
COMMENT ON FUNCTION @extschema@._check_schedule_access IS
    'Internal: raises 42501 when the queue of this schedule is restricted and the caller is no admin of it.';

-- Writes: deletes from schedule.  Locks: the schedule's row.
CREATE OR REPLACE FUNCTION @extschema@.unschedule_job(name text)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._check_schedule_access(name);
    DELETE FROM @extschema@.schedule AS s WHERE s.schedule_name = unschedule_job.name;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION @extschema@.unschedule_job IS
    'Removes a schedule; jobs that it has added stay. Returns whether there was one.';

-- Writes: schedule.next_at.  Locks: the schedule's row.
CREATE OR REPLACE FUNCTION @extschema@.pause_schedule(name text)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._check_schedule_access(name);
    UPDATE @extschema@.schedule AS s SET next_at = NULL WHERE s.schedule_name = pause_schedule.name;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION @extschema@.pause_schedule IS
    'Lets a schedule add no jobs until resume_schedule. Returns whether there is such a schedule.';

-- Writes: schedule.next_at.  Locks: the schedule's row.
CREATE OR REPLACE FUNCTION @extschema@.resume_schedule(name text)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._check_schedule_access(name);
    UPDATE @extschema@.schedule AS s
    SET next_at = COALESCE(s.next_at,
        @extschema@._next_cron(@extschema@._read_cron(s.cron), s.time_zone, @extschema@._now()))
    WHERE s.schedule_name = resume_schedule.name;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION @extschema@.resume_schedule IS
    'Lets a paused schedule go on with the next time that comes; those in between are left out. Returns whether there is such a schedule.';

CREATE OR REPLACE FUNCTION @extschema@.list_schedules(queue_name text DEFAULT NULL)
RETURNS SETOF @extschema@.schedule_status
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_name text;
BEGIN
    IF queue_name IS NOT NULL THEN
        PERFORM @extschema@._queue_id(queue_name, 'observer');
    END IF;
    FOR v_name IN
        SELECT s.schedule_name
        FROM @extschema@.schedule AS s
        JOIN @extschema@.queue AS q ON q.queue_id = s.queue_id
        WHERE (list_schedules.queue_name IS NULL OR q.queue_name = list_schedules.queue_name)
          AND (NOT q.is_restricted OR @extschema@._has_access(q.queue_id, 'observer'))
        ORDER BY s.schedule_name
    LOOP
        RETURN NEXT @extschema@._schedule_status(v_name);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.list_schedules IS
    'Returns the schedules, of one queue or of all that the caller may see, by name. Raises JQ001 when the queue does not exist.';

CREATE OR REPLACE FUNCTION @extschema@.preview_schedule(
    cron text,
    time_zone text DEFAULT 'UTC',
    count integer DEFAULT 5,
    after timestamptz DEFAULT NULL
)
RETURNS SETOF timestamptz
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_cron @extschema@.cron := @extschema@._read_cron(cron);
    v_at timestamptz := COALESCE(after, @extschema@._now());
BEGIN
    PERFORM @extschema@._check_time_zone(time_zone);
    PERFORM @extschema@._require(count BETWEEN 1 AND 1000, 'count to be between 1 and 1000', count::text);
    PERFORM @extschema@._require(v_at BETWEEN '1970-01-01 00:00:00+00' AND '9000-01-01 00:00:00+00',
        'after to be between the years 1970 and 9000', after::text);
    FOR v_place IN 1 .. count LOOP
        v_at := @extschema@._next_cron(v_cron, time_zone, v_at);
        EXIT WHEN v_at IS NULL;
        RETURN NEXT v_at;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.preview_schedule IS
    'Returns the next times that a cron expression means in a time zone, after a time (default: now): count of them, 1 to 1000. Raises 22023 for an expression or a time zone that is not understood.';
