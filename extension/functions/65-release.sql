-- Release: a worker gives a job back with its result, fenced by the lease token.

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
    v_steps @extschema@.finished_step[];
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
    IF result = 'complete' THEN
        v_steps := @extschema@._finish_steps(ARRAY[job_id], v_tokens, ARRAY[output], NULL, @extschema@._now());
        IF v_steps <> '{}' THEN
            RETURN v_steps[1].state;
        END IF;
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
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
BEGIN
    -- The plain case first: see pick_jobs on what an expression costs.
    IF (result = 'complete' AND delay_milliseconds IS NULL AND retry
        AND array_upper(job_ids, 1) = 1 AND array_lower(job_ids, 1) = 1
        AND @extschema@._finish_job(job_ids[1], lease_tokens[1], result, outputs[1], errors[1],
            @extschema@._now())) IS NOT TRUE THEN
        PERFORM @extschema@.release_jobs(job_ids, lease_tokens, result, outputs, errors,
            delay_milliseconds, retry, false);
    END IF;
    -- include parts/pick.sql
END
$$;
COMMENT ON FUNCTION @extschema@.release_and_pick IS
    'Releases the last jobs as release_jobs does and picks the next as pick_jobs does, in one call and one commit. A lost lease raises JQ003, and nothing is released or picked.';
