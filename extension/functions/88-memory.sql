-- Memory: what an attempt of a step has done already, for the attempt after it.

-- Writes: run_memory.  Locks: the job row FOR KEY SHARE: it stays leased until the transaction ends, and can be kept alive.
CREATE OR REPLACE FUNCTION @extschema@.remember(job_id bigint, lease_token bigint, name text, value jsonb)
RETURNS jsonb
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
AS $$
DECLARE
    v_run record;
    v_value jsonb;
BEGIN
    PERFORM @extschema@._require(job_id IS NOT NULL, 'job_id', NULL);
    PERFORM @extschema@._require(lease_token IS NOT NULL, 'lease_token', NULL);
    PERFORM @extschema@._require(octet_length(name) BETWEEN 1 AND 200, 'name to be 1 to 200 bytes long', name);
    SELECT j.step, q.max_payload_bytes INTO v_run
    FROM @extschema@.job AS j
    JOIN @extschema@.queue AS q ON q.queue_id = j.queue_id
    WHERE j.job_id = remember.job_id AND j.lease_token = remember.lease_token
    FOR KEY SHARE OF j;
    IF v_run.step IS NULL THEN
        PERFORM @extschema@._require_runs(ARRAY[job_id], ARRAY[lease_token]);
        PERFORM @extschema@._lost_leases(ARRAY[job_id], '{}', false);
    END IF;
    PERFORM @extschema@._check_size('value', pg_column_size(value), v_run.max_payload_bytes);
    INSERT INTO @extschema@.run_memory AS m (job_id, step, name, value)
    VALUES (remember.job_id, v_run.step, remember.name, COALESCE(remember.value, 'null'))
    ON CONFLICT ON CONSTRAINT run_memory_pkey DO UPDATE SET name = EXCLUDED.name
    RETURNING m.value INTO v_value;
    RETURN v_value;
END
$$;
COMMENT ON FUNCTION @extschema@.remember IS
    'Keeps a json value by its name (1 to 200 bytes) for the later attempts of the step at which the run stands: get_steps shows it in once, until the step is finished. Returns the value that is kept: the first one that was given. Errors: 22004, 22023; JQ003 when the lease token no longer holds the job; JQ004 when the job is no run; 54000 for a value above the queue''s max_payload_bytes.';

-- Writes: deletes from run_memory.
CREATE OR REPLACE FUNCTION @extschema@._forget_steps(job_ids bigint[], steps text[])
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    DELETE FROM @extschema@.run_memory AS m
    USING unnest(job_ids, steps) AS g (job_id, step)
    WHERE m.job_id = ANY (_forget_steps.job_ids) AND m.job_id = g.job_id AND m.step = g.step;
END
$$;
COMMENT ON FUNCTION @extschema@._forget_steps IS
    'Internal: forgets what these steps of runs have remembered, because they are finished.';
