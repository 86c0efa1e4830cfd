-- Reruns: where a run goes on that had ended, or that a person sends back.

CREATE OR REPLACE FUNCTION @extschema@._resume_at(
    queue_id integer,
    workflow text,
    version integer,
    step text,
    state text,
    progress jsonb,
    from_step text
)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT s.step
        FROM @extschema@.workflow_step AS s
        WHERE s.queue_id = _resume_at.queue_id AND s.workflow = _resume_at.workflow AND s.version = _resume_at.version
          AND CASE WHEN from_step IS NOT NULL THEN s.step = from_step
                   WHEN state = 'complete' THEN s.place = 1
                   WHEN progress #> '{compensated,0}' IS NOT NULL THEN progress -> 'compensated' ? s.step
                   ELSE s.step = _resume_at.step END
        ORDER BY s.place LIMIT 1);
END
$$;
COMMENT ON FUNCTION @extschema@._resume_at IS
    'Internal: the step with which a run goes on that stands, or ended, here: from_step if it is given; null when its workflow has no such step.';

CREATE OR REPLACE FUNCTION @extschema@._resume_with(at @extschema@.workflow_step, progress jsonb, is_same_step boolean)
RETURNS jsonb
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_kept jsonb := progress - ARRAY['failure', 'failed_step', 'compensated', 'once', 'signals', 'waits_since'];
    v_earlier text[];
BEGIN
    IF progress ? 'waits_since' OR NOT is_same_step THEN
        v_kept := v_kept - ARRAY['children', 'signal'];
    END IF;
    IF NOT is_same_step THEN
        v_earlier := ARRAY(
            SELECT s.step FROM @extschema@.workflow_step AS s
            WHERE s.queue_id = at.queue_id AND s.workflow = at.workflow AND s.version = at.version AND s.place < at.place);
        v_kept := v_kept || jsonb_build_object(
            'outputs', (SELECT COALESCE(jsonb_object_agg(o.step, o.output), '{}')
                        FROM jsonb_each(progress -> 'outputs') AS o (step, output) WHERE o.step = ANY (v_earlier)),
            'to_compensate', (SELECT COALESCE(jsonb_agg(c.step ORDER BY c.place), '[]')
                              FROM jsonb_array_elements_text(progress -> 'to_compensate') WITH ORDINALITY AS c (step, place)
                              WHERE c.step = ANY (v_earlier)));
    END IF;
    RETURN v_kept;
END
$$;
COMMENT ON FUNCTION @extschema@._resume_with IS
    'Internal: what a run carries with it when it goes on at this step: all, if it stood there, else what the steps before it have left.';

CREATE OR REPLACE FUNCTION @extschema@._require_step(job @extschema@.job_status, step text)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_ids text[];
BEGIN
    IF job.workflow IS NULL THEN
        RETURN;
    END IF;
    SELECT array_agg(s.step ORDER BY s.place) INTO v_ids
    FROM @extschema@.workflow_step AS s
    JOIN @extschema@.queue AS q ON q.queue_id = s.queue_id
    WHERE q.queue_name = job.queue_name AND s.workflow = job.workflow AND s.version = job.workflow_version;
    IF v_ids IS NULL OR (step IS NULL AND job.step <> ALL (v_ids)) THEN
        PERFORM @extschema@._raise_no_workflow(
            (SELECT q.queue_id FROM @extschema@.queue AS q WHERE q.queue_name = job.queue_name),
            job.workflow, job.workflow_version);
    END IF;
    PERFORM @extschema@._require(COALESCE(step = ANY (v_ids), true),
        format('step to be one of %s', array_to_string(v_ids, ', ')), step);
END
$$;
COMMENT ON FUNCTION @extschema@._require_step IS
    'Internal: raises JQ007 when the workflow of a run, or the step where it ended, is gone, and 22023 when it has no such step.';

-- Writes: as _revive_jobs, or as _move_runs and run_memory.  Locks: the finished row, or the job row.
CREATE OR REPLACE FUNCTION @extschema@.retry_from_step(job_id bigint, step text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
    v_job @extschema@.job_status;
BEGIN
    PERFORM @extschema@._check_job_access(job_id, 'admin');
    IF @extschema@._send_back(job_id, step) THEN
        RETURN;
    END IF;
    v_job := @extschema@.get_job(job_id);
    IF v_job.workflow IS NULL THEN
        PERFORM @extschema@._raise_no_run(job_id);
    END IF;
    PERFORM @extschema@._require_step(v_job, step);
    IF v_job.finished_at IS NULL THEN
        RAISE EXCEPTION 'run % is %', job_id, COALESCE('held by its ' || v_job.held_by, v_job.state)
            USING ERRCODE = 'JQ004', HINT = 'Cancel it first.';
    END IF;
    IF @extschema@._revive_jobs(ARRAY[job_id], NULL, step) = '{}' THEN
        RAISE EXCEPTION 'unique key "%" of job % is held by another job', v_job.unique_key, job_id
            USING ERRCODE = '23505', HINT = 'Cancel that job, or wait until it has finished.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.retry_from_step IS
    'Has a run that is finished (dead, cancelled or complete), or waits for its next attempt, go on from this step at once, with its attempts anew. The outputs of this step and of those after it in the workflow are forgotten, and what they remembered, unless the run stands at this step. Without a step: as retry_job. Errors: JQ002 when the job is not known; JQ004 when it is no run, is running, or waits for its children or a signal; 22023 for a step that its workflow has not; JQ007, 23505 as retry_job.';

-- Writes: as _move_runs; run_memory.  Locks: the job row.
CREATE OR REPLACE FUNCTION @extschema@._send_back(job_id bigint, step text)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_run record;
BEGIN
    SELECT j.step, j.progress, s AS at INTO v_run
    FROM @extschema@.job AS j
    JOIN @extschema@.workflow_step AS s
        ON s.queue_id = j.queue_id AND s.workflow = j.workflow AND s.version = j.workflow_version
    WHERE j.job_id = _send_back.job_id AND j.lease_token IS NULL AND COALESCE(j.held_by, 'group') = 'group'
      AND s.step = COALESCE(_send_back.step, j.step)
    FOR UPDATE OF j;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM @extschema@._move_runs(ARRAY[ROW(job_id, NULL, (v_run.at).step, v_now, NULL,
        CASE WHEN v_run.progress IS NOT NULL THEN
            @extschema@._resume_with(v_run.at, v_run.progress, (v_run.at).step = v_run.step) END,
        NULL, NULL)::@extschema@.run_move], v_now);
    DELETE FROM @extschema@.run_memory AS m WHERE m.job_id = _send_back.job_id AND m.step <> (v_run.at).step;
    RETURN true;
END
$$;
COMMENT ON FUNCTION @extschema@._send_back IS
    'Internal: has a run that waits for its next attempt go on from this step, or its own, and says whether it did.';
