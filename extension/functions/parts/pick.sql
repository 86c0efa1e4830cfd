-- The body of pick_jobs and of release_and_pick, which the Makefile puts in both: a function of many rows that calls
-- another one costs a single job a quarter of its time.
-- A transaction prepares each expression anew that it comes across, which is most of what a single pick costs: the way
-- of the plain case (one queue without limits, the jobs in its first lane) has as few of them as can be. And what they
-- read are plain variables: a field of a record costs a look-up.
DECLARE
    v_queue_id integer;
    v_queue_name text;
    v_max_attempts integer;
    v_max_concurrency integer;
    v_lease_milliseconds integer;
    v_is_special boolean;
    v_priority smallint;
    v_mark text;
    v_is_marked boolean;
    v_from_at timestamptz;
    v_from_id bigint;
    v_take integer;
    v_now timestamptz;
    v_snapshot txid_snapshot;
    v_snapshot_age integer;
    v_work bigint;
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
        SELECT q.queue_id, q.queue_name, q.max_attempts, q.max_concurrency,
               COALESCE(v_timeout, q.timeout_milliseconds), q.has_groups OR q.has_waits OR q.is_restricted,
               l.priority, current_setting(@extschema@._lane_mark(q.queue_id, l.priority), true),
               false, timestamptz '-infinity', 0::bigint, max_jobs, @extschema@._now(), txid_current_snapshot(),
               -- One pick in fifty tries all rows: an xmax may also stand for several transactions, and then tells nothing.
               CASE WHEN current_setting('transaction_isolation') = 'read committed' AND random() < 0.98
                    THEN age(pg_snapshot_xmin(pg_current_snapshot())::xid) ELSE -2147483648 END,
               @extschema@._scan_work('@extschema@.job_ready_idx')
        INTO v_queue_id, v_queue_name, v_max_attempts, v_max_concurrency,
             v_lease_milliseconds, v_is_special,
             v_priority, v_mark,
             v_is_marked, v_from_at, v_from_id, v_take, v_now, v_snapshot,
             v_snapshot_age,
             v_work
        FROM @extschema@.queue AS q
        CROSS JOIN LATERAL (SELECT known.priority FROM @extschema@.lane AS known
                            WHERE known.queue_id = q.queue_id AND known.priority < COALESCE(v_below, 101)
                            ORDER BY known.priority DESC LIMIT 1) AS l
        WHERE q.queue_name = ANY (queue_names) AND (q.paused_until IS NULL OR q.paused_until <= @extschema@._now());

        -- (Null where no lane is left.)
        IF v_is_special IS NOT FALSE OR v_max_concurrency IS NOT NULL THEN
            EXIT WHEN NOT FOUND;
            IF v_is_special AND v_is_prepared IS NULL THEN
                PERFORM @extschema@._prepare_queue(v_queue_id, max_jobs);
                v_is_prepared := true;
                CONTINUE;
            END IF;
            IF v_max_concurrency IS NOT NULL THEN
                v_take := LEAST(max_jobs, @extschema@._room(
                    v_queue_id, v_max_concurrency, ignore_max_concurrency));
                EXIT WHEN v_take <= 0;
            END IF;
        END IF;

        IF v_mark <> '' THEN
            v_is_marked := @extschema@._is_marked(v_mark, v_now);
            IF v_is_marked THEN
                v_from_at := @extschema@._marked_at(v_mark);
                v_from_id := @extschema@._marked_id(v_mark);
            END IF;
        END IF;

        IF v_take = 1 THEN
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
        IF @extschema@._is_slow(@extschema@._scan_work('@extschema@.job_ready_idx') - v_work,
               120 + 2 * max_jobs, @extschema@._now() - v_now)
           OR v_mark <> '' AND NOT v_is_marked OR v_max_concurrency IS NOT NULL
           OR current_setting('pgq.expired', true) <> '' THEN
            v_took := @extschema@._now() - v_now;
            v_is_slow := @extschema@._is_slow(@extschema@._scan_work('@extschema@.job_ready_idx') - v_work,
                120 + 2 * max_jobs, v_took);
            IF v_is_slow OR v_mark <> '' AND NOT v_is_marked THEN
                PERFORM @extschema@._note_lane_scan(v_queue_id, v_priority,
                    (v_from_at, v_from_id, v_is_marked), v_now, v_is_slow, v_took);
            END IF;
            IF v_max_concurrency IS NOT NULL THEN
                PERFORM @extschema@._count_as_running(v_queue_id, v_priority,
                    (v_from_at, v_from_id, v_is_marked), v_now, v_taken);
            END IF;
            IF current_setting('pgq.expired', true) <> '' THEN
                -- The same lane once more.
                v_priority := v_priority + CASE WHEN @extschema@._time_out_noted() > 0 THEN 1 ELSE 0 END;
            END IF;
        END IF;
        EXIT WHEN v_taken >= max_jobs;
        -- By itself, or each pick would prepare it.
        EXIT WHEN NOT EXISTS (SELECT FROM @extschema@.lane AS l WHERE l.queue_id = v_queue_id AND l.priority < v_priority);
        max_jobs := max_jobs - v_taken;
        v_below := v_priority;
    END LOOP;
END;
