-- Lanes: a queue and a priority. A pick visits lanes; one that made it step over many rows gets a watermark.

-- One number for both, which is quicker than each by itself: a priority lies between -100 and 100.
CREATE OR REPLACE FUNCTION @extschema@._lane_mark(queue_id integer, priority smallint)
RETURNS text
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN 'pgq.lane_' OPERATOR(pg_catalog.||) '@extschema@.job'::regclass::oid::text OPERATOR(pg_catalog.||) '_'
    OPERATOR(pg_catalog.||) (queue_id::bigint OPERATOR(pg_catalog.*) 1000 OPERATOR(pg_catalog.+) priority)::text;
COMMENT ON FUNCTION @extschema@._lane_mark IS
    'Internal: the name of the setting that keeps the watermark of a lane. Without a search_path of its own, so that it is inlined.';

-- Writes, locks: what _prepare_queue does.
CREATE OR REPLACE FUNCTION @extschema@._lanes_to_visit(queue_names text[], wanted integer)
RETURNS @extschema@.lane_visit[]
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_lanes @extschema@.lane_visit[];
    v_lane @extschema@.lane_visit;
    v_prepared integer := 0;
BEGIN
    -- OFFSET 0 keeps the join as it is written: a look into lane for each queue.
    v_lanes := ARRAY(
        SELECT ROW(q.queue_id, q.queue_name, l.priority, q.max_attempts, q.timeout_milliseconds,
                   q.max_concurrency, q.has_groups OR q.has_waits OR q.is_restricted)::@extschema@.lane_visit
        FROM @extschema@.queue AS q
        CROSS JOIN LATERAL (SELECT known.priority FROM @extschema@.lane AS known
                            WHERE known.queue_id = q.queue_id OFFSET 0) AS l
        WHERE q.queue_name = ANY (queue_names) AND (q.paused_until IS NULL OR q.paused_until <= v_now)
        ORDER BY l.priority DESC, q.queue_id);
    FOREACH v_lane IN ARRAY v_lanes LOOP
        IF v_lane.is_special AND v_lane.queue_id <> v_prepared THEN
            PERFORM @extschema@._prepare_queue(v_lane.queue_id, wanted);
            v_prepared := v_lane.queue_id;
        END IF;
    END LOOP;
    RETURN v_lanes;
END
$$;
COMMENT ON FUNCTION @extschema@._lanes_to_visit IS
    'Internal: the lanes of these queues, the highest priority first. Inherits the settings of _share_out.';

-- Writes, locks: as _let_runs_through and _let_groups_through.
CREATE OR REPLACE FUNCTION @extschema@._prepare_queue(queue_id integer, wanted integer)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue record;
BEGIN
    SELECT q.is_restricted, q.has_groups, q.has_waits, q.max_concurrency_per_group, q.group_order INTO v_queue
    FROM @extschema@.queue AS q WHERE q.queue_id = _prepare_queue.queue_id;
    IF v_queue.is_restricted THEN
        PERFORM @extschema@._check_access(ARRAY[queue_id], 'worker');
    END IF;
    -- First, because a run that goes on may then wait for the turn of its group.
    IF v_queue.has_waits THEN
        PERFORM @extschema@._let_runs_through(queue_id, wanted);
    END IF;
    IF v_queue.has_groups THEN
        PERFORM @extschema@._let_groups_through(queue_id, v_queue.max_concurrency_per_group,
            v_queue.group_order = 'strict', wanted);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._prepare_queue IS
    'Internal: what a pick does first with a queue that is restricted, has groups or runs that wait.';

-- Writes: a watermark of the session.
CREATE OR REPLACE FUNCTION @extschema@._note_lane_scan(
    queue_id integer,
    priority smallint,
    began_from @extschema@.watermark,
    picked_at timestamptz,
    is_slow boolean,
    took interval
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_first_at timestamptz;
    v_first_id bigint;
BEGIN
    -- What the pick met is not handed to here, which would cost every pick: a slow one looks again for the
    -- first job that it took, or could not take although it might have been picked.
    IF is_slow THEN
        SELECT j.start_after, j.job_id INTO v_first_at, v_first_id
        FROM @extschema@.job AS j
        WHERE j.queue_id = _note_lane_scan.queue_id AND j.priority = _note_lane_scan.priority AND j.held_by IS NULL
          AND (j.start_after, j.job_id) >= (began_from.from_at, began_from.from_id)
          AND j.start_after <= _note_lane_scan.picked_at
          AND (j.lease_until IS NULL OR j.lease_until <= _note_lane_scan.picked_at
               OR j.picked_at = _note_lane_scan.picked_at)
        ORDER BY j.start_after, j.job_id
        LIMIT 1;
    END IF;
    PERFORM @extschema@._note_scan(@extschema@._lane_mark(queue_id, priority), began_from.is_set, is_slow, took,
        COALESCE(v_first_at, picked_at - interval '100 milliseconds'), COALESCE(v_first_id, 0), picked_at);
END
$$;
COMMENT ON FUNCTION @extschema@._note_lane_scan IS
    'Internal: moves the watermark of a lane to the first job that this pick took or left.';

-- How many jobs to take from each queue so that together they are the first in line. Looks, without
-- locks, at as many jobs of each lane as are wanted; of more than eight lanes of one priority only at a share.
-- Writes, locks: what _prepare_queue does.
CREATE OR REPLACE FUNCTION @extschema@._share_out(queue_names text[], wanted integer)
RETURNS SETOF @extschema@.queue_share
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_nestloop = on
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_lanes @extschema@.lane_visit[] := @extschema@._lanes_to_visit(queue_names, wanted);
    v_now timestamptz := @extschema@._now();
    v_began timestamptz := clock_timestamp();
    v_work bigint := @extschema@._scan_work('@extschema@.job_ready_idx');
    v_took interval;
    v_is_slow boolean;
    v_lane record;
BEGIN
    FOR v_lane IN
        WITH seen AS MATERIALIZED (
            SELECT v.queue_name, @extschema@._lane_mark(v.queue_id, v.priority) AS mark, w.is_set,
                   c.start_after, c.job_id,
                   row_number() OVER (ORDER BY c.job_id IS NULL, v.priority DESC, c.start_after, c.job_id) AS rank
            FROM (SELECT l.queue_id, l.queue_name, l.priority,
                         GREATEST(1, wanted * LEAST(1, 8.0 / count(*) OVER (PARTITION BY l.priority)))::integer AS depth
                  FROM unnest(v_lanes) AS l) AS v
            CROSS JOIN LATERAL @extschema@._watermark(@extschema@._lane_mark(v.queue_id, v.priority), v_now) AS w
            LEFT JOIN LATERAL (
                SELECT j.start_after, j.job_id
                FROM @extschema@.job AS j
                WHERE j.queue_id = v.queue_id AND j.priority = v.priority AND j.held_by IS NULL
                  AND (j.start_after, j.job_id) >= (w.from_at, w.from_id)
                  AND j.start_after <= v_now
                  AND (j.lease_until IS NULL OR j.lease_until <= v_now)
                ORDER BY j.start_after, j.job_id
                LIMIT v.depth
            ) AS c ON true
        )
        SELECT s.queue_name, s.mark, s.is_set, min(s.start_after) AS found_at, count(s.job_id)::integer AS found,
               count(s.job_id) FILTER (WHERE s.rank <= wanted)::integer AS share
        FROM seen AS s
        GROUP BY s.queue_name, s.mark, s.is_set
    LOOP
        v_took := COALESCE(v_took, clock_timestamp() - v_began);
        v_is_slow := COALESCE(v_is_slow, @extschema@._is_slow(
            @extschema@._scan_work('@extschema@.job_ready_idx') - v_work,
            400 + cardinality(v_lanes) * (100 + 2 * wanted), v_took));
        IF v_is_slow THEN
            PERFORM @extschema@._note_scan(v_lane.mark, v_lane.is_set, true, v_took,
                COALESCE(v_lane.found_at, v_now - interval '100 milliseconds'), 0, v_now);
        END IF;
        IF v_lane.found > 0 THEN
            RETURN NEXT (v_lane.queue_name, v_lane.share, v_lane.found)::@extschema@.queue_share;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._share_out IS
    'Internal: for each lane of these queues that has jobs to pick its queue, the share of the wanted jobs to take there, and how many were seen.';
