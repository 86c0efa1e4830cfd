-- Leases: kept alive in batches while the work goes on.

-- Writes: job.lease_until, running_job.lease_until.  Locks: the job rows.
CREATE OR REPLACE FUNCTION @extschema@.keep_jobs_alive(
    job_ids bigint[],
    lease_tokens bigint[],
    timeout_milliseconds integer DEFAULT NULL,
    skip_lost boolean DEFAULT false
)
RETURNS SETOF @extschema@.job_lease
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
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_alive bigint[];
    v_untils timestamptz[];
    v_limited boolean;
    v_lost bigint[];
    v_cancelled bigint[] := ARRAY[]::bigint[];
BEGIN
    PERFORM @extschema@._check_release(job_ids, lease_tokens, 'paused', NULL, NULL, NULL, true);
    PERFORM @extschema@._require(COALESCE(timeout_milliseconds BETWEEN 100 AND 604800000, true),
        'timeout_milliseconds to be between 100 and 604800000', timeout_milliseconds::text);
    IF lease_tokens IS NULL OR array_position(lease_tokens, NULL) IS NOT NULL THEN
        lease_tokens := @extschema@._standing_tokens(job_ids, lease_tokens);
    END IF;

    WITH extended AS (
        UPDATE @extschema@.job AS j SET
            lease_until = GREATEST(j.lease_until, v_now + COALESCE(
                keep_jobs_alive.timeout_milliseconds, j.timeout_milliseconds,
                (SELECT q.timeout_milliseconds FROM @extschema@.queue AS q WHERE q.queue_id = j.queue_id))
                * interval '1 millisecond')
        FROM unnest(job_ids, lease_tokens) AS g (job_id, lease_token)
        WHERE j.job_id = ANY (keep_jobs_alive.job_ids) AND j.job_id = g.job_id
          AND j.lease_token = g.lease_token
        RETURNING j.job_id, j.lease_until,
            (SELECT q.max_concurrency IS NOT NULL FROM @extschema@.queue AS q
             WHERE q.queue_id = j.queue_id) AS is_limited
    )
    SELECT array_agg(e.job_id), array_agg(e.lease_until), bool_or(e.is_limited)
    INTO v_alive, v_untils, v_limited
    FROM extended AS e;

    IF v_limited THEN
        UPDATE @extschema@.running_job AS r SET lease_until = e.lease_until
        FROM unnest(v_alive, v_untils) AS e (job_id, lease_until)
        WHERE r.job_id = ANY (v_alive) AND r.job_id = e.job_id;
    END IF;
    v_lost := @extschema@._lost_leases(job_ids, COALESCE(v_alive, '{}'), skip_lost);
    IF v_lost <> '{}' THEN
        v_cancelled := ARRAY(SELECT f.job_id FROM @extschema@.finished_job AS f
                             WHERE f.job_id = ANY (v_lost) AND f.state = 'cancelled');
    END IF;
    RETURN QUERY
    SELECT g.job_id,
           CASE WHEN e.job_id IS NOT NULL THEN 'running'
                WHEN g.job_id = ANY (v_cancelled) THEN 'cancelled'
                ELSE 'lost' END,
           e.lease_until
    FROM unnest(job_ids) WITH ORDINALITY AS g (job_id, place)
    LEFT JOIN unnest(v_alive, v_untils) AS e (job_id, lease_until) ON e.job_id = g.job_id
    ORDER BY g.place;
END
$$;
COMMENT ON FUNCTION @extschema@.keep_jobs_alive IS
    'Extends the leases of running jobs to now plus timeout_milliseconds (100 to 604800000; default the job''s or the queue''s) and returns them in the order of job_ids with state running, lost or cancelled. A lost lease raises JQ003 and extends none, unless skip_lost => true, which tells it in the state. A null token speaks for whoever runs the job.';
