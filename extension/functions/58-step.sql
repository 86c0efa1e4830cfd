-- Steps: finishing one makes the next ready, or ends the run, in one call.

-- Read without a lock: nobody but who holds the lease could change a run, and the token is asked for again.
CREATE OR REPLACE FUNCTION @extschema@._plan_steps(
    job_ids bigint[],
    lease_tokens bigint[],
    outputs jsonb[],
    nexts jsonb[],
    settled_at timestamptz
)
RETURNS @extschema@.step_plan
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_plan @extschema@.step_plan;
BEGIN
    WITH given AS MATERIALIZED (
        SELECT j.job_id, j.lease_token, j.step, j.progress, g.output, NULLIF(g.next, '{}') AS next,
               (SELECT s FROM @extschema@.workflow_step AS s
                WHERE s.queue_id = j.queue_id AND s.workflow = j.workflow AND s.version = j.workflow_version
                  AND s.step = j.step) AS at
        FROM @extschema@.job AS j
        JOIN unnest(job_ids, lease_tokens, outputs, nexts) AS g (job_id, lease_token, output, next)
            ON g.job_id = j.job_id
        WHERE j.job_id = ANY (_plan_steps.job_ids) AND j.workflow IS NOT NULL
          AND (_plan_steps.lease_tokens IS NULL OR j.lease_token = g.lease_token)
    ), planned AS (
        SELECT g.job_id, g.lease_token, g.step, g.output, g.next,
               CASE WHEN g.progress ? 'failure' THEN CASE WHEN g.next IS NULL THEN 'undone' ELSE 'impossible' END
                    WHEN (g.at).step IS NULL THEN 'stranded'
                    WHEN g.next ? 'complete' THEN 'ends'
                    WHEN t.step IS NOT NULL THEN 'goes on'
                    WHEN g.next IS NULL THEN 'ends'
                    ELSE 'impossible' END AS plan,
               ROW(g.job_id, g.lease_token, t.step, settled_at, NULL,
                   @extschema@._with_output(g.progress, g.step, g.output, (g.at).compensates),
                   'complete', NULL)::@extschema@.run_move AS move,
               g.next ? 'signal' OR g.next -> 'children' <> '[]' AS waits
        FROM given AS g
        CROSS JOIN LATERAL (SELECT CASE WHEN g.next ? 'step' THEN @extschema@._known_step(g.at, g.next ->> 'step')
                                        ELSE (g.at).next_step END AS step) AS t
    )
    SELECT array_agg(CASE WHEN p.next IS NULL THEN p.move ELSE @extschema@._with_next(p.move, p.next, p.step) END)
               FILTER (WHERE p.plan = 'goes on'),
           array_agg(p.job_id) FILTER (WHERE p.plan IN ('goes on', 'undone')),
           array_agg(p.step) FILTER (WHERE p.plan IN ('goes on', 'undone')),
           array_agg(p.job_id) FILTER (WHERE p.waits), array_agg(p.next) FILTER (WHERE p.waits),
           array_agg(p.job_id) FILTER (WHERE p.plan = 'undone'), array_agg(p.lease_token) FILTER (WHERE p.plan = 'undone'),
           array_agg(p.job_id) FILTER (WHERE p.plan = 'ends'), array_agg(p.lease_token) FILTER (WHERE p.plan = 'ends'),
           array_agg(p.output) FILTER (WHERE p.plan = 'ends'),
           array_agg(p.job_id) FILTER (WHERE p.plan = 'stranded'),
           array_agg(p.lease_token) FILTER (WHERE p.plan = 'stranded'),
           min(p.next::text) FILTER (WHERE p.plan = 'impossible')
    INTO v_plan
    FROM planned AS p;
    RETURN v_plan;
END
$$;
COMMENT ON FUNCTION @extschema@._plan_steps IS
    'Internal: what is to become of these runs, those whose lease token holds (all, if lease_tokens is null), when their steps are finished. Inherits the settings of _finish_steps.';

-- Writes: what _move_runs, _begin_waits, _finish_undoing and _finish_jobs write; run_memory.  Locks: the job rows.
CREATE OR REPLACE FUNCTION @extschema@._finish_steps(
    job_ids bigint[],
    lease_tokens bigint[],
    outputs jsonb[],
    nexts jsonb[],
    settled_at timestamptz
)
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
    v_plan @extschema@.step_plan := @extschema@._plan_steps(job_ids, lease_tokens, outputs, nexts, settled_at);
    v_done @extschema@.finished_step[] := ARRAY[]::@extschema@.finished_step[];
BEGIN
    IF v_plan.impossible IS NOT NULL THEN
        PERFORM @extschema@._require(false, 'next to lead to a step of the workflow', v_plan.impossible);
    END IF;
    IF v_plan.moves IS NOT NULL THEN
        v_done := @extschema@._move_runs(v_plan.moves, settled_at);
    END IF;
    IF v_plan.waiting IS NOT NULL THEN
        PERFORM @extschema@._begin_waits(array_agg(g.job_id), array_agg(g.next), settled_at)
        FROM unnest(v_plan.waiting, v_plan.waiting_nexts) AS g (job_id, next)
        JOIN unnest(v_done) AS d ON d.job_id = g.job_id
        HAVING count(*) > 0;
    END IF;
    IF v_plan.undone IS NOT NULL THEN
        v_done := v_done || @extschema@._finish_undoing(v_plan.undone, v_plan.undone_tokens, settled_at);
    END IF;
    IF v_plan.done IS NOT NULL THEN
        PERFORM @extschema@._forget_steps(array_agg(g.job_id), array_agg(g.step))
        FROM unnest(v_plan.done, v_plan.done_steps) AS g (job_id, step)
        JOIN unnest(v_done) AS d ON d.job_id = g.job_id
        HAVING count(*) > 0;
    END IF;
    IF v_plan.ended IS NOT NULL THEN
        v_done := v_done || @extschema@._as_finished('complete', @extschema@._finish_jobs(
            v_plan.ended, v_plan.ended_tokens, 'complete', v_plan.ended_outputs, NULL, settled_at));
    END IF;
    IF v_plan.stranded IS NOT NULL THEN
        v_done := v_done || @extschema@._as_finished('dead', @extschema@._finish_jobs(
            v_plan.stranded, v_plan.stranded_tokens, 'dead', NULL,
            array_fill('its workflow has no such step any more'::text, ARRAY[cardinality(v_plan.stranded)]), settled_at));
    END IF;
    RETURN v_done;
END
$$;
COMMENT ON FUNCTION @extschema@._finish_steps IS
    'Internal: finishes the steps of these runs, those whose lease token holds (all, if lease_tokens is null), and returns their states; jobs that are no runs are left.';

CREATE OR REPLACE FUNCTION @extschema@._as_finished(state text, job_ids bigint[])
RETURNS @extschema@.finished_step[]
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN ARRAY(SELECT ROW(i.job_id, NULL, state)::@extschema@.finished_step FROM pg_catalog.unnest(job_ids) AS i (job_id));
COMMENT ON FUNCTION @extschema@._as_finished IS
    'Internal: these jobs as finished_step. Without a search_path of its own, so that it is inlined.';

CREATE OR REPLACE FUNCTION @extschema@._known_step(at @extschema@.workflow_step, step text)
RETURNS text
LANGUAGE plpgsql
STABLE
AS $$
BEGIN
    RETURN (SELECT s.step FROM @extschema@.workflow_step AS s
            WHERE s.queue_id = at.queue_id AND s.workflow = at.workflow AND s.version = at.version
              AND s.step = _known_step.step);
END
$$;
COMMENT ON FUNCTION @extschema@._known_step IS
    'Internal: the step, if the same version of the workflow has it, else null. Inherits the settings of its callers.';

-- Writes, locks: as _finish_steps.
CREATE OR REPLACE FUNCTION @extschema@.finish_steps(steps jsonb, skip_lost boolean DEFAULT false)
RETURNS SETOF @extschema@.finished_step
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
ROWS 100
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
    v_given record;
    v_done @extschema@.finished_step[];
BEGIN
    PERFORM @extschema@._require(jsonb_typeof(steps) = 'array', 'steps to be a json array', steps::text);
    SELECT array_agg((s.step ->> 'job_id')::bigint) AS job_ids, array_agg((s.step ->> 'lease_token')::bigint) AS lease_tokens,
           array_agg(s.step -> 'output') AS outputs, array_agg(NULLIF(s.step -> 'next', 'null')) AS nexts,
           min(@extschema@._strange_key(s.step, '{job_id,lease_token,output,next}')) AS strange_key
    INTO v_given
    FROM jsonb_array_elements(steps) AS s (step);
    IF v_given.job_ids IS NULL THEN
        RETURN;
    END IF;
    PERFORM @extschema@._require(v_given.strange_key IS NULL,
        'each of steps to be an object of job_id, lease_token, output and next', v_given.strange_key);
    PERFORM @extschema@._require(array_position(v_given.job_ids, NULL) IS NULL, 'every job_id', NULL);
    PERFORM @extschema@._check_next(n.next) FROM unnest(v_given.nexts) AS n (next) WHERE n.next IS NOT NULL;
    IF array_position(v_given.lease_tokens, NULL) IS NOT NULL THEN
        v_given.lease_tokens := @extschema@._standing_tokens(v_given.job_ids, v_given.lease_tokens);
    END IF;
    v_done := @extschema@._finish_steps(
        v_given.job_ids, v_given.lease_tokens, v_given.outputs, v_given.nexts, @extschema@._now());
    IF cardinality(v_done) < cardinality(v_given.job_ids) THEN
        PERFORM @extschema@._require_runs(v_given.job_ids, v_given.lease_tokens);
        PERFORM @extschema@._lost_leases(v_given.job_ids, ARRAY(SELECT d.job_id FROM unnest(v_done) AS d), skip_lost);
    END IF;
    RETURN QUERY
    SELECT g.job_id, g.lease_token, COALESCE(d.state, 'lost')
    FROM unnest(v_given.job_ids, v_given.lease_tokens) WITH ORDINALITY AS g (job_id, lease_token, place)
    LEFT JOIN unnest(v_done) AS d ON d.job_id = g.job_id
    ORDER BY g.place;
END
$$;
COMMENT ON FUNCTION @extschema@.finish_steps IS
$$Finishes the steps at which these runs stand: steps is a json array of {job_id, lease_token, output?, next?}, which are the parameters of finish_step. Returns a row for each, in their order, with the new state.
A lost lease raises JQ003, and nothing is finished, unless skip_lost => true: then its state is lost. Errors: as finish_step.$$;

-- Writes, locks: as _finish_steps.
CREATE OR REPLACE FUNCTION @extschema@.finish_step(
    job_id bigint,
    lease_token bigint,
    output jsonb DEFAULT NULL,
    next jsonb DEFAULT NULL
)
RETURNS text
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
    v_tokens bigint[] := ARRAY[lease_token];
    v_done @extschema@.finished_step[];
BEGIN
    PERFORM @extschema@._require(job_id IS NOT NULL, 'job_id', NULL);
    next := NULLIF(next, 'null');
    IF next IS NOT NULL THEN
        PERFORM @extschema@._check_next(next);
    END IF;
    IF lease_token IS NULL THEN
        v_tokens := @extschema@._standing_tokens(ARRAY[job_id], v_tokens);
    END IF;
    v_done := @extschema@._finish_steps(ARRAY[job_id], v_tokens, ARRAY[output], ARRAY[next], @extschema@._now());
    IF v_done = '{}' THEN
        PERFORM @extschema@._require_runs(ARRAY[job_id], v_tokens);
        PERFORM @extschema@._lost_leases(ARRAY[job_id], '{}', false);
    END IF;
    RETURN v_done[1].state;
END
$$;
COMMENT ON FUNCTION @extschema@.finish_step IS
$$Finishes the step at which a run stands and makes the next one ready, in one transaction with whatever else is done in it. After the last step the run is complete, and the output of that step is its own. Returns the new state of the run: ready, scheduled, held, complete or dead.
output: json that later steps get, by get_steps. next: what is to come instead of the next step at once; null: nothing else. Its fields:
step: the id of the step to go on with. complete (true, alone): the run ends here. delay_milliseconds (0 to 31536000000) or start_after (a time): sleep until then.
children: an array of jobs to start, each {payload, queue_name?, workflow?, workflow_version?, priority?, group_key?, start_after?, max_attempts?, timeout_milliseconds?, headers?}, all with the meanings they have in add_job, queue_name the run's own by default; the next step runs when all are finished, and gets their results in this order. failed_children: fail (the run dies when one did not end complete, the default), ignore, or the number that may fail.
signal: the name of a signal to wait for (see signal_job), for timeout_milliseconds (1 to 31536000000), default for ever.
A step that is compensated takes no next. Errors: JQ003 when the lease token no longer holds the job; JQ004 when the job is no run; 22023 for a next that is not like that, or that waits after the last step.$$;

CREATE OR REPLACE FUNCTION @extschema@._require_runs(job_ids bigint[], lease_tokens bigint[])
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_job_id bigint;
BEGIN
    SELECT j.job_id INTO v_job_id
    FROM @extschema@.job AS j
    JOIN unnest(job_ids, lease_tokens) AS g (job_id, lease_token) ON g.job_id = j.job_id AND g.lease_token = j.lease_token
    WHERE j.job_id = ANY (_require_runs.job_ids) AND j.workflow IS NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'job % is no run of a workflow', v_job_id
            USING ERRCODE = 'JQ004', HINT = 'Release it by release_job.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._require_runs IS
    'Internal: raises JQ004 when one of these leases is that of a job that is no run.';
