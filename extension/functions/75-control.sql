-- Control: what a person, or an application, does to a job that is not its own.

-- Writes: as _finish_jobs.  Locks: the job row.
CREATE OR REPLACE FUNCTION @extschema@.cancel_job(job_id bigint, reason text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
BEGIN
    PERFORM @extschema@._check_job_access(job_id, 'admin');
    IF @extschema@._finish_jobs(ARRAY[job_id], NULL, 'cancelled', NULL, ARRAY[reason], @extschema@._now()) = '{}' THEN
        PERFORM @extschema@._raise_finished(job_id);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.cancel_job IS
    'Cancels a live job. It is final at once, also for a running job: its worker can no longer release it and learns so at its next keep-alive. Children of a run that wait are cancelled too. The reason is kept as the job''s error. Raises JQ002 when the job is not known, JQ004 when it is finished.';

-- Writes: as _revive_jobs.  Locks: the finished row.
CREATE OR REPLACE FUNCTION @extschema@.retry_job(job_id bigint, start_after timestamptz DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_job @extschema@.job_status;
BEGIN
    PERFORM @extschema@._require(COALESCE(isfinite(start_after), true),
        'start_after to be a finite time', start_after::text);
    PERFORM @extschema@._check_job_access(job_id, 'admin');
    IF @extschema@._revive_jobs(ARRAY[job_id], start_after) <> '{}' THEN
        RETURN;
    END IF;
    v_job := @extschema@.get_job(job_id);
    IF v_job.finished_at IS NOT NULL THEN
        PERFORM @extschema@._require_step(v_job, NULL);
        RAISE EXCEPTION 'unique key "%" of job % is held by another job', v_job.unique_key, job_id
            USING ERRCODE = '23505', HINT = 'Cancel that job, or wait until it has finished.';
    END IF;
    RAISE EXCEPTION 'job % is % and not finished', job_id, v_job.state
        USING ERRCODE = 'JQ004', HINT = 'Use reschedule_job to have a waiting job start earlier.';
END
$$;
COMMENT ON FUNCTION @extschema@.retry_job IS
    'Brings a finished job (dead, cancelled or complete) back to its line, to start at start_after (default now) with its attempts anew; the history of its attempts stays. A run goes on from the step at which it ended, with all that it had; one that was complete from its first step; one whose steps were compensated from the first of these. Raises JQ002 when the job is not known, JQ004 when it is live, 23505 when another job holds its unique_key, JQ007 when its version of the workflow is gone.';

-- Writes: as _revive_jobs.  Locks: the finished rows.
CREATE OR REPLACE FUNCTION @extschema@.redrive_jobs(
    queue_name text,
    error_like text DEFAULT NULL,
    dead_since timestamptz DEFAULT NULL,
    dead_until timestamptz DEFAULT NULL,
    max_jobs integer DEFAULT NULL,
    preview boolean DEFAULT false
)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer := @extschema@._queue_id(queue_name, 'admin');
    v_job_ids bigint[];
BEGIN
    PERFORM @extschema@._require(COALESCE(max_jobs > 0, true), 'max_jobs to be above 0', max_jobs::text);
    PERFORM @extschema@._require(preview IS NOT NULL, 'preview', NULL);
    v_job_ids := ARRAY(
        SELECT f.job_id
        FROM @extschema@.finished_job AS f
        WHERE f.queue_id = v_queue_id AND f.state = 'dead'
          AND f.finished_at >= COALESCE(dead_since, '-infinity')
          AND f.finished_at <= COALESCE(dead_until, 'infinity')
          AND (error_like IS NULL OR f.error ILIKE error_like)
          -- Else those that cannot come back would fill up max_jobs.
          AND NOT EXISTS (SELECT FROM @extschema@.unique_key AS k
                          WHERE k.queue_id = f.queue_id AND k.unique_key = f.unique_key
                            AND k.holds_until IS NULL)
          AND (f.workflow IS NULL OR @extschema@._resume_at(
              f.queue_id, f.workflow, f.workflow_version, f.step, f.state, f.progress, NULL) IS NOT NULL)
        ORDER BY f.finished_at, f.job_id
        LIMIT max_jobs);
    IF preview THEN
        RETURN cardinality(v_job_ids);
    END IF;
    RETURN cardinality(@extschema@._revive_jobs(v_job_ids, NULL));
END
$$;
COMMENT ON FUNCTION @extschema@.redrive_jobs IS
    'Brings dead jobs of a queue back to the line, the longest dead first, and returns their number. error_like: an ILIKE pattern for the last error. dead_since, dead_until: when they died. max_jobs: at most so many. preview => true only counts. Runs go on as with retry_job. Jobs whose unique_key is held by another, and runs whose version of the workflow is gone, are left. Raises JQ001 when the queue does not exist.';

-- Writes: job.start_after, job.held_by, group_hint.  Locks: the job row.
CREATE OR REPLACE FUNCTION @extschema@.reschedule_job(job_id bigint, start_after timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_job record;
BEGIN
    PERFORM @extschema@._require(isfinite(start_after), 'start_after to be a finite time', start_after::text);
    PERFORM @extschema@._check_job_access(job_id, 'admin');
    UPDATE @extschema@.job AS j
    SET start_after = GREATEST(reschedule_job.start_after, v_now)
    WHERE j.job_id = reschedule_job.job_id AND j.lease_token IS NULL AND COALESCE(j.held_by, 'group') = 'group'
    RETURNING j.queue_id, j.held_by, j.group_key, j.start_after INTO v_job;
    IF NOT FOUND THEN
        PERFORM @extschema@._raise_finished(job_id);
        RAISE EXCEPTION 'job % is %', job_id, COALESCE('held by its ' || (
            SELECT j.held_by FROM @extschema@.job AS j WHERE j.job_id = reschedule_job.job_id), 'running')
            USING ERRCODE = 'JQ004';
    END IF;
    IF v_job.held_by = 'group' THEN
        PERFORM @extschema@._hint_group(v_job.queue_id, v_job.group_key, v_job.start_after);
    ELSIF v_job.group_key IS NOT NULL AND v_job.start_after > v_now THEN
        PERFORM @extschema@._give_way(job_id);
    END IF;
    IF v_job.start_after <= v_now THEN
        PERFORM @extschema@._wake_workers(ARRAY[v_job.queue_id]);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.reschedule_job IS
    'Sets when a waiting job may start; a time that has passed means now. Raises JQ002 when the job is not known, JQ004 when it is running or finished, or a run that waits for its children or a signal.';

CREATE OR REPLACE FUNCTION @extschema@._raise_finished(job_id bigint)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_job @extschema@.job_status := @extschema@.get_job(job_id);
BEGIN
    IF v_job.finished_at IS NOT NULL THEN
        RAISE EXCEPTION 'job % is % already', job_id, v_job.state
            USING ERRCODE = 'JQ004', HINT = 'retry_job brings a finished job back.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._raise_finished IS
    'Internal: raises JQ004 for a finished job, JQ002 for an unknown one.';
