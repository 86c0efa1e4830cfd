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
           p.headers, p.priority, p.group_key, p.start_after, p.added_at, p.timeout_milliseconds
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
               p.headers, p.priority, p.group_key, p.start_after, p.added_at, p.timeout_milliseconds
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
-- A transaction prepares each expression that it comes across anew, which is much of what a single
-- pick costs: the way of the plain case has as few of them as can be.
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
DECLARE
    v_now timestamptz;
    v_wanted integer := max_jobs;
    v_take integer;
    v_taken integer;
    v_lanes @extschema@.lane_visit[];
    v_lane @extschema@.lane_visit;
    v_mark text;
    v_from @extschema@.watermark;
    v_began timestamptz;
    v_slow_at timestamptz;
BEGIN
    IF (cardinality(queue_names) >= 0 AND max_jobs BETWEEN 1 AND 10000
        AND COALESCE(octet_length(worker), 0) <= 200 AND timeout_milliseconds IS NULL) IS NOT TRUE THEN
        PERFORM @extschema@._check_pick(queue_names, max_jobs, worker, timeout_milliseconds);
    END IF;
    -- A pick that stands alone may be lost in a crash: its jobs are then simply ready again.
    IF NOT durable THEN
        v_mark := set_config('synchronous_commit', 'off', true);
    END IF;
    IF cardinality(queue_names) > 1 THEN
        RETURN QUERY
        SELECT p.job_id, p.queue_name, p.lease_token, p.lease_until, p.attempt, p.max_attempts, p.payload,
               p.headers, p.priority, p.group_key, p.start_after, p.added_at, p.timeout_milliseconds
        FROM @extschema@._pick_from_many(
            queue_names, max_jobs, pick_jobs.worker, pick_jobs.timeout_milliseconds,
            pick_jobs.ignore_max_concurrency) AS p;
        RETURN;
    END IF;
    v_lanes := @extschema@._lanes_to_visit(queue_names, max_jobs);

    FOREACH v_lane IN ARRAY v_lanes LOOP
        LOOP
            v_take := v_wanted;
            IF v_lane.max_concurrency IS NOT NULL THEN
                v_take := LEAST(v_take, @extschema@._room(
                    v_lane.queue_id, v_lane.max_concurrency, ignore_max_concurrency));
            END IF;
            EXIT WHEN v_take <= 0;

            v_mark := @extschema@._lane_mark(v_lane.queue_id, v_lane.priority);
            v_now := @extschema@._now();
            IF current_setting(v_mark, true) <> '' THEN
                v_from := @extschema@._watermark(v_mark, v_now);
            ELSE
                v_from := ('-infinity', 0, false);
            END IF;
            v_began := clock_timestamp();
            RETURN QUERY
            WITH picked AS (
                UPDATE @extschema@.job AS j SET
                    -- A row that has a lease already is one whose lease ran out: it is not picked but noted.
                    lease_token = CASE WHEN j.lease_token IS NULL
                        THEN 1 + floor(random() * 9007199254740990)::bigint
                        ELSE @extschema@._note_expired(j.job_id) END,
                    lease_until = CASE WHEN j.lease_token IS NULL
                        THEN v_now + COALESCE(j.timeout_milliseconds, pick_jobs.timeout_milliseconds,
                                              v_lane.timeout_milliseconds) * interval '1 millisecond'
                        ELSE j.lease_until END,
                    attempt = CASE WHEN j.lease_token IS NULL THEN j.attempt + 1 ELSE j.attempt END,
                    picked_at = CASE WHEN j.lease_token IS NULL THEN v_now ELSE j.picked_at END,
                    worker = CASE WHEN j.lease_token IS NULL THEN pick_jobs.worker ELSE j.worker END
                WHERE j.ctid = ANY (ARRAY(
                    SELECT next.ctid
                    FROM @extschema@.job AS next
                    WHERE next.queue_id = v_lane.queue_id
                      AND next.priority = v_lane.priority
                      AND next.held_by IS NULL
                      AND (next.start_after, next.job_id) >= (v_from.from_at, v_from.from_id)
                      AND next.start_after <= v_now
                      AND (next.lease_until IS NULL OR next.lease_until <= v_now)
                    ORDER BY next.start_after, next.job_id
                    LIMIT v_take
                    FOR UPDATE SKIP LOCKED))
                RETURNING j.job_id, j.lease_token, j.lease_until, j.attempt, j.max_attempts, j.payload,
                    j.headers, j.group_key, j.start_after, j.added_at, j.timeout_milliseconds
            )
            SELECT p.job_id, v_lane.queue_name, p.lease_token, p.lease_until, p.attempt::integer,
                   COALESCE(p.max_attempts, v_lane.max_attempts), p.payload, p.headers,
                   v_lane.priority::integer, p.group_key, p.start_after, p.added_at,
                   COALESCE(p.timeout_milliseconds, pick_jobs.timeout_milliseconds, v_lane.timeout_milliseconds)
            FROM picked AS p
            WHERE p.lease_token IS NOT NULL
            ORDER BY p.start_after, p.job_id;
            GET DIAGNOSTICS v_taken = ROW_COUNT;

            v_slow_at := v_began + interval '150 microseconds' + v_take * interval '20 microseconds';
            IF clock_timestamp() > v_slow_at OR v_from.is_set THEN
                PERFORM @extschema@._note_lane_scan(v_lane, v_mark, v_from, v_now,
                    clock_timestamp() > v_slow_at, clock_timestamp() - v_began);
            END IF;
            IF v_lane.max_concurrency IS NOT NULL THEN
                PERFORM @extschema@._count_as_running(v_lane.queue_id, v_lane.priority, v_from, v_now, v_taken);
            END IF;
            v_wanted := v_wanted - v_taken;
            EXIT WHEN COALESCE(current_setting('pgq.expired', true), '') = '';
            PERFORM @extschema@._time_out_noted();
        END LOOP;
        EXIT WHEN v_wanted <= 0;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.pick_jobs IS
$$Leases up to max_jobs jobs (1 to 10000, default 1) of these queues and returns them: highest priority first, then oldest start_after. Never a job before its start_after, of a paused queue, or above a limit; a queue that does not exist has no jobs. A job whose lease ran out is released with its timeout_with_result when a pick meets it.
worker: a name for the history (up to 200 bytes). timeout_milliseconds (100 to 604800000): the length of the lease of jobs that have none of their own, default the queue's.
durable => false sets synchronous_commit off for the transaction: use it where the pick stands alone; a crash may lose the pick, never the job.
ignore_max_concurrency => true picks above the queue's max_concurrency; the job counts all the same.
Errors: 22004, 22023 for bad values; 0A000 for a queue with limits in a transaction that is not read committed.$$;
