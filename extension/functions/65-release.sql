-- Release: a worker gives a job back with its result, fenced by the lease token.
-- The order of locks is job, unique_key, running_job; jobs in the order of job_id: the scan that the join
-- of a batch is driven by.

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
    RETURN o.job_id IS NOT NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._finish_job IS
    'Internal: ends a job as complete, dead or cancelled if the lease token holds, and says whether it did. Inherits the settings of its callers, because each SET costs a release.';

-- Writes: deletes from job, inserts into finished_job; what _settle_tails writes.  Locks: the job rows.
CREATE OR REPLACE FUNCTION @extschema@._finish_jobs(
    job_ids bigint[],
    lease_tokens bigint[],
    state text,
    outputs jsonb[],
    errors text[],
    settled_at timestamptz
)
RETURNS bigint[]
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_done bigint[];
    v_tails @extschema@.job_tail[];
BEGIN
    WITH gone AS (
        DELETE FROM @extschema@.job AS j
        USING unnest(job_ids, lease_tokens, outputs, errors) AS g (job_id, lease_token, output, error)
        WHERE j.job_id = ANY (_finish_jobs.job_ids)
          AND j.job_id = g.job_id
          AND (_finish_jobs.lease_tokens IS NULL OR j.lease_token = g.lease_token)
        RETURNING j.job_id, j.start_after, j.added_at, j.picked_at, j.queue_id, j.timeout_milliseconds,
            j.priority, j.attempt, j.max_attempts, j.timeout_with_result, j.group_key, j.unique_key,
            j.worker, j.headers, j.attempts, j.payload, j.held_by, g.output, g.error,
            (SELECT ROW(@extschema@._slot(q.keep_history, q.history_days, q.dead_days, _finish_jobs.state, settled_at),
                        q.has_groups, q.max_concurrency IS NOT NULL)::@extschema@.settle_rule
             FROM @extschema@.queue AS q WHERE q.queue_id = j.queue_id) AS rule
    ), kept AS (
        INSERT INTO @extschema@.finished_job (
            job_id, finished_at, start_after, added_at, picked_at, queue_id, timeout_milliseconds, slot,
            priority, attempt, max_attempts, state, timeout_with_result, group_key, unique_key, worker,
            headers, attempts, error, output, payload)
        SELECT o.job_id, settled_at, o.start_after, o.added_at, o.picked_at, o.queue_id,
            o.timeout_milliseconds, (o.rule).slot, o.priority, o.attempt, o.max_attempts,
            _finish_jobs.state, o.timeout_with_result, o.group_key, o.unique_key, o.worker,
            o.headers, o.attempts, left(o.error, 4000), o.output, o.payload
        FROM gone AS o
        WHERE (o.rule).slot IS NOT NULL
    )
    SELECT array_agg(o.job_id),
           array_agg(ROW(o.job_id, o.queue_id,
                         CASE WHEN (o.rule).has_groups AND o.held_by IS NULL THEN o.group_key END,
                         o.unique_key, (o.rule).is_limited)::@extschema@.job_tail)
               FILTER (WHERE o.unique_key IS NOT NULL OR o.group_key IS NOT NULL OR (o.rule).is_limited)
    INTO v_done, v_tails
    FROM gone AS o;

    IF v_tails IS NOT NULL THEN
        PERFORM @extschema@._settle_tails(v_tails, settled_at);
    END IF;
    RETURN COALESCE(v_done, '{}');
END
$$;
COMMENT ON FUNCTION @extschema@._finish_jobs IS
    'Internal: ends these jobs as complete, dead or cancelled, those whose lease token holds (all, if lease_tokens is null); returns their ids. Inherits the settings of its callers, because each SET costs a release.';

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
                   ELSE @extschema@._retry_pause(q.retry_backoff, q.pause_between_retries_milliseconds,
                       q.max_pause_between_retries_milliseconds, j.attempt) END AS until
        FROM unnest(job_ids, errors) AS g (job_id, error)
        JOIN @extschema@.job AS j ON j.job_id = g.job_id
        JOIN @extschema@.queue AS q ON q.queue_id = j.queue_id
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
                    j.attempt, j.picked_at, settled_at, j.worker, outcome, p.error)) END,
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

-- Writes, locks: as _finish_jobs and _put_back.
CREATE OR REPLACE FUNCTION @extschema@._settle_jobs(
    job_ids bigint[],
    lease_tokens bigint[],
    result text,
    outputs jsonb[],
    errors text[],
    delay_milliseconds bigint,
    retry boolean,
    failed_as text
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
BEGIN
    IF result IN ('complete', 'cancelled') THEN
        IF cardinality(job_ids) = 1 AND lease_tokens IS NOT NULL THEN
            -- An array need not begin at 1.
            RETURN CASE WHEN @extschema@._finish_job(job_ids[array_lower(job_ids, 1)],
                            lease_tokens[array_lower(lease_tokens, 1)], result, outputs[array_lower(outputs, 1)],
                            errors[array_lower(errors, 1)], v_now)
                        THEN job_ids ELSE ARRAY[]::bigint[] END;
        END IF;
        RETURN @extschema@._finish_jobs(job_ids, lease_tokens, result, outputs, errors, v_now);
    END IF;

    WITH held AS (
        SELECT j.job_id, g.error, j.attempt,
               COALESCE(j.max_attempts, (SELECT q.max_attempts FROM @extschema@.queue AS q
                                         WHERE q.queue_id = j.queue_id)) AS max_attempts
        FROM @extschema@.job AS j
        JOIN unnest(job_ids, lease_tokens, errors) AS g (job_id, lease_token, error) ON g.job_id = j.job_id
        WHERE j.job_id = ANY (_settle_jobs.job_ids)
          AND (_settle_jobs.lease_tokens IS NULL OR j.lease_token = g.lease_token)
        FOR UPDATE OF j
    ), ruled AS (
        SELECT h.job_id, h.error, result = 'failed' AND (NOT retry OR h.attempt >= h.max_attempts) AS dies
        FROM held AS h
    )
    SELECT array_agg(r.job_id) FILTER (WHERE r.dies), array_agg(r.error) FILTER (WHERE r.dies),
           array_agg(r.job_id) FILTER (WHERE NOT r.dies), array_agg(r.error) FILTER (WHERE NOT r.dies)
    INTO v_dead, v_dead_errors, v_back, v_back_errors
    FROM ruled AS r;

    IF v_dead IS NOT NULL THEN
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

CREATE OR REPLACE FUNCTION @extschema@._check_release(
    job_ids bigint[],
    lease_tokens bigint[],
    result text,
    outputs jsonb[],
    errors text[],
    delay_milliseconds bigint,
    retry boolean
)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_count integer := cardinality(job_ids);
BEGIN
    PERFORM @extschema@._require(job_ids IS NOT NULL, 'job_ids', NULL);
    IF GREATEST(array_ndims(job_ids), array_ndims(lease_tokens), array_ndims(outputs), array_ndims(errors)) > 1 THEN
        PERFORM @extschema@._require(false, format('%s to have one dimension', a.name), a.dims)
        FROM (VALUES
            ('job_ids', array_ndims(job_ids), array_dims(job_ids)),
            ('lease_tokens', array_ndims(lease_tokens), array_dims(lease_tokens)),
            ('outputs', array_ndims(outputs), array_dims(outputs)),
            ('errors', array_ndims(errors), array_dims(errors))
        ) AS a (name, ndims, dims)
        WHERE a.ndims > 1;
    END IF;
    PERFORM @extschema@._require(array_position(job_ids, NULL) IS NULL, 'every job_id', NULL);
    PERFORM @extschema@._require(lease_tokens IS NULL OR cardinality(lease_tokens) = v_count,
        format('lease_tokens to have %s elements', v_count), cardinality(lease_tokens)::text);
    PERFORM @extschema@._require(outputs IS NULL OR cardinality(outputs) = v_count,
        format('outputs to have %s elements', v_count), cardinality(outputs)::text);
    PERFORM @extschema@._require(errors IS NULL OR cardinality(errors) = v_count,
        format('errors to have %s elements', v_count), cardinality(errors)::text);
    PERFORM @extschema@._require(result IN ('complete', 'failed', 'paused', 'cancelled'),
        'result to be one of complete, failed, paused, cancelled', result);
    PERFORM @extschema@._require(COALESCE(delay_milliseconds BETWEEN 0 AND 31536000000, true),
        'delay_milliseconds to be between 0 and 31536000000', delay_milliseconds::text);
    PERFORM @extschema@._require(delay_milliseconds IS NULL OR result IN ('failed', 'paused'),
        format('no delay_milliseconds with result %s', result), delay_milliseconds::text);
    PERFORM @extschema@._require(retry IS NOT NULL, 'retry', NULL);
    PERFORM @extschema@._require(retry OR result = 'failed',
        format('retry to be true with result %s', result), retry::text);
END
$$;
COMMENT ON FUNCTION @extschema@._check_release IS
    'Internal: raises 22023 or 22004 for arguments of a release that are out of range or do not belong together.';

-- The weaker form: who has no token speaks for whoever holds the lease now.
CREATE OR REPLACE FUNCTION @extschema@._standing_tokens(job_ids bigint[], lease_tokens bigint[])
RETURNS bigint[]
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_tokens bigint[];
    v_idle bigint;
BEGIN
    SELECT array_agg(COALESCE(g.lease_token, j.lease_token) ORDER BY g.place),
           min(g.job_id) FILTER (WHERE g.lease_token IS NULL AND j.lease_token IS NULL)
    INTO v_tokens, v_idle
    FROM unnest(job_ids, lease_tokens) WITH ORDINALITY AS g (job_id, lease_token, place)
    LEFT JOIN @extschema@.job AS j ON j.job_id = g.job_id;
    IF v_idle IS NOT NULL THEN
        PERFORM @extschema@._raise_not_running(v_idle);
    END IF;
    PERFORM @extschema@._check_access(array_agg(DISTINCT q.queue_id), 'worker')
    FROM unnest(job_ids, lease_tokens) AS g (job_id, lease_token)
    JOIN @extschema@.job AS j ON j.job_id = g.job_id
    JOIN @extschema@.queue AS q ON q.queue_id = j.queue_id
    WHERE g.lease_token IS NULL AND q.is_restricted
    HAVING count(*) > 0;
    RETURN v_tokens;
END
$$;
COMMENT ON FUNCTION @extschema@._standing_tokens IS
    'Internal: the lease tokens with those that are missing filled in; raises JQ002 or JQ004 for a job that does not run.';

CREATE OR REPLACE FUNCTION @extschema@._raise_not_running(job_id bigint)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_state text;
BEGIN
    PERFORM @extschema@._check_job_access(job_id, 'worker');
    -- Not by get_job, which asks for the access of an observer.
    SELECT COALESCE(j.finished_as, @extschema@._state(
        j.held_by, j.lease_token, j.lease_until, j.start_after, @extschema@._now())) INTO v_state
    FROM @extschema@.every_job AS j WHERE j.job_id = _raise_not_running.job_id;
    IF NOT FOUND THEN
        PERFORM @extschema@.get_job(job_id);
    END IF;
    RAISE EXCEPTION 'job % is % and not running', job_id, v_state USING ERRCODE = 'JQ004';
END
$$;
COMMENT ON FUNCTION @extschema@._raise_not_running IS
    'Internal: raises JQ004 with the job''s state, JQ002 for an unknown one, 42501 for one of a restricted queue.';

CREATE OR REPLACE FUNCTION @extschema@._lost_leases(job_ids bigint[], done bigint[], skip_lost boolean)
RETURNS bigint[]
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_lost bigint[];
BEGIN
    IF cardinality(done) = cardinality(job_ids) THEN
        RETURN ARRAY[]::bigint[];
    END IF;
    v_lost := ARRAY(SELECT DISTINCT g.job_id FROM unnest(job_ids) AS g (job_id)
                    WHERE g.job_id <> ALL (done) ORDER BY g.job_id);
    IF v_lost <> '{}' AND skip_lost IS NOT TRUE THEN
        RAISE EXCEPTION 'lease of job % lost', v_lost[1]
            USING ERRCODE = 'JQ003',
                  DETAIL = format('Lost: %s. The lease ran out and was settled, or the job was cancelled or picked anew.',
                                  array_to_string(v_lost, ', ')),
                  HINT = 'Roll back: the job is no longer this worker''s.';
    END IF;
    RETURN v_lost;
END
$$;
COMMENT ON FUNCTION @extschema@._lost_leases IS
    'Internal: those of job_ids that are not done; raises JQ003 for them unless skip_lost. Inherits the settings of its callers.';

-- Writes, locks: as _settle_jobs.
CREATE OR REPLACE FUNCTION @extschema@.release_jobs(
    job_ids bigint[],
    lease_tokens bigint[],
    result text,
    outputs jsonb[] DEFAULT NULL,
    errors text[] DEFAULT NULL,
    delay_milliseconds bigint DEFAULT NULL,
    retry boolean DEFAULT true,
    skip_lost boolean DEFAULT false
)
RETURNS bigint[]
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
DECLARE
    v_done bigint[];
BEGIN
    IF (result = 'complete' AND delay_milliseconds IS NULL AND retry
        AND array_ndims(job_ids) = 1 AND array_ndims(lease_tokens) = 1 AND COALESCE(array_ndims(outputs), 1) = 1
        AND cardinality(lease_tokens) = cardinality(job_ids)
        AND COALESCE(cardinality(outputs) = cardinality(job_ids), true) AND errors IS NULL
        AND array_position(job_ids, NULL) IS NULL AND array_position(lease_tokens, NULL) IS NULL) IS NOT TRUE THEN
        PERFORM @extschema@._check_release(
            job_ids, lease_tokens, result, outputs, errors, delay_milliseconds, retry);
        IF lease_tokens IS NULL OR array_position(lease_tokens, NULL) IS NOT NULL THEN
            lease_tokens := @extschema@._standing_tokens(job_ids, lease_tokens);
        END IF;
    END IF;
    v_done := @extschema@._settle_jobs(job_ids, lease_tokens, result, outputs, errors,
        delay_milliseconds, retry, 'failed');
    RETURN @extschema@._lost_leases(job_ids, v_done, skip_lost);
END
$$;
COMMENT ON FUNCTION @extschema@.release_jobs IS
$$Releases running jobs with one result: complete, failed, paused or cancelled. Arrays have one element for each job.
outputs: json that is kept as the jobs' output (complete). errors: what went wrong (failed, cancelled); the first 4000 characters are kept.
delay_milliseconds (0 to 31536000000): with failed, the pause before the next attempt instead of the queue's backoff; with paused, how long not to be picked. retry => false with failed makes the jobs dead at once.
Returns the ids of jobs whose lease was lost (none: an empty array) with skip_lost => true; else a lost lease raises JQ003 and nothing is released.
A null lease token, or null for all, releases a job whoever runs it: weaker, because a worker that was timed out could end the work of the one after it. Errors: 22004, 22023; JQ002, JQ004 where there is no token.$$;

-- Writes, locks: as _settle_jobs.
CREATE OR REPLACE FUNCTION @extschema@.release_job(
    job_id bigint,
    result text,
    lease_token bigint DEFAULT NULL,
    output jsonb DEFAULT NULL,
    error text DEFAULT NULL,
    delay_milliseconds bigint DEFAULT NULL,
    retry boolean DEFAULT true
)
RETURNS text
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
DECLARE
    v_tokens bigint[];
    v_done bigint[];
    v_state text;
BEGIN
    -- The plain case first: see pick_jobs on what an expression costs.
    IF result = 'complete' AND delay_milliseconds IS NULL AND retry AND lease_token IS NOT NULL
       AND @extschema@._finish_job(job_id, lease_token, result, output, error, @extschema@._now()) THEN
        RETURN result;
    END IF;
    v_tokens := ARRAY[lease_token];
    PERFORM @extschema@._check_release(ARRAY[job_id], v_tokens, result, NULL, NULL, delay_milliseconds, retry);
    IF lease_token IS NULL THEN
        v_tokens := @extschema@._standing_tokens(ARRAY[job_id], v_tokens);
    END IF;
    v_done := @extschema@._settle_jobs(ARRAY[job_id], v_tokens, result, ARRAY[output], ARRAY[error],
        delay_milliseconds, retry, 'failed');
    PERFORM @extschema@._lost_leases(ARRAY[job_id], v_done, false);
    IF result IN ('complete', 'cancelled') THEN
        RETURN result;
    END IF;
    SELECT @extschema@._state(j.held_by, j.lease_token, j.lease_until, j.start_after, @extschema@._now())
    INTO v_state
    FROM @extschema@.job AS j WHERE j.job_id = release_job.job_id;
    RETURN COALESCE(v_state, 'dead');
END
$$;
COMMENT ON FUNCTION @extschema@.release_job IS
$$Releases a running job with a result: complete (output is kept), failed (error is kept; the job backs off, or is dead after its last attempt or with retry => false), paused (back to the line, after delay_milliseconds, no attempt used) or cancelled. Returns the job's new state: complete, scheduled, ready, held, dead or cancelled. Options: see release_jobs.
Errors: JQ003 when the lease token no longer holds the job. Without a lease_token: whoever runs the job; JQ002 and JQ004 when nobody does.$$;

-- Writes, locks: as release_jobs, then as pick_jobs.
CREATE OR REPLACE FUNCTION @extschema@.release_and_pick(
    job_ids bigint[],
    lease_tokens bigint[],
    result text,
    queue_names text[],
    max_jobs integer DEFAULT 1,
    worker text DEFAULT NULL,
    timeout_milliseconds integer DEFAULT NULL,
    outputs jsonb[] DEFAULT NULL,
    errors text[] DEFAULT NULL,
    delay_milliseconds bigint DEFAULT NULL,
    retry boolean DEFAULT true,
    ignore_max_concurrency boolean DEFAULT false
)
RETURNS SETOF @extschema@.picked_job
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@.release_jobs(job_ids, lease_tokens, result, outputs, errors,
        delay_milliseconds, retry, false);
    RETURN QUERY
    SELECT p.job_id, p.queue_name, p.lease_token, p.lease_until, p.attempt, p.max_attempts, p.payload,
           p.headers, p.priority, p.group_key, p.start_after, p.added_at, p.timeout_milliseconds
    FROM @extschema@.pick_jobs(queue_names, max_jobs, worker, timeout_milliseconds, true,
                               ignore_max_concurrency) AS p;
END
$$;
COMMENT ON FUNCTION @extschema@.release_and_pick IS
    'Releases the last jobs as release_jobs does and picks the next as pick_jobs does, in one call and one commit. A lost lease raises JQ003, and nothing is released or picked.';
