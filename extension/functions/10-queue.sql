-- Queues: their settings, pausing, emptying and dropping them.

-- Writes: queue and lane, when the queue is new or had been dropped.
-- Locks: the queue's row, then; a second creator waits for the first to commit.
CREATE OR REPLACE FUNCTION @extschema@._make_queue(queue_name text)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer;
BEGIN
    PERFORM @extschema@._require(queue_name <> '' AND octet_length(queue_name) <= 200,
        'queue_name to be 1 to 200 bytes long', queue_name);
    INSERT INTO @extschema@.queue AS q (queue_name)
    VALUES (_make_queue.queue_name)
    ON CONFLICT ON CONSTRAINT queue_queue_name_key DO UPDATE SET
        is_dropped = false,
        created_at = CASE WHEN q.is_dropped THEN clock_timestamp() ELSE q.created_at END
    RETURNING q.queue_id INTO v_queue_id;
    IF NOT EXISTS (SELECT FROM @extschema@.lane AS l WHERE l.queue_id = v_queue_id AND l.priority = 0) THEN
        INSERT INTO @extschema@.lane (queue_id, priority) VALUES (v_queue_id, 0);
    END IF;
    RETURN v_queue_id;
END
$$;
COMMENT ON FUNCTION @extschema@._make_queue IS
    'Internal: makes the queue with the default settings unless it exists; returns its queue_id.';

CREATE OR REPLACE FUNCTION @extschema@._queue_id(queue_name text, needed_access text)
RETURNS integer
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer;
    v_is_restricted boolean;
BEGIN
    PERFORM @extschema@._require(queue_name IS NOT NULL, 'queue_name', queue_name);
    SELECT q.queue_id, q.is_restricted INTO v_queue_id, v_is_restricted
    FROM @extschema@.queue AS q
    WHERE q.queue_name = _queue_id.queue_name
      -- An add that was under way when the queue was dropped has brought it back.
      AND (NOT q.is_dropped OR EXISTS (SELECT FROM @extschema@.job AS j WHERE j.queue_id = q.queue_id));
    IF NOT FOUND THEN
        RAISE EXCEPTION 'queue "%" not found', left(queue_name, 200)
            USING ERRCODE = 'JQ001', HINT = 'add_job and set_queue_config make a queue.';
    END IF;
    IF v_is_restricted THEN
        PERFORM @extschema@._check_access(ARRAY[v_queue_id], needed_access);
    END IF;
    RETURN v_queue_id;
END
$$;
COMMENT ON FUNCTION @extschema@._queue_id IS
    'Internal: the id of the queue, which the caller may use with needed_access; raises JQ001 or 42501.';

CREATE OR REPLACE FUNCTION @extschema@._queue_config(queue_id integer)
RETURNS @extschema@.queue_config
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT q.queue_name, q.max_concurrency, q.max_concurrency_per_group, q.group_order, q.max_attempts,
           q.retry_backoff, q.pause_between_retries_milliseconds,
           q.max_pause_between_retries_milliseconds, q.timeout_milliseconds, q.timeout_with_result,
           q.keep_history, q.history_days, q.dead_days, q.max_payload_bytes, q.paused_until,
           q.pause_reason, q.created_at
    FROM @extschema@.queue AS q
    WHERE q.queue_id = _queue_config.queue_id;
END;
COMMENT ON FUNCTION @extschema@._queue_config IS 'Internal: the settings of a queue by its id.';

CREATE OR REPLACE FUNCTION @extschema@.get_queue_config(queue_name text)
RETURNS @extschema@.queue_config
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN @extschema@._queue_config(@extschema@._queue_id(queue_name, 'observer'));
END
$$;
COMMENT ON FUNCTION @extschema@.get_queue_config IS
    'Returns the settings of a queue; a limit that is null is no limit. Raises JQ001 when the queue does not exist.';

-- Writes: queue; when a limit changes, running_job, or job.held_by and group_hint.
-- Locks: the queue's row; when max_concurrency changes, the queue's advisory lock.
CREATE OR REPLACE FUNCTION @extschema@.set_queue_config(
    queue_name text,
    max_concurrency integer DEFAULT NULL,
    max_concurrency_per_group integer DEFAULT NULL,
    group_order text DEFAULT NULL,
    max_attempts integer DEFAULT NULL,
    retry_backoff text DEFAULT NULL,
    pause_between_retries_milliseconds bigint DEFAULT NULL,
    max_pause_between_retries_milliseconds bigint DEFAULT NULL,
    timeout_milliseconds integer DEFAULT NULL,
    timeout_with_result text DEFAULT NULL,
    keep_history text DEFAULT NULL,
    history_days integer DEFAULT NULL,
    dead_days integer DEFAULT NULL,
    max_payload_bytes integer DEFAULT NULL
)
RETURNS @extschema@.queue_config
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer;
    v_old_limit integer;
    v_old_group_limit integer;
    v_new_limit integer;
    v_new_group_limit integer;
BEGIN
    PERFORM @extschema@._check_queue_config(
        max_concurrency, max_concurrency_per_group, group_order, max_attempts, retry_backoff,
        pause_between_retries_milliseconds, max_pause_between_retries_milliseconds,
        timeout_milliseconds, timeout_with_result, keep_history, history_days, dead_days,
        max_payload_bytes);
    v_queue_id := @extschema@._make_queue(queue_name);
    PERFORM @extschema@._queue_id(queue_name, 'admin');
    SELECT q.max_concurrency, q.max_concurrency_per_group INTO v_old_limit, v_old_group_limit
    FROM @extschema@.queue AS q WHERE q.queue_id = v_queue_id FOR UPDATE;

    UPDATE @extschema@.queue AS q SET
        max_concurrency = CASE set_queue_config.max_concurrency
            WHEN 0 THEN NULL ELSE COALESCE(set_queue_config.max_concurrency, q.max_concurrency) END,
        max_concurrency_per_group = CASE set_queue_config.max_concurrency_per_group
            WHEN 0 THEN NULL
            ELSE COALESCE(set_queue_config.max_concurrency_per_group, q.max_concurrency_per_group) END,
        has_groups = q.has_groups OR COALESCE(set_queue_config.max_concurrency_per_group, 0) > 0,
        group_order = COALESCE(set_queue_config.group_order, q.group_order),
        max_attempts = COALESCE(set_queue_config.max_attempts, q.max_attempts),
        retry_backoff = COALESCE(set_queue_config.retry_backoff, q.retry_backoff),
        pause_between_retries_milliseconds = COALESCE(
            set_queue_config.pause_between_retries_milliseconds, q.pause_between_retries_milliseconds),
        max_pause_between_retries_milliseconds = COALESCE(
            set_queue_config.max_pause_between_retries_milliseconds,
            q.max_pause_between_retries_milliseconds),
        timeout_milliseconds = COALESCE(set_queue_config.timeout_milliseconds, q.timeout_milliseconds),
        timeout_with_result = COALESCE(set_queue_config.timeout_with_result, q.timeout_with_result),
        keep_history = COALESCE(set_queue_config.keep_history, q.keep_history),
        history_days = COALESCE(set_queue_config.history_days, q.history_days),
        dead_days = COALESCE(set_queue_config.dead_days, q.dead_days),
        max_payload_bytes = COALESCE(set_queue_config.max_payload_bytes, q.max_payload_bytes)
    WHERE q.queue_id = v_queue_id
    RETURNING q.max_concurrency, q.max_concurrency_per_group INTO v_new_limit, v_new_group_limit;

    IF v_new_limit IS DISTINCT FROM v_old_limit THEN
        PERFORM @extschema@._apply_limit(v_queue_id, v_old_limit, v_new_limit);
    END IF;
    IF v_new_group_limit IS DISTINCT FROM v_old_group_limit THEN
        PERFORM @extschema@._apply_group_limit(v_queue_id, v_new_group_limit);
    END IF;
    RETURN @extschema@._queue_config(v_queue_id);
END
$$;
COMMENT ON FUNCTION @extschema@.set_queue_config IS
$$Sets what is given and leaves the rest as it is; makes the queue if it does not exist. Returns all settings. Jobs that other transactions pick or add while a limit is being set, and commit only later, do not count against it.
max_concurrency: jobs of the queue that may run at once; from 1; 0 sets no limit; default no limit.
max_concurrency_per_group: jobs with the same group_key that may run at once; from 1; 0 sets no limit; default no limit.
group_order: loose (a job that failed gives its group's turn to the next) or strict (it keeps the turn while it backs off); default loose.
max_attempts: attempts in all before a job is dead; 1 to 1000; default 10.
retry_backoff: exponential (a random pause up to the doubled pause of the attempt before: full jitter) or fixed; default exponential.
pause_between_retries_milliseconds: the pause after the first failed attempt; 0 to 604800000; default 5000.
max_pause_between_retries_milliseconds: the longest pause that exponential reaches; 0 to 604800000; default 3600000.
timeout_milliseconds: the length of a lease, unless the job or the pick has its own; 100 to 604800000; default 30000.
timeout_with_result: what a lease that ran out counts as: failed, paused, complete or cancelled; default failed.
keep_history: which finished jobs are kept: all, dead or none; default all.
history_days: how long complete and cancelled jobs are kept; 1 to 30 days; default 7.
dead_days: how long dead jobs are kept; 1 to 30 days; default 30.
max_payload_bytes: the largest payload, and the largest headers, as stored; 1024 to 268435456 bytes; default 1048576.
Errors: 22023 for a value out of its range.$$;

CREATE OR REPLACE FUNCTION @extschema@._check_queue_config(
    max_concurrency integer,
    max_concurrency_per_group integer,
    group_order text,
    max_attempts integer,
    retry_backoff text,
    pause_between_retries_milliseconds bigint,
    max_pause_between_retries_milliseconds bigint,
    timeout_milliseconds integer,
    timeout_with_result text,
    keep_history text,
    history_days integer,
    dead_days integer,
    max_payload_bytes integer
)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_range record;
    v_choice record;
BEGIN
    FOR v_range IN
        SELECT r.name, r.given, r.low, r.high
        FROM (VALUES
            ('max_concurrency', max_concurrency::bigint, 0, 2147483647),
            ('max_concurrency_per_group', max_concurrency_per_group, 0, 2147483647),
            ('max_attempts', max_attempts, 1, 1000),
            ('pause_between_retries_milliseconds', pause_between_retries_milliseconds, 0, 604800000),
            ('max_pause_between_retries_milliseconds', max_pause_between_retries_milliseconds, 0, 604800000),
            ('timeout_milliseconds', timeout_milliseconds, 100, 604800000),
            ('history_days', history_days, 1, 30),
            ('dead_days', dead_days, 1, 30),
            ('max_payload_bytes', max_payload_bytes, 1024, 268435456)
        ) AS r (name, given, low, high)
        WHERE r.given NOT BETWEEN r.low AND r.high
    LOOP
        PERFORM @extschema@._require(false,
            format('%s to be between %s and %s', v_range.name, v_range.low, v_range.high),
            v_range.given::text);
    END LOOP;
    FOR v_choice IN
        SELECT c.name, c.given, c.choices
        FROM (VALUES
            ('group_order', group_order, ARRAY['loose', 'strict']),
            ('retry_backoff', retry_backoff, ARRAY['exponential', 'fixed']),
            ('timeout_with_result', timeout_with_result, ARRAY['failed', 'paused', 'complete', 'cancelled']),
            ('keep_history', keep_history, ARRAY['all', 'dead', 'none'])
        ) AS c (name, given, choices)
        WHERE c.given <> ALL (c.choices)
    LOOP
        PERFORM @extschema@._require(false,
            format('%s to be one of %s', v_choice.name, array_to_string(v_choice.choices, ', ')),
            v_choice.given);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._check_queue_config IS
    'Internal: raises 22023 for the first setting that is given and out of its range.';

-- Writes: queue.paused_until, queue.pause_reason.  Locks: the queue's row.
CREATE OR REPLACE FUNCTION @extschema@.pause_queue(
    queue_name text,
    paused_until timestamptz DEFAULT 'infinity',
    reason text DEFAULT NULL
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer := @extschema@._queue_id(queue_name, 'admin');
BEGIN
    PERFORM @extschema@._require(paused_until IS NOT NULL, 'paused_until', paused_until::text);
    UPDATE @extschema@.queue AS q
    SET paused_until = pause_queue.paused_until, pause_reason = pause_queue.reason
    WHERE q.queue_id = v_queue_id;
END
$$;
COMMENT ON FUNCTION @extschema@.pause_queue IS
    'Stops picks from the queue until paused_until (default: until resume_queue). Adds go on, and running jobs may finish. The reason is shown by get_queue_config. Raises JQ001 when the queue does not exist.';

-- Writes: queue.paused_until, queue.pause_reason.  Locks: the queue's row.
CREATE OR REPLACE FUNCTION @extschema@.resume_queue(queue_name text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer := @extschema@._queue_id(queue_name, 'admin');
BEGIN
    UPDATE @extschema@.queue AS q SET paused_until = NULL, pause_reason = NULL
    WHERE q.queue_id = v_queue_id;
    PERFORM @extschema@._wake_workers(ARRAY[v_queue_id]);
END
$$;
COMMENT ON FUNCTION @extschema@.resume_queue IS
    'Lets jobs of a paused queue be picked again. Raises JQ001 when the queue does not exist.';

-- Writes: deletes from job, unique_key; group_hint; as _forget_runs and _report_children.
-- Locks: the job rows, those being picked excepted.
CREATE OR REPLACE FUNCTION @extschema@.purge_queue(queue_name text)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer := @extschema@._queue_id(queue_name, 'admin');
    v_purged record;
BEGIN
    WITH gone AS (
        DELETE FROM @extschema@.job AS j
        WHERE j.job_id IN (
            SELECT waiting.job_id FROM @extschema@.job AS waiting
            WHERE waiting.queue_id = v_queue_id AND waiting.lease_token IS NULL
            FOR UPDATE SKIP LOCKED)
        RETURNING j.job_id, j.unique_key, j.group_key, j.workflow, j.parent_job_id
    ), hinted AS (
        -- One that was being changed is still there, and may be held.
        INSERT INTO @extschema@.group_hint (queue_id, group_key, due_at)
        SELECT DISTINCT v_queue_id, gone.group_key, @extschema@._now()
        FROM gone
        WHERE gone.group_key IS NOT NULL
    ), freed AS (
        DELETE FROM @extschema@.unique_key AS k
        USING gone
        WHERE k.queue_id = v_queue_id AND k.unique_key = gone.unique_key AND k.job_id = gone.job_id
    )
    SELECT count(*) AS jobs, array_agg(gone.job_id) FILTER (WHERE gone.workflow IS NOT NULL) AS runs,
           array_agg(ROW(gone.parent_job_id, gone.job_id, 'cancelled', 'its queue was purged', NULL)::@extschema@.child_result)
               FILTER (WHERE gone.parent_job_id IS NOT NULL) AS results
    INTO v_purged
    FROM gone;
    PERFORM @extschema@._forget_runs(v_purged.runs, @extschema@._now());
    PERFORM @extschema@._report_children(v_purged.results, @extschema@._now());
    RETURN v_purged.jobs;
END
$$;
COMMENT ON FUNCTION @extschema@.purge_queue IS
    'Deletes the jobs of the queue that wait (ready, scheduled or held), without history; running ones stay. What runs have started and does not run yet is cancelled; who waits for one of the deleted jobs as its child sees it cancelled. Returns their number. Raises JQ001 when the queue does not exist.';

-- Writes: deletes the queue's rows in job, finished_job, unique_key, group_hint, running_job, idle_worker, workflow,
-- workflow_step, run_hint, queue_access, request, schedule and those of its endpoint; as _forget_runs and _report_children;
-- sets queue back to the defaults.  Locks: these rows.
CREATE OR REPLACE FUNCTION @extschema@.drop_queue(queue_name text, force boolean DEFAULT false)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer := @extschema@._queue_id(queue_name, 'admin');
    v_gone record;
BEGIN
    IF NOT COALESCE(force, false)
       AND EXISTS (SELECT FROM @extschema@.job AS j WHERE j.queue_id = v_queue_id) THEN
        RAISE EXCEPTION 'queue "%" has live jobs', queue_name
            USING ERRCODE = '55000', HINT = 'Purge it or wait for them, or pass force => true.';
    END IF;
    WITH gone AS (
        DELETE FROM @extschema@.job AS j WHERE j.queue_id = v_queue_id
        RETURNING j.job_id, j.workflow, j.parent_job_id
    )
    SELECT array_agg(gone.job_id) FILTER (WHERE gone.workflow IS NOT NULL) AS runs,
           array_agg(ROW(gone.parent_job_id, gone.job_id, 'cancelled', 'its queue was dropped', NULL)::@extschema@.child_result)
               FILTER (WHERE gone.parent_job_id IS NOT NULL) AS results
    INTO v_gone
    FROM gone;
    PERFORM @extschema@._forget_runs(v_gone.runs, @extschema@._now());
    PERFORM @extschema@._report_children(v_gone.results, @extschema@._now());
    DELETE FROM @extschema@.run_hint AS h WHERE h.queue_id = v_queue_id;
    DELETE FROM @extschema@.unique_key AS k WHERE k.queue_id = v_queue_id;
    DELETE FROM @extschema@.running_job AS r WHERE r.queue_id = v_queue_id;
    DELETE FROM @extschema@.group_hint AS h WHERE h.queue_id = v_queue_id;
    DELETE FROM @extschema@.finished_job AS f WHERE f.queue_id = v_queue_id;
    DELETE FROM @extschema@.idle_worker AS w WHERE w.queue_id = v_queue_id;
    DELETE FROM @extschema@.queue_access AS a WHERE a.queue_id = v_queue_id;
    DELETE FROM @extschema@.workflow AS w WHERE w.queue_id = v_queue_id;
    DELETE FROM @extschema@.workflow_step AS s WHERE s.queue_id = v_queue_id;
    DELETE FROM @extschema@.request AS r WHERE r.queue_id = v_queue_id;
    DELETE FROM @extschema@.schedule AS s WHERE s.queue_id = v_queue_id;
    PERFORM @extschema@._remove_endpoint(v_queue_id);
    UPDATE @extschema@.queue AS q SET
        max_concurrency = NULL, max_concurrency_per_group = NULL, group_order = DEFAULT,
        max_attempts = DEFAULT, retry_backoff = DEFAULT,
        pause_between_retries_milliseconds = DEFAULT, max_pause_between_retries_milliseconds = DEFAULT,
        timeout_milliseconds = DEFAULT, timeout_with_result = DEFAULT, keep_history = DEFAULT,
        history_days = DEFAULT, dead_days = DEFAULT, max_payload_bytes = DEFAULT,
        paused_until = NULL, pause_reason = NULL, is_restricted = false, is_dropped = true
    WHERE q.queue_id = v_queue_id;
END
$$;
COMMENT ON FUNCTION @extschema@.drop_queue IS
    'Removes the queue with its settings, schedules and history. Refuses (55000) while it has live jobs, unless force => true, which deletes them too, the running ones included. An add that was under way makes the queue anew. Raises JQ001 when the queue does not exist.';
