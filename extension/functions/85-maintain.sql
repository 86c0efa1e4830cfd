-- Maintenance: housekeeping that keeps tables small. Correctness never waits for it.

-- Writes: deletes from unique_key, idle_worker, signal_token, and what was left behind in child_result, run_signal and
-- run_memory; truncates expired slots of finished_job.  Locks: a slot exclusively, if that is free within 100 milliseconds.
CREATE OR REPLACE FUNCTION @extschema@.maintain()
RETURNS @extschema@.maintenance
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_result @extschema@.maintenance;
BEGIN
    DELETE FROM @extschema@.unique_key AS k
    WHERE (k.queue_id, k.unique_key) IN (
        SELECT old.queue_id, old.unique_key FROM @extschema@.unique_key AS old
        WHERE old.holds_until <= v_now
        FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS v_result.expired_unique_keys = ROW_COUNT;

    DELETE FROM @extschema@.idle_worker AS w
    WHERE (w.worker, w.queue_id) IN (
        SELECT gone.worker, gone.queue_id FROM @extschema@.idle_worker AS gone
        WHERE gone.until <= v_now - interval '1 minute'
        FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS v_result.gone_idle_workers = ROW_COUNT;

    DELETE FROM @extschema@.signal_token AS t WHERE t.expires_at <= v_now;
    GET DIAGNOSTICS v_result.expired_signal_tokens = ROW_COUNT;
    PERFORM @extschema@._forget_strays();

    v_result.emptied_history_slots := @extschema@._empty_expired_slots(@extschema@._day(v_now));
    RETURN v_result;
END
$$;
COMMENT ON FUNCTION @extschema@.maintain IS
    'Forgets throttles and tokens for signals that are over and workers that are gone, and empties the history of the days that expired. Returns how much of each. Never needed for a job to run; workers call it about each minute.';

-- Writes: history_slot; truncates slots of finished_job.
-- Locks: each slot exclusively until the transaction ends; gives a slot up after 100 milliseconds.
CREATE OR REPLACE FUNCTION @extschema@._empty_expired_slots(today integer)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_lock_timeout text := current_setting('lock_timeout');
    v_day integer;
    v_emptied integer := 0;
BEGIN
    -- Days older than that share their slot with days to come, and go when those expire.
    FOR v_day IN
        SELECT d.day
        FROM generate_series(today - 9, today - 1) AS d (day)
        LEFT JOIN @extschema@.history_slot AS s ON s.slot = d.day % 40
        WHERE COALESCE(s.emptied_for_day < d.day, true)
    LOOP
        BEGIN
            PERFORM set_config('lock_timeout', '100ms', true);
            EXECUTE format('TRUNCATE @extschema@.finished_job_%s', lpad((v_day % 40)::text, 2, '0'));
            INSERT INTO @extschema@.history_slot AS s (slot, emptied_for_day)
            VALUES (v_day % 40, v_day)
            ON CONFLICT ON CONSTRAINT history_slot_pkey DO UPDATE SET emptied_for_day = EXCLUDED.emptied_for_day;
            v_emptied := v_emptied + 1;
        EXCEPTION WHEN lock_not_available THEN
            NULL; -- Somebody reads it: the next call tries again.
        END;
    END LOOP;
    PERFORM set_config('lock_timeout', v_lock_timeout, true);
    RETURN v_emptied;
END
$$;
COMMENT ON FUNCTION @extschema@._empty_expired_slots IS
    'Internal: truncates the slots of the days before today that are not emptied yet; returns their number.';
