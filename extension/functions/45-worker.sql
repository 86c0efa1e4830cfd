-- Wake-ups: an add notifies only if a worker of the queue is idle, because NOTIFY makes commits wait
-- for each other. A notification is a hint; polling is the truth.

CREATE OR REPLACE FUNCTION @extschema@._channel()
RETURNS text
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN pg_catalog.concat('pgq_', '@extschema@.job'::regclass::oid);
COMMENT ON FUNCTION @extschema@._channel IS
    'Internal: the channel of this installation. Without a search_path of its own, so that it is inlined.';

CREATE OR REPLACE FUNCTION @extschema@.wake_up_channel()
RETURNS text
LANGUAGE sql
STABLE
PARALLEL SAFE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
RETURN @extschema@._channel();
COMMENT ON FUNCTION @extschema@.wake_up_channel IS
    'Returns the channel to LISTEN to. The payload of a notification is the name of a queue that has a job to pick, or will have while the worker is idle.';

CREATE OR REPLACE FUNCTION @extschema@._wake_workers(queue_ids integer[], due_at timestamptz DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_notify(@extschema@._channel(), q.queue_name)
    FROM @extschema@.queue AS q
    WHERE q.queue_id = ANY (queue_ids)
      AND EXISTS (SELECT FROM @extschema@.idle_worker AS w
                  WHERE w.queue_id = q.queue_id AND w.until > GREATEST(@extschema@._now(), due_at));
END
$$;
COMMENT ON FUNCTION @extschema@._wake_workers IS
    'Internal: notifies the workers that are idle on these queues, and still will be at due_at.';

-- Writes: idle_worker.  Locks: the worker's own rows.
CREATE OR REPLACE FUNCTION @extschema@.announce_idle(
    queue_names text[],
    worker text,
    idle_milliseconds integer DEFAULT 1000
)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_until timestamptz;
    v_due_at timestamptz;
BEGIN
    PERFORM @extschema@._require(queue_names IS NOT NULL, 'queue_names', NULL);
    PERFORM @extschema@._require(worker <> '' AND octet_length(worker) <= 200,
        'worker to be 1 to 200 bytes long', worker);
    PERFORM @extschema@._require(idle_milliseconds BETWEEN 0 AND 3600000,
        'idle_milliseconds to be between 0 and 3600000', idle_milliseconds::text);
    PERFORM @extschema@._check_access(
        ARRAY(SELECT q.queue_id FROM @extschema@.queue AS q WHERE q.queue_name = ANY (queue_names)), 'worker');
    v_until := v_now + idle_milliseconds * interval '1 millisecond';

    INSERT INTO @extschema@.idle_worker AS w (queue_id, worker, until)
    SELECT q.queue_id, announce_idle.worker, v_until
    FROM @extschema@.queue AS q
    WHERE q.queue_name = ANY (queue_names)
    ORDER BY q.queue_id
    ON CONFLICT ON CONSTRAINT idle_worker_pkey DO UPDATE SET until = EXCLUDED.until;

    SELECT min(due.at) INTO v_due_at
    FROM @extschema@.queue AS q
    JOIN @extschema@.lane AS l ON l.queue_id = q.queue_id
    CROSS JOIN LATERAL (
        (SELECT j.start_after AS at FROM @extschema@.job AS j
         WHERE j.queue_id = l.queue_id AND j.priority = l.priority AND j.held_by IS NULL
           AND j.start_after > v_now
         ORDER BY j.start_after LIMIT 1)
        UNION ALL
        (SELECT h.due_at FROM @extschema@.group_hint AS h
         WHERE h.queue_id = l.queue_id AND h.due_at > v_now
         ORDER BY h.due_at LIMIT 1)
        UNION ALL
        (SELECT h.due_at FROM @extschema@.run_hint AS h
         WHERE h.queue_id = l.queue_id AND h.due_at > v_now
         ORDER BY h.due_at LIMIT 1)
        UNION ALL
        SELECT q.paused_until WHERE q.paused_until > v_now
    ) AS due
    WHERE q.queue_name = ANY (queue_names) AND due.at <= v_until;

    RETURN ceil(EXTRACT(epoch FROM v_due_at - v_now) * 1000);
END
$$;
COMMENT ON FUNCTION @extschema@.announce_idle IS
    'Says that this worker waits for jobs of these queues for idle_milliseconds (0 to 3600000, default 1000), so that adds notify it. Returns the milliseconds until the next scheduled job is due, or null when none is within that time. Pick once more before you wait: a job may have been committed in between.';

-- Writes: idle_worker.  Locks: the worker's own rows.
CREATE OR REPLACE FUNCTION @extschema@.announce_busy(worker text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._require(worker IS NOT NULL, 'worker', worker);
    DELETE FROM @extschema@.idle_worker AS w WHERE w.worker = announce_busy.worker;
END
$$;
COMMENT ON FUNCTION @extschema@.announce_busy IS
    'Takes back what the worker said by announce_idle, so that adds cost no notification.';
