-- Status: jobs, live and finished, and the state of queues.

CREATE OR REPLACE VIEW @extschema@.every_job AS
SELECT j.job_id, j.queue_id, NULL::text AS finished_as, j.payload, j.headers, j.priority, j.attempt,
       j.max_attempts, j.start_after, j.added_at, j.picked_at, j.lease_token, j.lease_until,
       NULL::timestamptz AS finished_at, j.worker, j.held_by, j.group_key, j.unique_key,
       j.timeout_milliseconds, j.timeout_with_result, NULL::jsonb AS output, NULL::text AS error, j.attempts,
       j.workflow, j.workflow_version, j.step, j.parent_job_id
FROM @extschema@.job AS j
UNION ALL
SELECT f.job_id, f.queue_id, f.state, f.payload, f.headers, f.priority, f.attempt,
       f.max_attempts, f.start_after, f.added_at, f.picked_at, NULL, NULL,
       f.finished_at, f.worker, NULL, f.group_key, f.unique_key,
       f.timeout_milliseconds, f.timeout_with_result, f.output, f.error, f.attempts,
       f.workflow, f.workflow_version, f.step, f.parent_job_id
FROM @extschema@.finished_job AS f;
COMMENT ON VIEW @extschema@.every_job IS
    'All jobs, live and finished; read it through get_job, get_jobs and list_jobs.';

CREATE OR REPLACE FUNCTION @extschema@._state(
    held_by text,
    lease_token bigint,
    lease_until timestamptz,
    start_after timestamptz,
    at timestamptz
)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN CASE
    WHEN held_by IS NOT NULL THEN 'held'
    WHEN lease_token IS NOT NULL AND lease_until OPERATOR(pg_catalog.>) at THEN 'running'
    WHEN start_after OPERATOR(pg_catalog.>) at THEN 'scheduled'
    ELSE 'ready' END;
COMMENT ON FUNCTION @extschema@._state IS
    'Internal: the state of a live job; a lease that ran out leaves it ready. Without a search_path of its own, so that it is inlined.';

CREATE OR REPLACE FUNCTION @extschema@._status(j @extschema@.every_job, at timestamptz)
RETURNS @extschema@.job_status
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue record;
BEGIN
    SELECT q.queue_name, q.max_attempts INTO v_queue
    FROM @extschema@.queue AS q WHERE q.queue_id = j.queue_id;
    RETURN (
        j.job_id,
        v_queue.queue_name,
        COALESCE(j.finished_as,
                 @extschema@._state(j.held_by, j.lease_token, j.lease_until, j.start_after, at)),
        j.payload, j.headers, j.priority::integer, j.attempt::integer,
        COALESCE(j.max_attempts, v_queue.max_attempts), j.start_after, j.added_at, j.picked_at,
        j.lease_until, j.finished_at, j.worker, j.held_by, j.group_key, j.unique_key,
        j.timeout_milliseconds, j.timeout_with_result, j.output, j.error,
        CASE WHEN j.finished_at IS NULL OR j.picked_at IS NULL THEN COALESCE(j.attempts, '[]')
             ELSE @extschema@._with_attempt(j.attempts, @extschema@._attempt(
                 j.attempt, j.picked_at, j.finished_at, j.worker,
                 CASE j.finished_as WHEN 'dead' THEN 'failed' ELSE j.finished_as END, j.error, j.step)) END,
        j.workflow, j.workflow_version, j.step, j.parent_job_id
    )::@extschema@.job_status;
END
$$;
COMMENT ON FUNCTION @extschema@._status IS 'Internal: a row of every_job as get_job shows it.';

CREATE OR REPLACE FUNCTION @extschema@.get_jobs(job_ids bigint[])
RETURNS SETOF @extschema@.job_status
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_job @extschema@.every_job;
BEGIN
    PERFORM @extschema@._require(job_ids IS NOT NULL, 'job_ids', NULL);
    PERFORM @extschema@._require(COALESCE(array_ndims(job_ids), 1) = 1,
        'job_ids to have one dimension', array_dims(job_ids));
    PERFORM @extschema@._check_access(array_agg(DISTINCT j.queue_id), 'observer')
    FROM @extschema@.every_job AS j
    JOIN @extschema@.queue AS q ON q.queue_id = j.queue_id
    WHERE j.job_id = ANY (job_ids) AND q.is_restricted
    HAVING count(*) > 0;
    FOR v_job IN
        SELECT j.* FROM @extschema@.every_job AS j
        WHERE j.job_id = ANY (job_ids)
        ORDER BY array_position(job_ids, j.job_id)
    LOOP
        RETURN NEXT @extschema@._status(v_job, v_now);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.get_jobs IS
    'Returns these jobs, live or finished, in the order of job_ids; an unknown id, or one whose history is no longer kept, gives no row.';

CREATE OR REPLACE FUNCTION @extschema@.get_job(job_id bigint)
RETURNS @extschema@.job_status
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_job @extschema@.job_status;
BEGIN
    PERFORM @extschema@._require(job_id IS NOT NULL, 'job_id', NULL);
    SELECT g.* INTO v_job FROM @extschema@.get_jobs(ARRAY[job_id]) AS g;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'job % not found', job_id
            USING ERRCODE = 'JQ002',
                  DETAIL = 'It was never added, its adding is not committed, or its history is not kept any more.';
    END IF;
    RETURN v_job;
END
$$;
COMMENT ON FUNCTION @extschema@.get_job IS
    'Returns a job, live or finished, with the history of its attempts. Raises JQ002 when it is not known.';

CREATE OR REPLACE FUNCTION @extschema@.list_jobs(
    queue_name text DEFAULT NULL,
    state text DEFAULT NULL,
    before_job_id bigint DEFAULT NULL,
    max_jobs integer DEFAULT 100
)
RETURNS SETOF @extschema@.job_status
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_queue_id integer := CASE WHEN queue_name IS NOT NULL
                               THEN @extschema@._queue_id(queue_name, 'observer') END;
    v_hidden integer[];
    v_job @extschema@.every_job;
BEGIN
    PERFORM @extschema@._require(COALESCE(
            state IN ('scheduled', 'ready', 'running', 'held', 'complete', 'dead', 'cancelled'), true),
        'state to be one of scheduled, ready, running, held, complete, dead, cancelled', state);
    PERFORM @extschema@._require(max_jobs BETWEEN 1 AND 10000,
        'max_jobs to be between 1 and 10000', max_jobs::text);
    v_hidden := ARRAY(SELECT q.queue_id FROM @extschema@.queue AS q
                      WHERE q.is_restricted AND NOT @extschema@._has_access(q.queue_id, 'observer'));
    FOR v_job IN
        SELECT j.* FROM @extschema@.every_job AS j
        WHERE (v_queue_id IS NULL OR j.queue_id = v_queue_id)
          AND j.queue_id <> ALL (v_hidden)
          AND (before_job_id IS NULL OR j.job_id < before_job_id)
          AND (list_jobs.state IS NULL OR list_jobs.state = COALESCE(j.finished_as,
                @extschema@._state(j.held_by, j.lease_token, j.lease_until, j.start_after, v_now)))
        ORDER BY j.job_id DESC
        LIMIT max_jobs
    LOOP
        RETURN NEXT @extschema@._status(v_job, v_now);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.list_jobs IS
    'Returns up to max_jobs jobs (1 to 10000, default 100), the newest first, of one queue or all, in one state or any. The next page: before_job_id => the last job_id seen. Raises JQ001 when the queue does not exist.';

CREATE OR REPLACE FUNCTION @extschema@.queue_stats(queue_name text DEFAULT NULL)
RETURNS SETOF @extschema@.queue_stat
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_queue_id integer := CASE WHEN queue_name IS NOT NULL
                               THEN @extschema@._queue_id(queue_name, 'observer') END;
BEGIN
    RETURN QUERY
    WITH live AS (
        SELECT s.queue_id,
               count(*) FILTER (WHERE s.state = 'ready') AS ready,
               count(*) FILTER (WHERE s.state = 'scheduled') AS scheduled,
               count(*) FILTER (WHERE s.state = 'running') AS running,
               count(*) FILTER (WHERE s.state = 'held') AS held,
               min(s.start_after) FILTER (WHERE s.state = 'ready') AS oldest_ready_at
        FROM (SELECT j.queue_id, j.start_after,
                     @extschema@._state(j.held_by, j.lease_token, j.lease_until, j.start_after, v_now) AS state
              FROM @extschema@.job AS j
              WHERE v_queue_id IS NULL OR j.queue_id = v_queue_id) AS s
        GROUP BY s.queue_id
    ), dead AS (
        SELECT f.queue_id, count(*) AS dead
        FROM @extschema@.finished_job AS f
        WHERE f.state = 'dead' AND (v_queue_id IS NULL OR f.queue_id = v_queue_id)
        GROUP BY f.queue_id
    ), minute AS (
        SELECT f.queue_id, count(*) AS finished, count(*) FILTER (WHERE f.state = 'dead') AS failed
        FROM @extschema@.finished_job AS f
        WHERE f.finished_at > v_now - interval '1 minute'
          AND (v_queue_id IS NULL OR f.queue_id = v_queue_id)
        GROUP BY f.queue_id
    )
    SELECT q.queue_name, COALESCE(l.ready, 0), COALESCE(l.scheduled, 0), COALESCE(l.running, 0),
           COALESCE(l.held, 0), COALESCE(d.dead, 0),
           floor(EXTRACT(epoch FROM v_now - l.oldest_ready_at) * 1000)::bigint,
           COALESCE(m.finished, 0), m.failed::double precision / m.finished,
           COALESCE(q.paused_until > v_now, false)
    FROM @extschema@.queue AS q
    LEFT JOIN live AS l ON l.queue_id = q.queue_id
    LEFT JOIN dead AS d ON d.queue_id = q.queue_id
    LEFT JOIN minute AS m ON m.queue_id = q.queue_id
    WHERE (v_queue_id IS NULL OR q.queue_id = v_queue_id)
      AND (NOT q.is_dropped OR l.queue_id IS NOT NULL)
      AND (NOT q.is_restricted OR @extschema@._has_access(q.queue_id, 'observer'))
    ORDER BY q.queue_name;
END
$$;
COMMENT ON FUNCTION @extschema@.queue_stats IS
    'Returns for one queue or all: numbers of jobs by state; the age of the oldest ready job in milliseconds, null when none is ready; how many jobs finished in the last minute, as far as history is kept, and which share of them (0 to 1) died. Counts every live job: seconds for millions. Raises JQ001 when the queue does not exist.';
