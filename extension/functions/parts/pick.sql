-- The body of pick_jobs and of release_and_pick, which the Makefile puts in both: a function of many rows that calls
-- another one costs a single job a quarter of its time.
-- A transaction prepares each expression anew that it comes across, which is most of what a single pick costs: the way
-- of the plain case (one queue without limits, the jobs in its first lane) has as few of them as can be.
DECLARE
    v_lane record;
    v_below smallint;
    v_is_prepared boolean;
    v_is_slow boolean;
    v_taken integer;
    v_worker ALIAS FOR worker;
    v_timeout ALIAS FOR timeout_milliseconds;
BEGIN
    IF (cardinality(queue_names) = 1 AND max_jobs BETWEEN 1 AND 10000
        AND COALESCE(octet_length(v_worker), 0) <= 200 AND v_timeout IS NULL) IS NOT TRUE THEN
        PERFORM @extschema@._check_pick(queue_names, max_jobs, v_worker, v_timeout);
        IF cardinality(queue_names) > 1 THEN
            RETURN QUERY
            SELECT p.job_id, p.queue_name, p.lease_token, p.lease_until, p.attempt, p.max_attempts, p.payload,
                   p.headers, p.priority, p.group_key, p.start_after, p.added_at, p.timeout_milliseconds,
                   p.workflow, p.workflow_version, p.step
            FROM @extschema@._pick_from_many(queue_names, max_jobs, v_worker, v_timeout, ignore_max_concurrency) AS p;
            RETURN;
        END IF;
    END IF;

    LOOP
        SELECT q.queue_id, q.queue_name, l.priority, q.max_attempts, q.max_concurrency,
               COALESCE(v_timeout, q.timeout_milliseconds) AS timeout_milliseconds,
               q.has_groups OR q.has_waits OR q.is_restricted AS is_special,
               current_setting(@extschema@._lane_mark(q.queue_id, l.priority), true) AS mark,
               timestamptz '-infinity' AS from_at, 0::bigint AS from_id, false AS is_from_mark,
               max_jobs AS take, @extschema@._now() AS now, clock_timestamp() AS began_at,
               @extschema@._scan_work('@extschema@.job_ready_idx') AS work
        INTO v_lane
        FROM @extschema@.queue AS q
        CROSS JOIN LATERAL (SELECT known.priority FROM @extschema@.lane AS known
                            WHERE known.queue_id = q.queue_id AND known.priority < COALESCE(v_below, 101)
                            ORDER BY known.priority DESC LIMIT 1) AS l
        WHERE q.queue_name = ANY (queue_names) AND (q.paused_until IS NULL OR q.paused_until <= @extschema@._now());
        EXIT WHEN NOT FOUND;

        IF v_lane.is_special OR v_lane.max_concurrency IS NOT NULL OR v_lane.mark <> '' THEN
            IF v_lane.is_special AND v_is_prepared IS NULL THEN
                PERFORM @extschema@._prepare_queue(v_lane.queue_id, max_jobs);
                v_is_prepared := true;
                CONTINUE;
            END IF;
            IF v_lane.max_concurrency IS NOT NULL THEN
                v_lane.take := LEAST(max_jobs, @extschema@._room(
                    v_lane.queue_id, v_lane.max_concurrency, ignore_max_concurrency));
                EXIT WHEN v_lane.take <= 0;
            END IF;
            IF v_lane.mark <> '' THEN
                SELECT w.from_at, w.from_id, w.is_set INTO v_lane.from_at, v_lane.from_id, v_lane.is_from_mark
                FROM @extschema@._watermark(
                    @extschema@._lane_mark(v_lane.queue_id, v_lane.priority), v_lane.now) AS w;
            END IF;
        END IF;

        RETURN QUERY
        WITH picked AS (
            UPDATE @extschema@.job AS j SET
                lease_token = 1 + floor(random() * 9007199254740990)::bigint,
                lease_until = v_lane.now + COALESCE(j.timeout_milliseconds, v_lane.timeout_milliseconds)
                              * interval '1 millisecond',
                attempt = j.attempt + 1,
                picked_at = v_lane.now,
                worker = v_worker
            WHERE j.ctid = ANY (ARRAY(
                SELECT next.ctid
                FROM @extschema@.job AS next
                WHERE next.queue_id = v_lane.queue_id
                  AND next.priority = v_lane.priority
                  AND next.held_by IS NULL
                  AND (next.start_after, next.job_id) >= (v_lane.from_at, v_lane.from_id)
                  AND next.start_after <= v_lane.now
                  -- One whose lease ran out is not picked but noted.
                  AND (next.lease_until IS NULL
                       OR next.lease_until <= v_lane.now AND @extschema@._note_expired(next.job_id))
                ORDER BY next.start_after, next.job_id
                LIMIT v_lane.take
                FOR UPDATE SKIP LOCKED))
              AND j.lease_until IS NULL
            RETURNING j.job_id, j.lease_token, j.lease_until, j.attempt, j.max_attempts, j.payload,
                j.headers, j.group_key, j.start_after, j.added_at, j.timeout_milliseconds,
                j.workflow, j.workflow_version, j.step
        )
        SELECT p.job_id, v_lane.queue_name, p.lease_token, p.lease_until, p.attempt::integer,
               COALESCE(p.max_attempts, v_lane.max_attempts), p.payload, p.headers,
               v_lane.priority::integer, p.group_key, p.start_after, p.added_at,
               COALESCE(p.timeout_milliseconds, v_lane.timeout_milliseconds),
               p.workflow, p.workflow_version, p.step
        FROM picked AS p
        ORDER BY p.start_after, p.job_id;
        GET DIAGNOSTICS v_taken = ROW_COUNT;

        v_is_slow := @extschema@._is_slow(@extschema@._scan_work('@extschema@.job_ready_idx') - v_lane.work,
            400 + 2 * max_jobs, clock_timestamp() - v_lane.began_at);
        IF v_is_slow OR v_lane.mark <> '' OR v_lane.max_concurrency IS NOT NULL
           OR current_setting('pgq.expired', true) <> '' THEN
            IF v_is_slow OR (v_lane.mark <> '' AND NOT v_lane.is_from_mark) THEN
                PERFORM @extschema@._note_lane_scan(v_lane.queue_id, v_lane.priority,
                    (v_lane.from_at, v_lane.from_id, v_lane.is_from_mark), v_lane.now, v_is_slow,
                    clock_timestamp() - v_lane.began_at);
            END IF;
            IF v_lane.max_concurrency IS NOT NULL THEN
                PERFORM @extschema@._count_as_running(v_lane.queue_id, v_lane.priority,
                    (v_lane.from_at, v_lane.from_id, v_lane.is_from_mark), v_lane.now, v_taken);
            END IF;
            IF current_setting('pgq.expired', true) <> '' THEN
                -- The same lane once more.
                v_lane.priority := v_lane.priority + CASE WHEN @extschema@._time_out_noted() > 0 THEN 1 ELSE 0 END;
            END IF;
        END IF;
        EXIT WHEN v_taken >= max_jobs;
        max_jobs := max_jobs - v_taken;
        v_below := v_lane.priority;
    END LOOP;
END;
