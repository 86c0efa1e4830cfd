-- The history ring: where a finished job goes, and the way back from it.

CREATE OR REPLACE FUNCTION @extschema@._day(at timestamptz)
RETURNS integer
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN pg_catalog.floor(pg_catalog.date_part('epoch', at) OPERATOR(pg_catalog./) 86400)::integer;
COMMENT ON FUNCTION @extschema@._day IS
    'Internal: the UTC day of a time, in days since 1970-01-01. Without a search_path of its own, so that it is inlined.';

CREATE OR REPLACE FUNCTION @extschema@._slot(
    keep_history text,
    history_days integer,
    dead_days integer,
    state text,
    at timestamptz
)
RETURNS integer
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN CASE
    WHEN keep_history OPERATOR(pg_catalog.=) 'all'
         OR keep_history OPERATOR(pg_catalog.=) 'dead' AND state OPERATOR(pg_catalog.=) 'dead'
    THEN (@extschema@._day(at) OPERATOR(pg_catalog.+)
          CASE WHEN state OPERATOR(pg_catalog.=) 'dead' THEN dead_days ELSE history_days END)
         OPERATOR(pg_catalog.%) 40 END;
COMMENT ON FUNCTION @extschema@._slot IS
    'Internal: the slot of the history for a job that ends now, null when its queue does not keep it. Without a search_path of its own, so that it is inlined.';

-- One attempt as it stands in job.attempts. Error texts are cut so that a row stays small.
CREATE OR REPLACE FUNCTION @extschema@._attempt(
    attempt integer,
    picked_at timestamptz,
    ended_at timestamptz,
    worker text,
    outcome text,
    error text,
    step text DEFAULT NULL
)
RETURNS jsonb
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN jsonb_strip_nulls(jsonb_build_object(
        'attempt', attempt,
        'picked_at', picked_at,
        'ended_at', ended_at,
        'milliseconds', round(EXTRACT(epoch FROM ended_at - picked_at) * 1000, 3),
        'worker', worker,
        'outcome', outcome,
        'step', step,
        'error', left(error, 4000)));
END
$$;
COMMENT ON FUNCTION @extschema@._attempt IS
    'Internal: an attempt as jsonb, with the first 4000 characters of its error.';

-- The last 100 attempts are kept: a job that fails for ever must not grow for ever.
CREATE OR REPLACE FUNCTION @extschema@._with_attempt(attempts jsonb, ended jsonb)
RETURNS jsonb
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN jsonb_array_length(attempts) >= 100 THEN attempts - 0 ELSE COALESCE(attempts, '[]') END
    || jsonb_build_array(ended);
COMMENT ON FUNCTION @extschema@._with_attempt IS
    'Internal: the attempts with one more; the last 100 are kept.';

-- Writes: deletes from finished_job; inserts into job, lane, unique_key, group_hint, run_memory, run_signal.
-- Locks: the finished rows that are revived.
CREATE OR REPLACE FUNCTION @extschema@._revive_jobs(
    job_ids bigint[],
    start_after timestamptz,
    from_step text DEFAULT NULL
)
RETURNS bigint[]
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_start_after timestamptz := GREATEST(start_after, v_now);
    v_free_ids bigint[];
    v_revived bigint[];
    v_queue_ids integer[];
BEGIN
    -- A key that another job holds by now, or that two of these had, lets only one job in.
    WITH candidate AS (
        SELECT DISTINCT ON (f.queue_id, COALESCE(f.unique_key, f.job_id::text), f.unique_key IS NULL)
            f.job_id, f.queue_id, f.unique_key
        FROM @extschema@.finished_job AS f
        WHERE f.job_id = ANY (job_ids)
          AND (f.workflow IS NULL OR @extschema@._resume_at(
              f.queue_id, f.workflow, f.workflow_version, f.step, f.state, f.progress, from_step) IS NOT NULL)
        ORDER BY f.queue_id, COALESCE(f.unique_key, f.job_id::text), f.unique_key IS NULL, f.job_id
    ), taken AS (
        INSERT INTO @extschema@.unique_key AS k (queue_id, unique_key, job_id)
        SELECT c.queue_id, c.unique_key, c.job_id
        FROM candidate AS c
        WHERE c.unique_key IS NOT NULL
        ORDER BY c.queue_id, c.unique_key
        ON CONFLICT ON CONSTRAINT unique_key_pkey DO UPDATE
            SET job_id = EXCLUDED.job_id, holds_until = NULL, throttle_milliseconds = NULL
            WHERE k.holds_until IS NOT NULL
        RETURNING k.job_id
    )
    SELECT array_agg(c.job_id) INTO v_free_ids
    FROM candidate AS c
    WHERE c.unique_key IS NULL OR c.job_id IN (SELECT t.job_id FROM taken AS t);

    WITH back AS (
        DELETE FROM @extschema@.finished_job AS f
        WHERE f.job_id = ANY (v_free_ids)
        RETURNING f.job_id, f.queue_id, f.priority, f.max_attempts, f.added_at, f.picked_at, f.finished_at,
            f.attempt, f.state, f.error, f.worker, f.attempts, f.timeout_milliseconds,
            f.timeout_with_result, f.group_key, f.unique_key, f.headers, f.payload, f.workflow,
            f.workflow_version, f.step, f.progress,
            CASE WHEN f.workflow IS NOT NULL THEN @extschema@._resume_at(
                f.queue_id, f.workflow, f.workflow_version, f.step, f.state, f.progress, from_step) END AS at
    ), live AS (
        INSERT INTO @extschema@.job AS j (
            job_id, queue_id, priority, start_after, added_at, attempt, max_attempts, held_by,
            attempts, timeout_milliseconds, timeout_with_result, group_key, unique_key, headers, payload,
            workflow, workflow_version, step, progress)
        OVERRIDING SYSTEM VALUE
        SELECT b.job_id, b.queue_id, b.priority, v_start_after, b.added_at, 0,
            CASE WHEN b.workflow IS NULL THEN b.max_attempts
                 ELSE COALESCE(s.max_attempts, (b.progress #>> '{own,max_attempts}')::integer) END,
            CASE WHEN b.group_key IS NOT NULL AND q.max_concurrency_per_group IS NOT NULL THEN 'group' END,
            CASE WHEN b.picked_at IS NULL THEN b.attempts
                 ELSE @extschema@._with_attempt(b.attempts, @extschema@._attempt(
                     b.attempt, b.picked_at, b.finished_at, b.worker,
                     CASE b.state WHEN 'dead' THEN 'failed' ELSE b.state END, b.error, b.step)) END,
            CASE WHEN b.workflow IS NULL THEN b.timeout_milliseconds
                 ELSE COALESCE(s.timeout_milliseconds, (b.progress #>> '{own,timeout_milliseconds}')::integer) END,
            CASE WHEN b.workflow IS NULL THEN b.timeout_with_result
                 ELSE COALESCE(s.timeout_with_result, b.progress #>> '{own,timeout_with_result}') END,
            b.group_key, b.unique_key, b.headers, b.payload, b.workflow, b.workflow_version, b.at,
            CASE WHEN b.progress IS NOT NULL THEN @extschema@._resume_with(s, b.progress, s.step = b.step AND b.state <> 'complete') END
        FROM back AS b
        JOIN @extschema@.queue AS q ON q.queue_id = b.queue_id
        LEFT JOIN @extschema@.workflow_step AS s
            ON s.queue_id = b.queue_id AND s.workflow = b.workflow AND s.version = b.workflow_version AND s.step = b.at
        ORDER BY b.job_id
        RETURNING j.job_id, j.queue_id, j.priority, j.group_key, j.held_by
    ), lanes AS (
        INSERT INTO @extschema@.lane (queue_id, priority)
        SELECT DISTINCT l.queue_id, l.priority
        FROM live AS l
        WHERE NOT EXISTS (SELECT FROM @extschema@.lane AS known
                          WHERE known.queue_id = l.queue_id AND known.priority = l.priority)
    ), hints AS (
        INSERT INTO @extschema@.group_hint (queue_id, due_at, group_key)
        SELECT DISTINCT l.queue_id, v_start_after, l.group_key
        FROM live AS l
        WHERE l.held_by = 'group'
    ), memories AS (
        INSERT INTO @extschema@.run_memory (job_id, step, name, value)
        SELECT b.job_id, s.step, m.name, m.value
        FROM back AS b
        CROSS JOIN LATERAL jsonb_each(b.progress -> 'once') AS s (step, remembered)
        CROSS JOIN LATERAL jsonb_each(s.remembered) AS m (name, value)
        WHERE s.step = COALESCE(from_step, s.step)
    ), signals AS (
        INSERT INTO @extschema@.run_signal (job_id, name, payload)
        SELECT b.job_id, s.signal ->> 'name', s.signal -> 'payload'
        FROM back AS b
        CROSS JOIN LATERAL jsonb_array_elements(b.progress -> 'signals') WITH ORDINALITY AS s (signal, place)
        ORDER BY b.job_id, s.place
    )
    SELECT array_agg(l.job_id), array_agg(DISTINCT l.queue_id) INTO v_revived, v_queue_ids
    FROM live AS l;
    PERFORM @extschema@._wake_workers(v_queue_ids);
    RETURN COALESCE(v_revived, '{}');
END
$$;
COMMENT ON FUNCTION @extschema@._revive_jobs IS
    'Internal: brings finished jobs back to their line with attempts anew, runs to from_step, by default where _resume_at says; returns the ids of those whose unique key was free, and whose step is still known.';
