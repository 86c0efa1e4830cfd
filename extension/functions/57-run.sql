-- Runs: jobs that stand at a step of a workflow, and what they carry with them from step to step.

CREATE OR REPLACE FUNCTION @extschema@._own_settings(
    max_attempts integer,
    timeout_milliseconds integer,
    timeout_with_result text
)
RETURNS jsonb
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN CASE WHEN max_attempts IS NOT NULL OR timeout_milliseconds IS NOT NULL OR timeout_with_result IS NOT NULL THEN
    pg_catalog.jsonb_build_object('own', pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
        'max_attempts', max_attempts, 'timeout_milliseconds', timeout_milliseconds,
        'timeout_with_result', timeout_with_result))) END;
COMMENT ON FUNCTION @extschema@._own_settings IS
    'Internal: the progress of a run that begins with settings of its own, for the steps that have none. Without a search_path of its own, so that it is inlined.';

CREATE OR REPLACE FUNCTION @extschema@._has_begun(
    queue_id integer,
    workflow text,
    version integer,
    step text,
    held_by text
)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN held_by IN ('children', 'signal') IS TRUE OR NOT EXISTS (
        SELECT FROM @extschema@.workflow_step AS s
        WHERE s.queue_id = _has_begun.queue_id AND s.workflow = _has_begun.workflow
          AND s.version = _has_begun.version AND s.step = _has_begun.step AND s.place = 1);
END
$$;
COMMENT ON FUNCTION @extschema@._has_begun IS
    'Internal: whether a run that stands here is past its first step, so that it cannot become another.';

CREATE OR REPLACE FUNCTION @extschema@._with_output(progress jsonb, step text, output jsonb, compensates boolean)
RETURNS jsonb
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN progress IS NULL AND output IS NULL AND NOT compensates THEN NULL ELSE
    (COALESCE(progress, '{}') - ARRAY['children', 'signal', 'outputs'])
    || jsonb_build_object('outputs', (COALESCE(progress -> 'outputs', '{}') - step)
                                     || CASE WHEN output IS NULL THEN '{}' ELSE jsonb_build_object(step, output) END)
    || CASE WHEN compensates THEN jsonb_build_object(
           'to_compensate', jsonb_build_array(step) || (COALESCE(progress -> 'to_compensate', '[]') - step)) ELSE '{}' END
    END;
COMMENT ON FUNCTION @extschema@._with_output IS
    'Internal: the progress of a run after a step; the steps to compensate stand in the order in which that is to be done.';

-- Writes: job.  Locks: the job rows.
CREATE OR REPLACE FUNCTION @extschema@._move_runs(moves @extschema@.run_move[], moved_at timestamptz)
RETURNS @extschema@.finished_step[]
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_job_ids bigint[] := ARRAY(SELECT m.job_id FROM unnest(moves) AS m);
    v_moved @extschema@.finished_step[];
    v_tails @extschema@.job_tail[];
    v_ready integer[];
BEGIN
    WITH moved AS (
        UPDATE @extschema@.job AS j SET
            (step, max_attempts, timeout_milliseconds, timeout_with_result) = (
                SELECT m.step, COALESCE(max(s.max_attempts), (m.progress #>> '{own,max_attempts}')::integer),
                       COALESCE(max(s.timeout_milliseconds), (m.progress #>> '{own,timeout_milliseconds}')::integer),
                       COALESCE(max(s.timeout_with_result), m.progress #>> '{own,timeout_with_result}')
                FROM @extschema@.workflow_step AS s
                WHERE s.queue_id = j.queue_id AND s.workflow = j.workflow AND s.version = j.workflow_version
                  AND s.step = m.step),
            start_after = m.start_after,
            lease_until = NULL,
            lease_token = NULL,
            picked_at = NULL,
            worker = NULL,
            attempt = 0,
            attempts = CASE WHEN m.outcome IS NULL THEN j.attempts
                ELSE @extschema@._with_attempt(j.attempts, @extschema@._attempt(
                    j.attempt, j.picked_at, moved_at, j.worker, m.outcome, m.error, j.step)) END,
            -- In a strict line a run that has its turn keeps it from step to step.
            held_by = COALESCE(m.held_by, CASE
                WHEN j.group_key IS NOT NULL AND (
                    SELECT q.max_concurrency_per_group IS NOT NULL
                           AND (q.group_order = 'loose' OR j.held_by IS NOT NULL)
                    FROM @extschema@.queue AS q
                    WHERE q.queue_id = j.queue_id) THEN 'group' END),
            progress = m.progress
        FROM unnest(moves) AS m
        WHERE j.job_id = ANY (v_job_ids) AND j.job_id = m.job_id
          AND (m.lease_token IS NULL OR j.lease_token = m.lease_token)
        RETURNING j.job_id, j.queue_id, j.group_key, j.held_by, j.start_after,
            m.lease_token,
            (SELECT ROW(NULL, q.has_groups, q.max_concurrency IS NOT NULL)::@extschema@.settle_rule
             FROM @extschema@.queue AS q WHERE q.queue_id = j.queue_id) AS rule
    ), hinted AS (
        INSERT INTO @extschema@.group_hint (queue_id, group_key, due_at)
        SELECT m.queue_id, m.group_key, m.start_after
        FROM moved AS m
        WHERE m.held_by = 'group'
    )
    SELECT array_agg(ROW(m.job_id, m.lease_token, @extschema@._state(m.held_by, NULL, NULL, m.start_after, moved_at)
                        )::@extschema@.finished_step),
           array_agg(DISTINCT m.queue_id) FILTER (WHERE m.held_by IS NULL),
           array_agg(ROW(m.job_id, m.queue_id, CASE WHEN (m.rule).has_groups THEN m.group_key END, NULL,
                         (m.rule).is_limited)::@extschema@.job_tail)
               FILTER (WHERE (m.rule).is_limited OR m.group_key IS NOT NULL)
    INTO v_moved, v_ready, v_tails
    FROM moved AS m;

    IF v_tails IS NOT NULL THEN
        PERFORM @extschema@._settle_tails(v_tails, moved_at);
    END IF;
    IF v_ready IS NOT NULL THEN
        PERFORM @extschema@._wake_workers(v_ready, (SELECT min(m.start_after) FROM unnest(moves) AS m WHERE m.held_by IS NULL));
    END IF;
    RETURN COALESCE(v_moved, '{}');
END
$$;
COMMENT ON FUNCTION @extschema@._move_runs IS
    'Internal: has these runs, those whose lease token holds (any, if it is null), come to other steps; returns their states.';

-- Volatile: the end of a run may have waited for a transaction that remembered something.
CREATE OR REPLACE FUNCTION @extschema@._last_progress(job_id bigint, step text, progress jsonb, output jsonb, state text)
RETURNS jsonb
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
BEGIN
    IF state = 'complete' THEN
        RETURN @extschema@._with_output(progress, step, output, false);
    END IF;
    RETURN NULLIF(COALESCE(progress, '{}') || jsonb_strip_nulls(jsonb_build_object(
        'once', (
            SELECT jsonb_object_agg(s.step, s.remembered)
            FROM (SELECT m.step, jsonb_object_agg(m.name, m.value) AS remembered
                  FROM @extschema@.run_memory AS m WHERE m.job_id = _last_progress.job_id GROUP BY m.step) AS s),
        'signals', (
            SELECT jsonb_agg(jsonb_build_object('name', s.name, 'payload', s.payload) ORDER BY s.signal_id)
            FROM @extschema@.run_signal AS s WHERE s.job_id = _last_progress.job_id))), '{}');
END
$$;
COMMENT ON FUNCTION @extschema@._last_progress IS
    'Internal: what is kept of a run that ends: with the output of its last step, or with all that it needs to go on.';

-- Writes: deletes from run_wait, child_result, run_signal, run_memory; as _cancel_children.
-- Locks: these rows; the caller has deleted the jobs.
CREATE OR REPLACE FUNCTION @extschema@._forget_runs(job_ids bigint[], forgotten_at timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_child_ids bigint[];
BEGIN
    WITH waits AS (
        DELETE FROM @extschema@.run_wait AS w WHERE w.job_id = ANY (job_ids)
        RETURNING w.child_ids
    ), results AS (
        DELETE FROM @extschema@.child_result AS c WHERE c.parent_job_id = ANY (job_ids)
    ), signals AS (
        DELETE FROM @extschema@.run_signal AS s WHERE s.job_id = ANY (job_ids)
    ), memories AS (
        DELETE FROM @extschema@.run_memory AS m WHERE m.job_id = ANY (job_ids)
    )
    SELECT array_agg(i.child_id) INTO v_child_ids
    FROM waits AS w
    CROSS JOIN LATERAL unnest(w.child_ids) AS i (child_id);
    IF v_child_ids IS NOT NULL THEN
        PERFORM @extschema@._cancel_children(v_child_ids, forgotten_at);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._forget_runs IS
    'Internal: clears away what runs that have ended leave behind, and cancels their children that wait.';

-- A signal, a child's end or a memory may be committed just after its run has ended.
-- Writes: deletes from child_result, run_signal, run_memory.
CREATE OR REPLACE FUNCTION @extschema@._forget_strays()
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM @extschema@.child_result AS c
    WHERE NOT EXISTS (SELECT FROM @extschema@.run_wait AS w WHERE w.job_id = c.parent_job_id);
    DELETE FROM @extschema@.run_signal AS s
    WHERE NOT EXISTS (SELECT FROM @extschema@.job AS j WHERE j.job_id = s.job_id);
    DELETE FROM @extschema@.run_memory AS m
    WHERE NOT EXISTS (SELECT FROM @extschema@.job AS j WHERE j.job_id = m.job_id);
END
$$;
COMMENT ON FUNCTION @extschema@._forget_strays IS
    'Internal: deletes what came for runs that had just ended.';

CREATE OR REPLACE FUNCTION @extschema@._step_content(job_id bigint)
RETURNS jsonb
LANGUAGE plpgsql
VOLATILE
AS $$
BEGIN
    RETURN (SELECT to_jsonb(s) - ARRAY['job_id', 'attempt'] FROM @extschema@._states_of(ARRAY[job_id]) AS s);
END
$$;
COMMENT ON FUNCTION @extschema@._step_content IS
    'Internal: what a request tells of the step at which a run stands. Inherits the settings of pick_requests.';

CREATE OR REPLACE FUNCTION @extschema@._states_of(job_ids bigint[])
RETURNS SETOF @extschema@.step_state
LANGUAGE plpgsql
VOLATILE
ROWS 100
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN QUERY
    SELECT j.job_id, COALESCE(j.progress -> 'outputs', '{}'), j.progress -> 'children', j.progress -> 'signal',
           COALESCE((SELECT jsonb_object_agg(m.name, m.value) FROM @extschema@.run_memory AS m
                     WHERE m.job_id = j.job_id AND m.step = j.step), '{}'),
           j.progress ->> 'failure', j.attempt::integer
    FROM @extschema@.job AS j
    WHERE j.job_id = ANY (job_ids) AND j.workflow IS NOT NULL
    ORDER BY array_position(job_ids, j.job_id);
END
$$;
COMMENT ON FUNCTION @extschema@._states_of IS
    'Internal: get_steps, whoever asks.';

-- Volatile, so that it may stand in one statement with the pick and sees what that has done.
CREATE OR REPLACE FUNCTION @extschema@.get_steps(job_ids bigint[])
RETURNS SETOF @extschema@.step_state
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
ROWS 100
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
BEGIN
    PERFORM @extschema@._require(job_ids IS NOT NULL, 'job_ids', NULL);
    PERFORM @extschema@._require(COALESCE(array_ndims(job_ids), 1) = 1,
        'job_ids to have one dimension', array_dims(job_ids));
    PERFORM @extschema@._check_access(array_agg(DISTINCT j.queue_id), 'worker')
    FROM @extschema@.job AS j
    JOIN @extschema@.queue AS q ON q.queue_id = j.queue_id
    WHERE j.job_id = ANY (job_ids) AND q.is_restricted
    HAVING count(*) > 0;
    RETURN QUERY
    SELECT s.job_id, s.outputs, s.children, s.signal, s.once, s.failure, s.attempt
    FROM @extschema@._states_of(job_ids) AS s;
END
$$;
COMMENT ON FUNCTION @extschema@.get_steps IS
    'Returns what the steps at which these runs stand may know, in the order of job_ids; a job that is no run, or is finished, gives no row. A worker calls it once for all runs of a pick.';
