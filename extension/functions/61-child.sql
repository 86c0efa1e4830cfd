-- Children: jobs that a run starts and waits for.

CREATE OR REPLACE FUNCTION @extschema@._check_children(children jsonb, failed_children jsonb)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_bad text;
BEGIN
    PERFORM @extschema@._require(jsonb_typeof(children) = 'array', 'children to be a json array', children::text);
    PERFORM @extschema@._require(jsonb_array_length(children) <= 100000,
        'at most 100000 children', jsonb_array_length(children)::text);
    PERFORM @extschema@._require(
        COALESCE(jsonb_typeof(failed_children), 'null') = 'null' OR failed_children IN ('"fail"', '"ignore"')
        OR (jsonb_typeof(failed_children) = 'number' AND failed_children::text ~ '^[0-9]{1,6}$'),
        'failed_children to be fail, ignore or a number', failed_children::text);
    -- In one expression, because they may be many.
    SELECT c.child::text INTO v_bad
    FROM jsonb_array_elements(children) AS c (child)
    CROSS JOIN LATERAL jsonb_populate_record(NULL::@extschema@.follow_up,
        CASE jsonb_typeof(c.child) WHEN 'object' THEN c.child - 'payload' ELSE '{}' END) AS f
    WHERE NOT COALESCE(jsonb_typeof(c.child) = 'object' AND c.child ? 'payload'
        AND c.child - ARRAY['queue_name', 'payload', 'workflow', 'workflow_version', 'priority', 'group_key', 'start_after',
            'max_attempts', 'headers', 'timeout_milliseconds'] = '{}'
        AND COALESCE(f.priority BETWEEN -100 AND 100, true)
        AND COALESCE(isfinite(f.start_after), true)
        AND COALESCE(f.max_attempts BETWEEN 1 AND 1000, true)
        AND COALESCE(f.timeout_milliseconds BETWEEN 100 AND 604800000, true)
        AND COALESCE(octet_length(f.group_key) BETWEEN 1 AND 1000, true)
        AND COALESCE(jsonb_typeof(f.headers) = 'object', true)
        AND (f.workflow IS NOT NULL OR f.workflow_version IS NULL), false)
    LIMIT 1;
    PERFORM @extschema@._require(v_bad IS NULL,
        'each of children to have a payload, and nothing else but parameters of add_job in their ranges', v_bad);
END
$$;
COMMENT ON FUNCTION @extschema@._check_children IS
    'Internal: raises for children that finish_step does not take.';

CREATE OR REPLACE FUNCTION @extschema@._children_of(parent_ids bigint[], nexts jsonb[])
RETURNS @extschema@.child_job[]
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(
        SELECT ROW(n.job_id, c.place, COALESCE(f.queue_name, n.queue_name), c.child -> 'payload', f.start_after,
                   COALESCE(f.priority, 0), f.max_attempts, f.group_key, f.timeout_milliseconds, f.headers, f.workflow,
                   f.workflow_version)::@extschema@.child_job
        FROM (SELECT g.job_id, g.next,
                     (SELECT q.queue_name FROM @extschema@.job AS j
                      JOIN @extschema@.queue AS q ON q.queue_id = j.queue_id WHERE j.job_id = g.job_id) AS queue_name
              FROM unnest(parent_ids, nexts) AS g (job_id, next)) AS n
        CROSS JOIN LATERAL jsonb_array_elements(n.next -> 'children') WITH ORDINALITY AS c (child, place)
        CROSS JOIN LATERAL jsonb_populate_record(NULL::@extschema@.follow_up, c.child - 'payload') AS f);
END
$$;
COMMENT ON FUNCTION @extschema@._children_of IS
    'Internal: the children that these runs ask for by their nexts.';

-- Writes: inserts into job, run_wait, group_hint; queue and lane when they are new.  Locks: nothing.
CREATE OR REPLACE FUNCTION @extschema@._start_children(parent_ids bigint[], nexts jsonb[], started_at timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_mergejoin = off
AS $$
DECLARE
    v_children @extschema@.child_job[] := @extschema@._children_of(parent_ids, nexts);
    v_queue_ids integer[];
    v_due_at timestamptz;
BEGIN
    PERFORM @extschema@._prepare_add(lane.queue_name, lane.priority, lane.payload_bytes, lane.headers_bytes)
    FROM (SELECT c.queue_name, c.priority, max(pg_column_size(c.payload)) AS payload_bytes,
                 max(pg_column_size(c.headers)) AS headers_bytes
          FROM unnest(v_children) AS c
          GROUP BY c.queue_name, c.priority
          ORDER BY c.queue_name, c.priority) AS lane;

    WITH kind AS MATERIALIZED (
        SELECT k.queue_name, k.workflow, k.workflow_version, q.queue_id,
               q.max_concurrency_per_group IS NOT NULL AS holds_groups,
               CASE WHEN k.workflow IS NOT NULL THEN
                   @extschema@._first_step(q.queue_id, k.workflow, k.workflow_version) END AS first
        FROM (SELECT DISTINCT c.queue_name, c.workflow, c.workflow_version FROM unnest(v_children) AS c) AS k
        JOIN @extschema@.queue AS q ON q.queue_name = k.queue_name
    ), started AS (
        INSERT INTO @extschema@.job AS j (
            queue_id, priority, start_after, added_at, max_attempts, timeout_milliseconds, timeout_with_result, held_by,
            group_key, headers, payload, parent_job_id, workflow, workflow_version, step, progress)
        SELECT k.queue_id, c.priority, COALESCE(c.start_after, started_at), started_at,
               COALESCE((k.first).max_attempts, c.max_attempts),
               COALESCE((k.first).timeout_milliseconds, c.timeout_milliseconds), (k.first).timeout_with_result,
               CASE WHEN k.holds_groups AND c.group_key IS NOT NULL THEN 'group' END, c.group_key, c.headers, c.payload,
               c.parent_job_id, (k.first).workflow, (k.first).version, (k.first).step,
               CASE WHEN k.workflow IS NOT NULL THEN
                   @extschema@._own_settings(c.max_attempts, c.timeout_milliseconds, NULL) END
        FROM unnest(v_children) AS c
        JOIN kind AS k ON k.queue_name = c.queue_name AND COALESCE(k.workflow, '') = COALESCE(c.workflow, '')
            AND COALESCE(k.workflow_version, 0) = COALESCE(c.workflow_version, 0)
        ORDER BY c.parent_job_id, c.place
        RETURNING j.job_id, j.parent_job_id, j.queue_id, j.start_after, j.group_key, j.held_by
    ), family AS (
        SELECT s.parent_job_id, min(s.job_id) AS first_child_id, array_agg(s.job_id) AS child_ids, count(*) AS children
        FROM started AS s
        GROUP BY s.parent_job_id
    ), waits AS (
        INSERT INTO @extschema@.run_wait (
            job_id, queue_id, first_child_id, child_ids, children_left, children_failed, children_may_fail)
        SELECT p.job_id, p.queue_id, f.first_child_id, f.child_ids, f.children, 0,
               CASE n.may_fail WHEN 'ignore' THEN 2147483647 WHEN 'fail' THEN 0 ELSE n.may_fail::integer END
        FROM family AS f
        JOIN (SELECT g.job_id, COALESCE(g.next ->> 'failed_children', 'fail') AS may_fail
              FROM unnest(parent_ids, nexts) AS g (job_id, next)) AS n ON n.job_id = f.parent_job_id
        JOIN @extschema@.job AS p ON p.job_id = f.parent_job_id
        WHERE p.job_id = ANY (parent_ids)
    ), hints AS (
        INSERT INTO @extschema@.group_hint (queue_id, group_key, due_at)
        SELECT DISTINCT s.queue_id, s.group_key, s.start_after
        FROM started AS s
        WHERE s.held_by = 'group'
    )
    SELECT array_agg(DISTINCT s.queue_id), min(s.start_after) INTO v_queue_ids, v_due_at
    FROM started AS s;
    PERFORM @extschema@._wake_workers(v_queue_ids, v_due_at);
END
$$;
COMMENT ON FUNCTION @extschema@._start_children IS
    'Internal: adds the children that these runs ask for by their nexts, and notes that the runs wait for them.';

-- Writes: child_result, run_hint.  Locks: nothing.
CREATE OR REPLACE FUNCTION @extschema@._report_children(results @extschema@.child_result[], reported_at timestamptz)
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
DECLARE
    v_parent_ids bigint[] := ARRAY(SELECT DISTINCT r.parent_job_id FROM unnest(results) AS r);
    v_queue_ids integer[];
BEGIN
    WITH awaited AS MATERIALIZED (
        SELECT w.queue_id, w.first_child_id, r.parent_job_id, r.job_id, r.state, r.error, r.output
        FROM @extschema@.run_wait AS w
        JOIN unnest(results) AS r ON r.parent_job_id = w.job_id
        WHERE w.job_id = ANY (v_parent_ids)
          -- Else it is the child of an earlier wait.
          AND r.job_id >= w.first_child_id
    ), kept AS (
        INSERT INTO @extschema@.child_result (parent_job_id, job_id, state, error, output)
        SELECT a.parent_job_id, a.job_id, a.state, left(a.error, 4000), a.output
        FROM awaited AS a
    ), hinted AS (
        INSERT INTO @extschema@.run_hint (queue_id, job_id, first_child_id, due_at, done, failed)
        SELECT a.queue_id, a.parent_job_id, a.first_child_id, reported_at, count(*),
               count(*) FILTER (WHERE a.state <> 'complete')
        FROM awaited AS a
        GROUP BY a.queue_id, a.parent_job_id, a.first_child_id
    )
    SELECT array_agg(DISTINCT a.queue_id) INTO v_queue_ids
    FROM awaited AS a;
    IF v_queue_ids IS NOT NULL THEN
        PERFORM @extschema@._wake_workers(v_queue_ids);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._report_children IS
    'Internal: tells the runs that wait for these jobs how they ended.';

CREATE OR REPLACE FUNCTION @extschema@._max_results_bytes()
RETURNS integer
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN 100000000;
COMMENT ON FUNCTION @extschema@._max_results_bytes IS
    'Internal: how large the outputs and errors of a run''s children may be together; a json value holds no more than 268435455 bytes. Tests replace it.';

CREATE OR REPLACE FUNCTION @extschema@._results_of(parent_job_id bigint, first_child_id bigint)
RETURNS jsonb
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    -- What cannot be stored would fail each pick of the queue, not only this run.
    IF (SELECT sum(octet_length(concat(c.output, c.error)))
        FROM @extschema@.child_result AS c
        WHERE c.parent_job_id = _results_of.parent_job_id) > @extschema@._max_results_bytes() THEN
        RETURN NULL;
    END IF;
    RETURN (
        SELECT jsonb_agg(jsonb_build_object('job_id', c.job_id, 'state', c.state, 'output', c.output, 'error', c.error)
                         ORDER BY c.job_id)
        FROM @extschema@.child_result AS c
        WHERE c.parent_job_id = _results_of.parent_job_id AND c.job_id >= _results_of.first_child_id);
END
$$;
COMMENT ON FUNCTION @extschema@._results_of IS
    'Internal: how the children of a run ended, in the order in which it started them; null when that is too much for one run.';

-- Writes: as _finish_jobs.  Locks: rows of children that wait, with SKIP LOCKED.
CREATE OR REPLACE FUNCTION @extschema@._cancel_children(child_ids bigint[], cancelled_at timestamptz)
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
    v_waiting bigint[];
BEGIN
    v_waiting := ARRAY(SELECT j.job_id FROM @extschema@.job AS j
                       WHERE j.job_id = ANY (child_ids) AND j.lease_token IS NULL
                       FOR UPDATE SKIP LOCKED);
    IF v_waiting <> '{}' THEN
        PERFORM @extschema@._finish_jobs(v_waiting, NULL, 'cancelled', NULL,
            array_fill('the run that started it has ended'::text, ARRAY[cardinality(v_waiting)]), cancelled_at);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._cancel_children IS
    'Internal: cancels those of these jobs that do not run.';
