-- Time-outs: a lease that ran out is released by the pick that meets it; no reaper is needed.

CREATE OR REPLACE FUNCTION @extschema@._retry_pause(
    retry_backoff text,
    pause_milliseconds bigint,
    max_pause_milliseconds bigint,
    attempt integer
)
RETURNS interval
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Full jitter: AWS Architecture Blog, "Exponential Backoff And Jitter" (2015).
    RETURN interval '1 millisecond' * CASE retry_backoff
        WHEN 'fixed' THEN pause_milliseconds
        ELSE random() * LEAST(max_pause_milliseconds,
                              pause_milliseconds * power(2::double precision, LEAST(attempt, 40) - 1)) END;
END
$$;
COMMENT ON FUNCTION @extschema@._retry_pause IS
    'Internal: how long to wait before the attempt that follows the given one.';

-- Writes: what _finish_jobs and _put_back write.
-- Locks: rows whose lease ran out, with SKIP LOCKED.
CREATE OR REPLACE FUNCTION @extschema@._time_out_jobs(job_ids bigint[])
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_result record;
    v_errors text[];
    v_timed_out integer := 0;
BEGIN
    FOR v_result IN
        WITH expired AS (
            SELECT j.job_id, j.queue_id, j.timeout_with_result
            FROM @extschema@.job AS j
            WHERE j.job_id = ANY (job_ids) AND j.lease_until <= v_now
            FOR UPDATE SKIP LOCKED
        )
        SELECT COALESCE(e.timeout_with_result, q.timeout_with_result) AS name, array_agg(e.job_id) AS job_ids
        FROM expired AS e
        JOIN @extschema@.queue AS q ON q.queue_id = e.queue_id
        GROUP BY 1
    LOOP
        v_errors := array_fill('timed out'::text, ARRAY[cardinality(v_result.job_ids)]);
        v_timed_out := v_timed_out + cardinality(@extschema@._settle_jobs(
            v_result.job_ids, NULL, v_result.name, NULL, v_errors, NULL, true, 'timed_out'));
    END LOOP;
    RETURN v_timed_out;
END
$$;
COMMENT ON FUNCTION @extschema@._time_out_jobs IS
    'Internal: releases those of these jobs whose lease ran out with the job''s or the queue''s timeout_with_result; returns their number.';

-- A pick notes the expired leases that it meets in a setting of the transaction: the one place that is
-- free of cost when there is none.
CREATE OR REPLACE FUNCTION @extschema@._note_expired(job_id bigint)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM set_config('pgq.expired',
        concat_ws(',', NULLIF(current_setting('pgq.expired', true), ''), job_id), true);
    RETURN true;
END
$$;
COMMENT ON FUNCTION @extschema@._note_expired IS
    'Internal: has the pick that is under way time this job out; returns true.';

-- Writes, locks: as _time_out_jobs.
CREATE OR REPLACE FUNCTION @extschema@._time_out_noted()
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_job_ids bigint[] := string_to_array(current_setting('pgq.expired'), ',')::bigint[];
BEGIN
    PERFORM set_config('pgq.expired', '', true);
    RETURN @extschema@._time_out_jobs(v_job_ids);
END
$$;
COMMENT ON FUNCTION @extschema@._time_out_noted IS
    'Internal: times out the jobs that the pick under way has noted and returns their number; those that another session has locked are left to it.';
