-- Pick: lease the jobs at the head of the line. No index is touched: see tables/20-job.sql.

CREATE OR REPLACE FUNCTION @extschema@._check_pick(
    queue_names text[],
    max_jobs integer,
    worker text,
    timeout_milliseconds integer
)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._require(queue_names IS NOT NULL, 'queue_names', NULL);
    PERFORM @extschema@._require(max_jobs BETWEEN 1 AND 10000,
        'max_jobs to be between 1 and 10000', max_jobs::text);
    PERFORM @extschema@._require(octet_length(worker) <= 200 OR worker IS NULL,
        'worker to be at most 200 bytes long', worker);
    PERFORM @extschema@._require(COALESCE(timeout_milliseconds BETWEEN 100 AND 604800000, true),
        'timeout_milliseconds to be between 100 and 604800000', timeout_milliseconds::text);
END
$$;
COMMENT ON FUNCTION @extschema@._check_pick IS
    'Internal: raises 22023 or 22004 for an argument of pick_jobs that is out of its range.';

-- To ask is a twentieth of what it costs to try to lock a row that another transaction holds.
-- age() counts back from this transaction. What it made itself, or in a savepoint, has an age of 0 or less, and of ready
-- rows it holds no others: they are left to the lock.
CREATE OR REPLACE FUNCTION @extschema@._is_taken(xmin xid, xmax xid, seen txid_snapshot, seen_age integer)
RETURNS boolean
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN pg_catalog.age(xmax) OPERATOR(pg_catalog.<=) seen_age AND pg_catalog.age(xmin) OPERATOR(pg_catalog.>) 0
    AND NOT pg_catalog.txid_visible_in_snapshot(
        pg_catalog.txid_snapshot_xmin(seen) OPERATOR(pg_catalog.+) seen_age OPERATOR(pg_catalog.-) pg_catalog.age(xmax), seen);
COMMENT ON FUNCTION @extschema@._is_taken IS
    'Internal: whether another transaction, which had not ended in the snapshot, has locked or changed the row with this xmin and xmax; seen_age is the age of the oldest transaction that had not. Without a search_path of its own, so that it is inlined.';

-- Writes, locks: as pick_jobs.
CREATE OR REPLACE FUNCTION @extschema@._pick_from_many(
    queue_names text[],
    max_jobs integer,
    worker text,
    timeout_milliseconds integer,
    ignore_max_concurrency boolean
)
RETURNS SETOF @extschema@.picked_job
LANGUAGE plpgsql
VOLATILE
ROWS 100
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = on
AS $$
DECLARE
    v_names text[];
    v_shares integer[];
    v_found integer;
    v_taken integer;
    v_queue_name text;
BEGIN
    SELECT array_agg(q.queue_name), array_agg(q.share), sum(q.found)
    INTO v_names, v_shares, v_found
    FROM (SELECT s.queue_name, sum(s.share)::integer AS share, sum(s.found) AS found
          FROM @extschema@._share_out(queue_names, max_jobs) AS s
          GROUP BY s.queue_name) AS q;
    RETURN QUERY
    SELECT p.job_id, p.queue_name, p.lease_token, p.lease_until, p.attempt, p.max_attempts, p.payload,
           p.headers, p.priority, p.group_key, p.start_after, p.added_at, p.timeout_milliseconds,
           p.workflow, p.workflow_version, p.step
    FROM unnest(v_names, v_shares) AS s (queue_name, share)
    CROSS JOIN LATERAL @extschema@.pick_jobs(
        ARRAY[s.queue_name], s.share, _pick_from_many.worker, _pick_from_many.timeout_milliseconds, true,
        _pick_from_many.ignore_max_concurrency) AS p
    WHERE s.share > 0
    ORDER BY p.priority DESC, p.start_after, p.job_id;
    GET DIAGNOSTICS v_taken = ROW_COUNT;

    -- Others were faster, a queue was full, or a share too small: what is left is taken wherever it is.
    FOREACH v_queue_name IN ARRAY COALESCE(v_names, '{}') LOOP
        EXIT WHEN v_taken >= LEAST(max_jobs, v_found);
        max_jobs := max_jobs - v_taken;
        v_found := v_found - v_taken;
        RETURN QUERY
        SELECT p.job_id, p.queue_name, p.lease_token, p.lease_until, p.attempt, p.max_attempts, p.payload,
               p.headers, p.priority, p.group_key, p.start_after, p.added_at, p.timeout_milliseconds,
               p.workflow, p.workflow_version, p.step
        FROM @extschema@.pick_jobs(
            ARRAY[v_queue_name], max_jobs, _pick_from_many.worker, _pick_from_many.timeout_milliseconds, true,
            _pick_from_many.ignore_max_concurrency) AS p;
        GET DIAGNOSTICS v_taken = ROW_COUNT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._pick_from_many IS
    'Internal: pick_jobs for several queues: picks from each its share of the jobs that are first in line.';

-- Writes: job.lease_until, lease_token, attempt, picked_at, worker; running_job for queues with a limit.
-- Locks: the picked rows with SKIP LOCKED; the advisory locks of queues with limits or groups.
CREATE OR REPLACE FUNCTION @extschema@.pick_jobs(
    queue_names text[],
    max_jobs integer DEFAULT 1,
    worker text DEFAULT NULL,
    timeout_milliseconds integer DEFAULT NULL,
    durable boolean DEFAULT true,
    ignore_max_concurrency boolean DEFAULT false
)
RETURNS SETOF @extschema@.picked_job
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
SET jit = off
AS $$
BEGIN
    -- A pick that stands alone may be lost in a crash: its jobs are then simply ready again.
    -- Assigned, because a PERFORM would cost three times as much.
    durable := durable IS NOT FALSE OR set_config('synchronous_commit', 'off', true) <> 'off';
    -- include parts/pick.sql
END
$$;
COMMENT ON FUNCTION @extschema@.pick_jobs IS
$$Leases up to max_jobs jobs (1 to 10000, default 1) of these queues and returns them: highest priority first, then oldest start_after. Never a job before its start_after, of a paused queue, or above a limit; a queue that does not exist has no jobs. A job whose lease ran out is released with its timeout_with_result when a pick meets it.
worker: a name for the history (up to 200 bytes). timeout_milliseconds (100 to 604800000): the length of the lease of jobs that have none of their own, default the queue's.
durable => false sets synchronous_commit off for the transaction: use it where the pick stands alone; a crash may lose the pick, never the job.
ignore_max_concurrency => true picks above the queue's max_concurrency; the job counts all the same.
Errors: 22004, 22023 for bad values; 0A000 for a queue with limits in a transaction that is not read committed.$$;
