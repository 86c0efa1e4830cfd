-- The statement of a pick, which is there twice: alone for one job, and with an order for many.
UPDATE @extschema@.job AS j SET
    lease_token = 1 + floor(random() * 9007199254740990)::bigint,
    lease_until = v_now + COALESCE(j.timeout_milliseconds, v_lease_milliseconds)
                  * interval '1 millisecond',
    attempt = j.attempt + 1,
    picked_at = v_now,
    worker = v_worker
WHERE j.ctid = ANY (ARRAY(
    SELECT next.ctid
    FROM @extschema@.job AS next
    WHERE next.queue_id = v_queue_id
      AND next.priority = v_priority
      AND next.held_by IS NULL
      AND (next.start_after, next.job_id) >= (v_from_at, v_from_id)
      AND next.start_after <= v_now
      AND NOT @extschema@._is_taken(next.xmin, next.xmax, v_snapshot, v_snapshot_age)
      -- One whose lease ran out is not picked but noted.
      AND (next.lease_until IS NULL
           OR next.lease_until <= v_now AND @extschema@._note_expired(next.job_id))
    ORDER BY next.start_after, next.job_id
    LIMIT v_take
    FOR UPDATE SKIP LOCKED))
  AND j.lease_until IS NULL
RETURNING j.job_id, v_queue_name AS queue_name, j.lease_token, j.lease_until, j.attempt::integer AS attempt,
    COALESCE(j.max_attempts, v_max_attempts) AS max_attempts, j.payload, j.headers,
    v_priority::integer AS priority, j.group_key, j.start_after, j.added_at,
    COALESCE(j.timeout_milliseconds, v_lease_milliseconds) AS timeout_milliseconds,
    j.workflow, j.workflow_version, j.step
