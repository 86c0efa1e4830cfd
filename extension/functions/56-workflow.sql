-- Workflows: arrays of steps, by name and version. A run is a job that goes through one of them; it keeps the version
-- on which it began.

CREATE OR REPLACE FUNCTION @extschema@._check_steps(steps jsonb)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_given jsonb;
    v_key text;
    v_ids text[] := ARRAY[]::text[];
BEGIN
    PERFORM @extschema@._require(jsonb_typeof(steps) = 'array', 'steps to be a json array', steps::text);
    PERFORM @extschema@._require(jsonb_array_length(steps) BETWEEN 1 AND 1000,
        '1 to 1000 steps', jsonb_array_length(steps)::text);
    FOR v_given IN SELECT s.step FROM jsonb_array_elements(steps) AS s (step) LOOP
        PERFORM @extschema@._require(jsonb_typeof(v_given) = 'object', 'each step to be a json object', v_given::text);
        SELECT k.key INTO v_key FROM jsonb_object_keys(v_given) AS k (key)
        WHERE k.key NOT IN ('id', 'max_attempts', 'timeout_milliseconds', 'timeout_with_result', 'retry_backoff',
            'pause_between_retries_milliseconds', 'max_pause_between_retries_milliseconds', 'compensates') LIMIT 1;
        PERFORM @extschema@._require(v_key IS NULL, 'nothing in a step but id, compensates and settings of a queue', v_key);
        PERFORM @extschema@._require(
            jsonb_typeof(v_given -> 'id') = 'string' AND octet_length(v_given ->> 'id') BETWEEN 1 AND 200,
            'the id of each step to be 1 to 200 bytes long', v_given ->> 'id');
        PERFORM @extschema@._require((v_given ->> 'id') <> ALL (v_ids), 'ids that differ', v_given ->> 'id');
        PERFORM @extschema@._require(COALESCE(jsonb_typeof(v_given -> 'compensates') IN ('boolean', 'null'), true),
            'compensates to be true or false', v_given ->> 'compensates');
        v_ids := array_append(v_ids, v_given ->> 'id');
        PERFORM @extschema@._check_step_settings(jsonb_populate_record(NULL::@extschema@.workflow_step, v_given - 'compensates'));
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._check_steps IS
    'Internal: raises for steps that define_workflow does not take.';

CREATE OR REPLACE FUNCTION @extschema@._check_step_settings(step @extschema@.workflow_step)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._check_queue_config(
        NULL, NULL, NULL, step.max_attempts, step.retry_backoff, step.pause_between_retries_milliseconds,
        step.max_pause_between_retries_milliseconds, step.timeout_milliseconds, step.timeout_with_result,
        NULL, NULL, NULL, NULL);
END
$$;
COMMENT ON FUNCTION @extschema@._check_step_settings IS
    'Internal: raises 22023 for a setting of a step that is out of its range, which is that of the queue''s.';

-- Writes: workflow, workflow_step, queue when it is new.
-- Locks: the queue's row: of ten workers that define the same at once the first does, and the others see it done.
CREATE OR REPLACE FUNCTION @extschema@.define_workflow(queue_name text, workflow text, version integer, steps jsonb)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
    v_queue_id integer;
BEGIN
    IF @extschema@._is_defined(queue_name, workflow, version, steps) THEN
        RETURN false;
    END IF;
    PERFORM @extschema@._require(workflow <> '' AND octet_length(workflow) <= 200,
        'workflow to be 1 to 200 bytes long', workflow);
    PERFORM @extschema@._require(version > 0, 'version to be above 0', version::text);
    PERFORM @extschema@._check_steps(steps);
    v_queue_id := @extschema@._make_queue(queue_name);
    PERFORM @extschema@._check_access(ARRAY[v_queue_id], 'worker');
    IF @extschema@._is_defined(queue_name, workflow, version, steps) THEN
        RETURN false;
    END IF;
    PERFORM @extschema@._check_open_runs(v_queue_id, workflow, version,
        ARRAY(SELECT s.step ->> 'id' FROM jsonb_array_elements(steps) AS s (step)));

    INSERT INTO @extschema@.workflow AS w (queue_id, workflow, version, steps, defined_at)
    VALUES (v_queue_id, define_workflow.workflow, define_workflow.version, define_workflow.steps, @extschema@._now())
    ON CONFLICT ON CONSTRAINT workflow_pkey DO UPDATE SET steps = EXCLUDED.steps, defined_at = EXCLUDED.defined_at;
    DELETE FROM @extschema@.workflow_step AS s
    WHERE s.queue_id = v_queue_id AND s.workflow = define_workflow.workflow AND s.version = define_workflow.version;
    INSERT INTO @extschema@.workflow_step (
        queue_id, workflow, version, place, step, next_step, compensates, max_attempts, timeout_milliseconds,
        timeout_with_result, retry_backoff, pause_between_retries_milliseconds,
        max_pause_between_retries_milliseconds)
    SELECT v_queue_id, define_workflow.workflow, define_workflow.version, g.place, g.step ->> 'id',
           lead(g.step ->> 'id') OVER (ORDER BY g.place), COALESCE(s.compensates, false), s.max_attempts,
           s.timeout_milliseconds, s.timeout_with_result, s.retry_backoff, s.pause_between_retries_milliseconds,
           s.max_pause_between_retries_milliseconds
    FROM jsonb_array_elements(steps) WITH ORDINALITY AS g (step, place)
    CROSS JOIN LATERAL jsonb_populate_record(NULL::@extschema@.workflow_step, g.step) AS s;
    RETURN true;
END
$$;
COMMENT ON FUNCTION @extschema@.define_workflow IS
$$Says which steps a version of a workflow has; makes the queue if it does not exist. Returns true when that is new, false when it is known: so each worker calls it when it starts.
version: from 1; runs begin on the highest unless add_job names another, and stay on it. steps: a json array of 1 to 1000 objects, in their order: id (1 to 200 bytes), compensates (true: when a later step makes the run die, this one is to be undone), and, where the queue's are not right, max_attempts, timeout_milliseconds, timeout_with_result, retry_backoff, pause_between_retries_milliseconds, max_pause_between_retries_milliseconds.
Errors: 22004, 22023 for bad values; 55000 when a step is left out at which a run stands.$$;

CREATE OR REPLACE FUNCTION @extschema@._is_defined(queue_name text, workflow text, version integer, steps jsonb)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_known record;
BEGIN
    SELECT q.queue_id, q.is_restricted INTO v_known
    FROM @extschema@.queue AS q
    JOIN @extschema@.workflow AS w ON w.queue_id = q.queue_id
    WHERE q.queue_name = _is_defined.queue_name AND NOT q.is_dropped
      AND w.workflow = _is_defined.workflow AND w.version = _is_defined.version AND w.steps = _is_defined.steps;
    IF v_known.is_restricted THEN
        PERFORM @extschema@._check_access(ARRAY[v_known.queue_id], 'worker');
    END IF;
    RETURN v_known.queue_id IS NOT NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._is_defined IS
    'Internal: whether the workflow has exactly these steps in this version; raises 42501 when that is not for the caller.';

CREATE OR REPLACE FUNCTION @extschema@._check_open_runs(queue_id integer, workflow text, version integer, step_ids text[])
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_run record;
BEGIN
    SELECT j.job_id, j.step INTO v_run
    FROM @extschema@.job AS j
    WHERE j.queue_id = _check_open_runs.queue_id AND j.workflow = _check_open_runs.workflow
      AND j.workflow_version = _check_open_runs.version
      AND (j.step <> ALL (step_ids) OR NOT COALESCE(j.progress -> 'to_compensate' <@ to_jsonb(step_ids), true))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'run % stands at step "%" of workflow "%", version %', v_run.job_id, v_run.step, workflow, version
            USING ERRCODE = '55000',
                  DETAIL = 'Open runs need the steps at which they stand, and those that may have to be compensated.',
                  HINT = 'Keep this version as it is until its runs have ended; other steps are another, higher version.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_open_runs IS
    'Internal: raises 55000 when an open run needs a step that is not among these.';

CREATE OR REPLACE FUNCTION @extschema@._first_step(queue_id integer, workflow text, version integer)
RETURNS @extschema@.workflow_step
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_first @extschema@.workflow_step;
BEGIN
    SELECT s.* INTO v_first
    FROM @extschema@.workflow_step AS s
    WHERE s.queue_id = _first_step.queue_id AND s.workflow = _first_step.workflow
      AND s.version = COALESCE(_first_step.version, (
          SELECT w.version FROM @extschema@.workflow AS w
          WHERE w.queue_id = _first_step.queue_id AND w.workflow = _first_step.workflow
          ORDER BY w.version DESC LIMIT 1))
      AND s.place = 1;
    IF NOT FOUND THEN
        PERFORM @extschema@._raise_no_workflow(queue_id, workflow, version);
    END IF;
    RETURN v_first;
END
$$;
COMMENT ON FUNCTION @extschema@._first_step IS
    'Internal: where a run of this version, or of the newest, begins; raises JQ007.';

CREATE OR REPLACE FUNCTION @extschema@._raise_no_workflow(queue_id integer, workflow text, version integer)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'workflow "%"% not found in queue "%"', left(workflow, 200), COALESCE(', version ' || version, ''),
        (SELECT q.queue_name FROM @extschema@.queue AS q WHERE q.queue_id = _raise_no_workflow.queue_id)
        USING ERRCODE = 'JQ007', HINT = 'define_workflow makes it known; workers call it when they start.';
END
$$;
COMMENT ON FUNCTION @extschema@._raise_no_workflow IS
    'Internal: raises JQ007 for a workflow, or a version of one, that the queue has not.';

CREATE OR REPLACE FUNCTION @extschema@.workflow_versions(queue_name text DEFAULT NULL, workflow text DEFAULT NULL)
RETURNS SETOF @extschema@.workflow_version
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer := CASE WHEN queue_name IS NOT NULL
                               THEN @extschema@._queue_id(queue_name, 'observer') END;
BEGIN
    RETURN QUERY
    WITH open AS (
        SELECT s.queue_id, s.workflow, s.version, sum(s.runs)::bigint AS runs, jsonb_object_agg(s.step, s.runs) AS runs_by_step
        FROM (SELECT j.queue_id, j.workflow, j.workflow_version AS version, j.step, count(*) AS runs
              FROM @extschema@.job AS j
              WHERE j.workflow IS NOT NULL
                AND (v_queue_id IS NULL OR j.queue_id = v_queue_id)
                AND (workflow_versions.workflow IS NULL OR j.workflow = workflow_versions.workflow)
              GROUP BY j.queue_id, j.workflow, j.workflow_version, j.step) AS s
        GROUP BY s.queue_id, s.workflow, s.version
    )
    SELECT q.queue_name, w.workflow, w.version,
           ARRAY(SELECT s.step ->> 'id' FROM jsonb_array_elements(w.steps) WITH ORDINALITY AS s (step, place) ORDER BY s.place),
           COALESCE(o.runs, 0), COALESCE(o.runs_by_step, '{}'),
           w.version = max(w.version) OVER (PARTITION BY w.queue_id, w.workflow), w.defined_at
    FROM @extschema@.workflow AS w
    JOIN @extschema@.queue AS q ON q.queue_id = w.queue_id
    LEFT JOIN open AS o ON o.queue_id = w.queue_id AND o.workflow = w.workflow AND o.version = w.version
    WHERE (v_queue_id IS NULL OR w.queue_id = v_queue_id)
      AND (workflow_versions.workflow IS NULL OR w.workflow = workflow_versions.workflow)
      AND (NOT q.is_restricted OR @extschema@._has_access(q.queue_id, 'observer'))
    ORDER BY q.queue_name, w.workflow, w.version;
END
$$;
COMMENT ON FUNCTION @extschema@.workflow_versions IS
    'Returns the versions of the workflows of one queue or all, each with the numbers of its open runs by the step at which they stand. Counts every run: seconds for millions. Raises JQ001 when the queue does not exist.';

-- Writes: deletes from workflow, workflow_step.  Locks: the workflow's row.
CREATE OR REPLACE FUNCTION @extschema@.drop_workflow_version(queue_name text, workflow text, version integer)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer := @extschema@._queue_id(queue_name, 'admin');
BEGIN
    PERFORM @extschema@._require(workflow IS NOT NULL, 'workflow', NULL);
    PERFORM @extschema@._require(version IS NOT NULL, 'version', NULL);
    PERFORM @extschema@._check_open_runs(v_queue_id, workflow, version, ARRAY[]::text[]);
    DELETE FROM @extschema@.workflow AS w
    WHERE w.queue_id = v_queue_id AND w.workflow = drop_workflow_version.workflow
      AND w.version = drop_workflow_version.version;
    IF NOT FOUND THEN
        PERFORM @extschema@._raise_no_workflow(v_queue_id, workflow, version);
    END IF;
    DELETE FROM @extschema@.workflow_step AS s
    WHERE s.queue_id = v_queue_id AND s.workflow = drop_workflow_version.workflow
      AND s.version = drop_workflow_version.version;
END
$$;
COMMENT ON FUNCTION @extschema@.drop_workflow_version IS
    'Forgets a version of a workflow. Its finished runs cannot be retried any more. Errors: 55000 while it has open runs; JQ001; JQ007 when there is no such version.';
