-- Settling: what becomes of jobs that end or go back to their line, whoever has decided it: a release, a time-out
-- or a cancel. The order of locks is job, unique_key, running_job; jobs in the order of job_id: the scan that the
-- join of a batch is driven by.

-- Writes: running_job, unique_key, group_hint.  Locks: rows of unique_key in the order of keys.
CREATE OR REPLACE FUNCTION @extschema@._settle_tails(tails @extschema@.job_tail[], settled_at timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_has_keys boolean;
    v_has_groups boolean;
    v_limited bigint[];
    v_queue_ids integer[];
BEGIN
    SELECT bool_or(t.unique_key IS NOT NULL), bool_or(t.group_key IS NOT NULL),
           array_agg(t.job_id) FILTER (WHERE t.is_limited),
           array_agg(DISTINCT t.queue_id) FILTER (WHERE t.is_limited OR t.group_key IS NOT NULL)
    INTO v_has_keys, v_has_groups, v_limited, v_queue_ids
    FROM unnest(tails) AS t;

    IF v_has_keys THEN
        PERFORM @extschema@._free_keys(tails, settled_at);
    END IF;
    IF v_limited IS NOT NULL THEN
        DELETE FROM @extschema@.running_job AS r WHERE r.job_id = ANY (v_limited);
    END IF;
    IF v_has_groups THEN
        INSERT INTO @extschema@.group_hint (queue_id, group_key, due_at)
        SELECT DISTINCT t.queue_id, t.group_key, settled_at
        FROM unnest(tails) AS t
        WHERE t.group_key IS NOT NULL;
    END IF;
    IF v_queue_ids IS NOT NULL THEN
        PERFORM @extschema@._wake_workers(v_queue_ids);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._settle_tails IS
    'Internal: frees what released jobs held beside their row: keys, places under max_concurrency, turns of groups.';

-- Writes: deletes from job, inserts into finished_job; what _settle_tails writes.  Locks: the job row.
-- The same as _finish_jobs, in two plain statements, which cost a single release less than one large one.
CREATE OR REPLACE FUNCTION @extschema@._finish_job(
    job_id bigint,
    lease_token bigint,
    state text,
    output jsonb,
    error text,
    settled_at timestamptz
)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    o record;
BEGIN
    DELETE FROM @extschema@.job AS j
    WHERE j.job_id = _finish_job.job_id AND j.lease_token = _finish_job.lease_token
      AND j.workflow IS NULL AND j.parent_job_id IS NULL
    RETURNING j.job_id, j.start_after, j.added_at, j.picked_at, j.queue_id, j.timeout_milliseconds,
        j.priority, j.attempt, j.max_attempts, j.timeout_with_result, j.group_key, j.unique_key,
        j.worker, j.headers, j.attempts, j.payload,
        (SELECT ROW(@extschema@._slot(q.keep_history, q.history_days, q.dead_days, _finish_job.state, settled_at),
                    q.has_groups, q.max_concurrency IS NOT NULL)::@extschema@.settle_rule
         FROM @extschema@.queue AS q WHERE q.queue_id = j.queue_id) AS rule
    INTO o;
    IF (o.rule).slot IS NOT NULL THEN
        INSERT INTO @extschema@.finished_job (
            job_id, finished_at, start_after, added_at, picked_at, queue_id, timeout_milliseconds, slot,
            priority, attempt, max_attempts, state, timeout_with_result, group_key, unique_key, worker,
            headers, attempts, error, output, payload)
        VALUES (o.job_id, settled_at, o.start_after, o.added_at, o.picked_at, o.queue_id,
            o.timeout_milliseconds, (o.rule).slot, o.priority, o.attempt, o.max_attempts,
            _finish_job.state, o.timeout_with_result, o.group_key, o.unique_key, o.worker,
            o.headers, o.attempts, left(_finish_job.error, 4000), _finish_job.output, o.payload);
    END IF;
    IF o.unique_key IS NOT NULL OR o.group_key IS NOT NULL OR (o.rule).is_limited THEN
        PERFORM @extschema@._settle_tails(ARRAY[
            ROW(o.job_id, o.queue_id, CASE WHEN (o.rule).has_groups THEN o.group_key END,
                o.unique_key, (o.rule).is_limited)::@extschema@.job_tail], settled_at);
    END IF;
    -- As the DELETE has left it, or what came after it, which always finds something.
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION @extschema@._finish_job IS
    'Internal: ends a job as complete or cancelled if the lease token holds, and says whether it did; a run, or the child of one, is left to _finish_jobs. Inherits the settings of its callers, because each SET costs a release.';

-- Writes: deletes from job, inserts into finished_job; what _settle_tails writes.  Locks: the job rows.
CREATE OR REPLACE FUNCTION @extschema@._finish_jobs(
    job_ids bigint[],
    lease_tokens bigint[],
    state text,
    outputs jsonb[],
    errors text[],
    settled_at timestamptz,
    with_runs boolean DEFAULT true
)
RETURNS bigint[]
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_first record;
    v_done bigint[];
    v_tails @extschema@.job_tail[];
    v_runs bigint[];
    v_results @extschema@.child_result[];
BEGIN
    -- Most batches are of one queue: what its settings mean is found out once.
    SELECT q.queue_id,
           ROW(@extschema@._slot(q.keep_history, q.history_days, q.dead_days, state, settled_at),
               q.has_groups, q.max_concurrency IS NOT NULL)::@extschema@.settle_rule AS rule
    INTO v_first
    FROM @extschema@.queue AS q
    WHERE q.queue_id = (SELECT j.queue_id FROM @extschema@.job AS j
                        WHERE j.job_id = job_ids[array_lower(job_ids, 1)]);

    WITH gone AS (
        DELETE FROM @extschema@.job AS j
        USING unnest(job_ids, lease_tokens, outputs, errors) AS g (job_id, lease_token, output, error)
        WHERE j.job_id = ANY (_finish_jobs.job_ids)
          AND j.job_id = g.job_id
          AND (_finish_jobs.lease_tokens IS NULL OR j.lease_token = g.lease_token)
          AND (with_runs OR j.workflow IS NULL)
        RETURNING j.job_id, j.start_after, j.added_at, j.picked_at, j.queue_id, j.timeout_milliseconds,
            j.priority, j.attempt, j.max_attempts, j.timeout_with_result, j.group_key, j.unique_key,
            j.worker, j.headers, j.attempts, j.payload, j.held_by, g.output, g.error,
            j.parent_job_id, j.workflow, j.workflow_version, j.step, j.progress,
            CASE WHEN j.queue_id = v_first.queue_id THEN v_first.rule ELSE (
                SELECT ROW(@extschema@._slot(q.keep_history, q.history_days, q.dead_days, _finish_jobs.state, settled_at),
                           q.has_groups, q.max_concurrency IS NOT NULL)::@extschema@.settle_rule
                FROM @extschema@.queue AS q WHERE q.queue_id = j.queue_id) END AS rule
    ), kept AS (
        INSERT INTO @extschema@.finished_job (
            job_id, finished_at, start_after, added_at, picked_at, queue_id, timeout_milliseconds, slot,
            priority, attempt, max_attempts, state, timeout_with_result, group_key, unique_key, worker,
            headers, attempts, error, output, payload, parent_job_id, workflow, workflow_version, step, progress)
        SELECT o.job_id, settled_at, o.start_after, o.added_at, o.picked_at, o.queue_id,
            o.timeout_milliseconds, (o.rule).slot, o.priority, o.attempt, o.max_attempts,
            _finish_jobs.state, o.timeout_with_result, o.group_key, o.unique_key, o.worker,
            o.headers, o.attempts, left(o.error, 4000), o.output, o.payload, o.parent_job_id, o.workflow,
            o.workflow_version,
            CASE WHEN o.held_by IN ('children', 'signal') THEN o.progress ->> 'waits_since' ELSE o.step END,
            CASE WHEN o.workflow IS NOT NULL THEN @extschema@._last_progress(
                o.job_id, o.step, o.progress, o.output, _finish_jobs.state) END
        FROM gone AS o
        WHERE (o.rule).slot IS NOT NULL
    )
    SELECT array_agg(o.job_id),
           array_agg(ROW(o.job_id, o.queue_id,
                         CASE WHEN (o.rule).has_groups AND o.held_by IS NULL THEN o.group_key END,
                         o.unique_key, (o.rule).is_limited)::@extschema@.job_tail)
               FILTER (WHERE o.unique_key IS NOT NULL OR o.group_key IS NOT NULL OR (o.rule).is_limited),
           array_agg(o.job_id) FILTER (WHERE o.workflow IS NOT NULL),
           array_agg(ROW(o.parent_job_id, o.job_id, _finish_jobs.state, o.error, o.output)::@extschema@.child_result)
               FILTER (WHERE o.parent_job_id IS NOT NULL)
    INTO v_done, v_tails, v_runs, v_results
    FROM gone AS o;

    IF v_tails IS NOT NULL THEN
        PERFORM @extschema@._settle_tails(v_tails, settled_at);
    END IF;
    IF v_runs IS NOT NULL THEN
        PERFORM @extschema@._forget_runs(v_runs, settled_at);
    END IF;
    IF v_results IS NOT NULL THEN
        PERFORM @extschema@._report_children(v_results, settled_at);
    END IF;
    RETURN COALESCE(v_done, '{}');
END
$$;
COMMENT ON FUNCTION @extschema@._finish_jobs IS
    'Internal: ends these jobs as complete, dead or cancelled, those whose lease token holds (all, if lease_tokens is null), and no runs unless with_runs; returns their ids. Inherits the settings of its callers, because each SET costs a release.';

-- Writes: job (back to its line), what _settle_tails writes.  Locks: the job rows.
CREATE OR REPLACE FUNCTION @extschema@._put_back(
    job_ids bigint[],
    errors text[],
    outcome text,
    delay_milliseconds bigint,
    settled_at timestamptz
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_tails @extschema@.job_tail[];
BEGIN
    WITH pause AS MATERIALIZED (
        SELECT g.job_id, g.error, q.max_concurrency IS NOT NULL AS is_limited,
               -- A strict group keeps its turn, unless its limit was lowered meanwhile.
               q.max_concurrency_per_group IS NOT NULL AND (q.group_order = 'loose' OR (
                   SELECT count(*) FROM (
                       SELECT FROM @extschema@.job AS in_line
                       WHERE in_line.queue_id = j.queue_id AND in_line.group_key = j.group_key
                         AND in_line.held_by IS NULL
                       LIMIT q.max_concurrency_per_group + 1) AS counted
                   ) > q.max_concurrency_per_group) AS gives_turn_back,
               settled_at + CASE
                   WHEN delay_milliseconds IS NOT NULL THEN delay_milliseconds * interval '1 millisecond'
                   WHEN outcome = 'paused' THEN interval '0'
                   ELSE @extschema@._retry_pause(
                       COALESCE(s.retry_backoff, q.retry_backoff),
                       COALESCE(s.pause_between_retries_milliseconds, q.pause_between_retries_milliseconds),
                       COALESCE(s.max_pause_between_retries_milliseconds, q.max_pause_between_retries_milliseconds),
                       j.attempt) END AS until
        FROM unnest(job_ids, errors) AS g (job_id, error)
        JOIN @extschema@.job AS j ON j.job_id = g.job_id
        JOIN @extschema@.queue AS q ON q.queue_id = j.queue_id
        -- OFFSET 0 keeps it a look for each run, so that not all workflows are read.
        LEFT JOIN LATERAL (
            SELECT at.retry_backoff, at.pause_between_retries_milliseconds, at.max_pause_between_retries_milliseconds
            FROM @extschema@.workflow_step AS at
            WHERE at.queue_id = j.queue_id AND at.workflow = j.workflow AND at.version = j.workflow_version
              AND at.step = j.step
            OFFSET 0) AS s ON j.workflow IS NOT NULL
        WHERE j.job_id = ANY (_put_back.job_ids)
    ), back AS (
        UPDATE @extschema@.job AS j SET
            start_after = p.until,
            lease_until = NULL,
            lease_token = NULL,
            picked_at = NULL,
            worker = NULL,
            attempt = CASE outcome WHEN 'paused' THEN j.attempt - 1 ELSE j.attempt END,
            attempts = CASE outcome WHEN 'paused' THEN j.attempts
                ELSE @extschema@._with_attempt(j.attempts, @extschema@._attempt(
                    j.attempt, j.picked_at, settled_at, j.worker, outcome, p.error, j.step)) END,
            held_by = CASE WHEN p.gives_turn_back AND j.group_key IS NOT NULL THEN 'group' END
        FROM pause AS p
        WHERE j.job_id = ANY (_put_back.job_ids) AND j.job_id = p.job_id
        RETURNING j.job_id, j.queue_id, j.group_key, j.held_by, p.is_limited, p.until
    ), hinted AS (
        INSERT INTO @extschema@.group_hint (queue_id, group_key, due_at)
        SELECT b.queue_id, b.group_key, b.until
        FROM back AS b
        WHERE b.held_by = 'group'
    )
    SELECT array_agg(ROW(b.job_id, b.queue_id, CASE WHEN b.held_by = 'group' THEN b.group_key END,
                         NULL, b.is_limited)::@extschema@.job_tail)
               FILTER (WHERE b.is_limited OR b.held_by = 'group')
    INTO v_tails
    FROM back AS b;

    IF v_tails IS NOT NULL THEN
        PERFORM @extschema@._settle_tails(v_tails, settled_at);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._put_back IS
    'Internal: puts these jobs, which the caller has locked, back to their line: outcome paused gives the attempt back, others record it.';

-- Writes, locks: as _finish_jobs, _finish_steps, _let_die and _put_back.
CREATE OR REPLACE FUNCTION @extschema@._settle_jobs(
    job_ids bigint[],
    lease_tokens bigint[],
    result text,
    outputs jsonb[],
    errors text[],
    delay_milliseconds bigint,
    retry boolean,
    failed_as text,
    nexts jsonb[] DEFAULT NULL
)
RETURNS bigint[]
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_dead bigint[];
    v_dead_errors text[];
    v_back bigint[];
    v_back_errors text[];
    v_done bigint[];
    v_is_undone boolean;
BEGIN
    IF result IN ('complete', 'cancelled') THEN
        -- An array need not begin at 1.
        IF cardinality(job_ids) = 1 AND lease_tokens IS NOT NULL
           AND @extschema@._finish_job(job_ids[array_lower(job_ids, 1)], lease_tokens[array_lower(lease_tokens, 1)],
                   result, outputs[array_lower(outputs, 1)], errors[array_lower(errors, 1)], v_now) THEN
            RETURN job_ids;
        END IF;
        v_done := @extschema@._finish_jobs(
            job_ids, lease_tokens, result, outputs, errors, v_now, with_runs => result = 'cancelled');
        IF result = 'complete' AND cardinality(v_done) < cardinality(job_ids) THEN
            v_done := v_done || ARRAY(
                SELECT f.job_id
                FROM unnest(@extschema@._finish_steps(job_ids, lease_tokens, outputs, nexts, v_now)) AS f);
        END IF;
        RETURN v_done;
    END IF;

    WITH held AS (
        SELECT j.job_id, g.error, j.attempt, j.progress,
               COALESCE(j.max_attempts, (SELECT q.max_attempts FROM @extschema@.queue AS q
                                         WHERE q.queue_id = j.queue_id)) AS max_attempts
        FROM @extschema@.job AS j
        JOIN unnest(job_ids, lease_tokens, errors) AS g (job_id, lease_token, error) ON g.job_id = j.job_id
        WHERE j.job_id = ANY (_settle_jobs.job_ids)
          AND (_settle_jobs.lease_tokens IS NULL OR j.lease_token = g.lease_token)
        FOR UPDATE OF j
    ), ruled AS (
        SELECT h.job_id, h.error, h.progress ?| '{to_compensate,failure}' AS is_undone, result = 'failed' AND (NOT retry OR h.attempt >= h.max_attempts) AS dies
        FROM held AS h
    )
    SELECT array_agg(r.job_id) FILTER (WHERE r.dies), array_agg(r.error) FILTER (WHERE r.dies),
           array_agg(r.job_id) FILTER (WHERE NOT r.dies), array_agg(r.error) FILTER (WHERE NOT r.dies),
           bool_or(r.is_undone)
    INTO v_dead, v_dead_errors, v_back, v_back_errors, v_is_undone
    FROM ruled AS r;

    IF v_dead IS NOT NULL AND v_is_undone THEN
        PERFORM @extschema@._let_die(v_dead, v_dead_errors, failed_as, v_now);
    ELSIF v_dead IS NOT NULL THEN
        PERFORM @extschema@._finish_jobs(v_dead, NULL, 'dead', NULL, v_dead_errors, v_now);
    END IF;
    IF v_back IS NOT NULL THEN
        PERFORM @extschema@._put_back(v_back, v_back_errors,
            CASE result WHEN 'failed' THEN failed_as ELSE result END, delay_milliseconds, v_now);
    END IF;
    RETURN COALESCE(v_dead || v_back, v_dead, v_back, '{}');
END
$$;
COMMENT ON FUNCTION @extschema@._settle_jobs IS
    'Internal: releases these jobs with one result and returns the ids of those whose lease token held (all, if lease_tokens is null). Inherits the settings of its callers.';
