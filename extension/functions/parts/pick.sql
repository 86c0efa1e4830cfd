-- The body of pick_jobs and of release_and_pick, which the Makefile puts in both: a function of many rows that calls
-- another one costs a single job a quarter of its time.
-- A transaction prepares each expression anew that it comes across, which is most of what a single pick costs: the way
-- of the plain case (one queue without limits, the jobs in its first lane) has as few of them as can be.
DECLARE
    v_lane record;
    v_below smallint;
    v_is_prepared boolean;
    v_took interval;
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
               @extschema@._is_marked(m.mark, @extschema@._now()) AS is_marked,
               current_setting(m.mark, true) <> '' AS has_mark,
               @extschema@._marked_at(m.mark, @extschema@._now()) AS from_at,
               @extschema@._marked_id(m.mark, @extschema@._now()) AS from_id,
               max_jobs AS take, @extschema@._now() AS now,
               txid_current_snapshot() AS snapshot,
               -- One pick in fifty tries all rows: an xmax may also stand for several transactions, and then tells nothing.
               CASE WHEN current_setting('transaction_isolation') = 'read committed' AND random() < 0.98
                    THEN age(pg_snapshot_xmin(pg_current_snapshot())::xid) ELSE -2147483648 END AS snapshot_age,
               @extschema@._scan_work('@extschema@.job_ready_idx') AS work, 120 + 2 * max_jobs AS allowed_work
        INTO v_lane
        FROM @extschema@.queue AS q
        CROSS JOIN LATERAL (SELECT known.priority FROM @extschema@.lane AS known
                            WHERE known.queue_id = q.queue_id AND known.priority < COALESCE(v_below, 101)
                            ORDER BY known.priority DESC LIMIT 1) AS l
        CROSS JOIN LATERAL (SELECT @extschema@._lane_mark(q.queue_id, l.priority) AS mark) AS m
        WHERE q.queue_name = ANY (queue_names) AND (q.paused_until IS NULL OR q.paused_until <= @extschema@._now());
        EXIT WHEN NOT FOUND;

        IF v_lane.is_special OR v_lane.max_concurrency IS NOT NULL THEN
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
        END IF;

        IF v_lane.take = 1 THEN
            RETURN QUERY
            -- include parts/lease.sql
            ;
        ELSE
            RETURN QUERY
            WITH picked AS (
                -- include parts/lease.sql
            )
            SELECT p.job_id, p.queue_name, p.lease_token, p.lease_until, p.attempt, p.max_attempts, p.payload,
                   p.headers, p.priority, p.group_key, p.start_after, p.added_at, p.timeout_milliseconds,
                   p.workflow, p.workflow_version, p.step
            FROM picked AS p
            ORDER BY p.start_after, p.job_id;
        END IF;
        GET DIAGNOSTICS v_taken = ROW_COUNT;

        -- The plain case asks once for all that is left to do; what it is, is asked again.
        IF @extschema@._is_slow(@extschema@._scan_work('@extschema@.job_ready_idx') - v_lane.work,
               v_lane.allowed_work, @extschema@._now() - v_lane.now)
           OR v_lane.has_mark AND NOT v_lane.is_marked OR v_lane.max_concurrency IS NOT NULL
           OR current_setting('pgq.expired', true) <> '' THEN
            v_took := @extschema@._now() - v_lane.now;
            v_is_slow := @extschema@._is_slow(@extschema@._scan_work('@extschema@.job_ready_idx') - v_lane.work,
                v_lane.allowed_work, v_took);
            IF v_is_slow OR v_lane.has_mark AND NOT v_lane.is_marked THEN
                PERFORM @extschema@._note_lane_scan(v_lane.queue_id, v_lane.priority,
                    (v_lane.from_at, v_lane.from_id, v_lane.is_marked), v_lane.now, v_is_slow, v_took);
            END IF;
            IF v_lane.max_concurrency IS NOT NULL THEN
                PERFORM @extschema@._count_as_running(v_lane.queue_id, v_lane.priority,
                    (v_lane.from_at, v_lane.from_id, v_lane.is_marked), v_lane.now, v_taken);
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
