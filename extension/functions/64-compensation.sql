-- Compensation: before a run dies, those of its finished steps that can be undone are, the last one first. For each the
-- run is picked at that step once more, and get_steps tells the failure.

CREATE OR REPLACE FUNCTION @extschema@._undo(progress jsonb, failure text, step text)
RETURNS jsonb
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN (progress - ARRAY['children', 'signal', 'waits_since'])
    || jsonb_build_object('failure', COALESCE(failure, 'failed'), 'failed_step', step, 'compensated', '[]'::jsonb);
COMMENT ON FUNCTION @extschema@._undo IS
    'Internal: the progress of a run that begins to undo its steps because this step has failed.';

-- Writes: what _move_runs and _finish_jobs write.  Locks: the caller has locked the job rows.
CREATE OR REPLACE FUNCTION @extschema@._let_die(job_ids bigint[], errors text[], outcome text, died_at timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_plan record;
BEGIN
    SELECT array_agg(ROW(j.job_id, NULL, j.progress #>> '{to_compensate,0}', died_at, NULL,
                         @extschema@._undo(j.progress, g.error, COALESCE(j.progress ->> 'waits_since', j.step)),
                         _let_die.outcome, g.error)::@extschema@.run_move)
               FILTER (WHERE f.fate = 'is undone') AS moves,
           array_agg(j.job_id) FILTER (WHERE f.fate = 'is not undone') AS stuck,
           array_agg(g.error) FILTER (WHERE f.fate = 'is not undone') AS stuck_errors,
           array_agg(format('%s; then the compensation of step "%s" failed: %s', j.progress ->> 'failure', j.step,
                            COALESCE(g.error, 'no error was given'))) FILTER (WHERE f.fate = 'is not undone') AS stuck_texts,
           array_agg(j.job_id) FILTER (WHERE f.fate = 'dies') AS dead,
           array_agg(g.error) FILTER (WHERE f.fate = 'dies') AS dead_errors
    INTO v_plan
    FROM @extschema@.job AS j
    JOIN unnest(job_ids, errors) AS g (job_id, error) ON g.job_id = j.job_id
    CROSS JOIN LATERAL (SELECT CASE
        WHEN j.progress ? 'failure' THEN 'is not undone'
        WHEN j.progress #> '{to_compensate,0}' IS NOT NULL THEN 'is undone'
        ELSE 'dies' END AS fate) AS f
    WHERE j.job_id = ANY (_let_die.job_ids);

    IF v_plan.moves IS NOT NULL THEN
        PERFORM @extschema@._move_runs(v_plan.moves, died_at);
    END IF;
    IF v_plan.stuck IS NOT NULL THEN
        PERFORM @extschema@._die_undone(v_plan.stuck, outcome, v_plan.stuck_errors, v_plan.stuck_texts, died_at);
    END IF;
    IF v_plan.dead IS NOT NULL THEN
        PERFORM @extschema@._finish_jobs(v_plan.dead, NULL, 'dead', NULL, v_plan.dead_errors, died_at);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._let_die IS
    'Internal: what becomes of jobs that have failed for good: they are dead, but runs with steps to undo undo them first. outcome is that of the attempt that ends, null when none does.';

-- Writes: as _finish_jobs; job.attempts, step.  Locks: the caller has locked the job rows.
CREATE OR REPLACE FUNCTION @extschema@._die_undone(
    job_ids bigint[],
    outcome text,
    attempt_errors text[],
    errors text[],
    died_at timestamptz
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    -- The run stands again where it failed; the attempt that ends was one of another step, so it is noted here.
    UPDATE @extschema@.job AS j SET
        step = j.progress ->> 'failed_step',
        attempts = @extschema@._with_attempt(j.attempts, @extschema@._attempt(
            j.attempt, j.picked_at, died_at, j.worker, outcome, g.error, j.step)),
        picked_at = NULL
    FROM unnest(job_ids, attempt_errors) AS g (job_id, error)
    WHERE j.job_id = ANY (_die_undone.job_ids) AND j.job_id = g.job_id;
    PERFORM @extschema@._finish_jobs(job_ids, NULL, 'dead', NULL, errors, died_at);
END
$$;
COMMENT ON FUNCTION @extschema@._die_undone IS
    'Internal: ends runs whose steps are undone, or cannot be.';

-- Writes: what _move_runs and _die_undone write.  Locks: the job rows.
CREATE OR REPLACE FUNCTION @extschema@._finish_undoing(job_ids bigint[], lease_tokens bigint[], undone_at timestamptz)
RETURNS @extschema@.finished_step[]
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_plan record;
    v_done @extschema@.finished_step[] := ARRAY[]::@extschema@.finished_step[];
BEGIN
    WITH held AS (
        SELECT j.job_id, j.lease_token, j.progress || jsonb_build_object(
                   'to_compensate', (j.progress -> 'to_compensate') - 0,
                   'compensated', (j.progress -> 'compensated') || jsonb_build_array(j.step)) AS progress
        FROM @extschema@.job AS j
        JOIN unnest(job_ids, lease_tokens) AS g (job_id, lease_token)
            ON g.job_id = j.job_id AND g.lease_token = j.lease_token
        WHERE j.job_id = ANY (_finish_undoing.job_ids)
        FOR UPDATE OF j
    )
    SELECT array_agg(ROW(h.job_id, h.lease_token, h.progress #>> '{to_compensate,0}', undone_at, NULL, h.progress,
                         'compensated', NULL)::@extschema@.run_move)
               FILTER (WHERE h.progress #> '{to_compensate,0}' IS NOT NULL) AS moves,
           array_agg(h.job_id) FILTER (WHERE h.progress #> '{to_compensate,0}' IS NULL) AS dead,
           array_agg(h.progress ->> 'failure') FILTER (WHERE h.progress #> '{to_compensate,0}' IS NULL) AS errors,
           array_agg(h.progress) FILTER (WHERE h.progress #> '{to_compensate,0}' IS NULL) AS progresses
    INTO v_plan
    FROM held AS h;

    IF v_plan.moves IS NOT NULL THEN
        v_done := @extschema@._move_runs(v_plan.moves, undone_at);
    END IF;
    IF v_plan.dead IS NOT NULL THEN
        UPDATE @extschema@.job AS j SET progress = g.progress
        FROM unnest(v_plan.dead, v_plan.progresses) AS g (job_id, progress)
        WHERE j.job_id = ANY (v_plan.dead) AND j.job_id = g.job_id;
        PERFORM @extschema@._die_undone(v_plan.dead, 'compensated', NULL, v_plan.errors, undone_at);
        v_done := v_done || @extschema@._as_finished('dead', v_plan.dead);
    END IF;
    RETURN v_done;
END
$$;
COMMENT ON FUNCTION @extschema@._finish_undoing IS
    'Internal: a step of each of these runs is undone: on to the next that is to be, and after the last one the run is dead.';
