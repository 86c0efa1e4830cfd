-- max_concurrency: a queue with this limit counts its running jobs in a narrow side table, under a lock.

CREATE OR REPLACE FUNCTION @extschema@._require_read_committed()
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'a queue with a limit cannot be picked in a "%" transaction',
            current_setting('transaction_isolation')
            USING ERRCODE = '0A000',
                  DETAIL = 'Its snapshot may be older than the jobs that run now, so that a limit could be passed.',
                  HINT = 'Pick in a read committed transaction.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._require_read_committed IS
    'Internal: raises 0A000 in a transaction whose snapshot is too old to count by.';

CREATE OR REPLACE FUNCTION @extschema@._lock_space()
RETURNS integer
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN '@extschema@.job'::regclass::oid::bigint::bit(32)::integer;
COMMENT ON FUNCTION @extschema@._lock_space IS
    'Internal: the first key of the advisory locks of queues; the second is the queue_id. Without a search_path of its own, so that it is inlined.';

-- Locks: the queue's advisory lock, until the transaction ends; waits 50 milliseconds at most.
CREATE OR REPLACE FUNCTION @extschema@._lock_queue(queue_id integer)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_space integer := @extschema@._lock_space();
    v_lock_timeout text := current_setting('lock_timeout');
BEGIN
    IF pg_try_advisory_xact_lock(v_space, queue_id) THEN
        RETURN true;
    END IF;
    BEGIN
        PERFORM set_config('lock_timeout', '50ms', true);
        PERFORM pg_advisory_xact_lock(v_space, queue_id);
        PERFORM set_config('lock_timeout', v_lock_timeout, true);
        RETURN true;
    EXCEPTION WHEN lock_not_available THEN
        RETURN false;
    END;
END
$$;
COMMENT ON FUNCTION @extschema@._lock_queue IS
    'Internal: locks the queue against other picks and returns true, or false when a long transaction has it.';

-- Writes: settles jobs whose lease ran out, when the queue is full.
-- Locks: the queue's advisory lock; rows of expired jobs with SKIP LOCKED.
CREATE OR REPLACE FUNCTION @extschema@._room(
    queue_id integer,
    max_concurrency integer,
    ignore_max_concurrency boolean
)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_mark text := format('pgq.running_%s_%s', '@extschema@.running_job'::regclass::oid, queue_id);
    v_from bigint := COALESCE(NULLIF(current_setting(v_mark, true), ''), '0')::bigint;
    v_running integer;
    v_oldest bigint;
    v_expired bigint[];
BEGIN
    PERFORM @extschema@._require_read_committed();
    IF NOT @extschema@._lock_queue(queue_id) THEN
        RETURN 0;
    END IF;
    IF ignore_max_concurrency THEN
        RETURN 2147483647;
    END IF;
    -- Rows are written under the lock, with growing ids: none can come to be below the oldest.
    SELECT count(*), min(r.running_id), array_agg(r.job_id) FILTER (WHERE r.lease_until <= @extschema@._now())
    INTO v_running, v_oldest, v_expired
    FROM @extschema@.running_job AS r
    WHERE r.queue_id = _room.queue_id AND r.running_id >= v_from;

    IF v_oldest > v_from THEN
        PERFORM set_config(v_mark, v_oldest::text, false);
    END IF;
    IF v_running >= max_concurrency AND v_expired IS NOT NULL THEN
        v_running := v_running - @extschema@._time_out_jobs(v_expired);
    END IF;
    RETURN GREATEST(max_concurrency - v_running, 0);
END
$$;
COMMENT ON FUNCTION @extschema@._room IS
    'Internal: how many more jobs of a queue with a max_concurrency may run now. Counts every job that has a lease, also one that ran out and is not settled yet. None while a long transaction has the queue locked.';

-- Writes: running_job.  Locks: the queue's advisory lock.
CREATE OR REPLACE FUNCTION @extschema@._apply_limit(queue_id integer, old_limit integer, new_limit integer)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF old_limit IS NULL OR new_limit IS NULL THEN
        PERFORM pg_advisory_xact_lock(@extschema@._lock_space(), queue_id);
        DELETE FROM @extschema@.running_job AS r WHERE r.queue_id = _apply_limit.queue_id;
    END IF;
    IF old_limit IS NULL THEN
        INSERT INTO @extschema@.running_job (queue_id, job_id, lease_until)
        SELECT j.queue_id, j.job_id, j.lease_until
        FROM @extschema@.job AS j
        WHERE j.queue_id = _apply_limit.queue_id AND j.lease_token IS NOT NULL;
    END IF;
    PERFORM @extschema@._wake_workers(ARRAY[queue_id]);
END
$$;
COMMENT ON FUNCTION @extschema@._apply_limit IS
    'Internal: begins to count the running jobs of a queue that gets a max_concurrency, or stops it.';

-- Writes: inserts into running_job.  Locks: the caller's pick has locked the queue.
CREATE OR REPLACE FUNCTION @extschema@._count_as_running(
    queue_id integer,
    priority smallint,
    began_from @extschema@.watermark,
    picked_at timestamptz,
    picked integer
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = on
AS $$
BEGIN
    INSERT INTO @extschema@.running_job AS r (queue_id, job_id, lease_until)
    SELECT j.queue_id, j.job_id, j.lease_until
    FROM @extschema@.job AS j
    WHERE j.queue_id = _count_as_running.queue_id AND j.priority = _count_as_running.priority
      AND j.held_by IS NULL
      AND (j.start_after, j.job_id) >= (began_from.from_at, began_from.from_id)
      AND j.start_after <= _count_as_running.picked_at
      AND j.picked_at = _count_as_running.picked_at AND j.lease_token IS NOT NULL
      AND NOT EXISTS (SELECT FROM @extschema@.running_job AS counted WHERE counted.job_id = j.job_id)
    ORDER BY j.start_after, j.job_id
    LIMIT picked;
END
$$;
COMMENT ON FUNCTION @extschema@._count_as_running IS
    'Internal: counts the jobs of a lane that were picked now against the max_concurrency of their queue.';
