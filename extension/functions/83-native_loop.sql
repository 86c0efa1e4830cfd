-- The loop of the native dispatcher. Its procedure commits, so it can neither pin its search_path nor run as its owner:
-- all that it does is to call these functions.

-- Locks: an advisory lock, until the transaction ends.
CREATE OR REPLACE FUNCTION @extschema@._native_lock()
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN pg_try_advisory_xact_lock('@extschema@.native_epoch'::regclass::oid::integer, 0);
END
$$;
COMMENT ON FUNCTION @extschema@._native_lock IS
    'Internal: whether this session is the one that dispatches.';

CREATE OR REPLACE FUNCTION @extschema@._native_rest(seconds double precision)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._native_lock();
    PERFORM pg_sleep(seconds);
END
$$;
COMMENT ON FUNCTION @extschema@._native_rest IS
    'Internal: sleeps between two turns, and lets no other dispatcher begin meanwhile.';

-- Writes: native_epoch.fault, when a step fails; what the steps write.
CREATE OR REPLACE FUNCTION @extschema@._native_try(step text, is_alone boolean DEFAULT true)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE step
        WHEN 'boot' THEN @extschema@._native_boot()
        WHEN 'reap' THEN @extschema@._native_reap()
        WHEN 'sweep' THEN @extschema@._native_sweep()
        WHEN 'claim' THEN @extschema@._native_claim(is_alone)
        WHEN 'schedules' THEN (@extschema@.drive_schedules() = 0)::integer
        WHEN 'purge' THEN @extschema@._purge_native_runs()
        WHEN 'maintain' THEN (@extschema@.maintain()).emptied_history_slots END;
EXCEPTION WHEN OTHERS THEN
    -- A step that fails keeps none of the others from being done. Its message might show a request, with its token.
    UPDATE @extschema@.native_epoch AS e
    SET fault = format('%s: SQLSTATE %s', step, SQLSTATE), fault_at = @extschema@._now();
    RETURN 0;
END
$$;
COMMENT ON FUNCTION @extschema@._native_try IS
    'Internal: does one step of a turn and returns how much; a step that fails is noted, and undone.';

-- Writes: native_epoch; what the steps write.
CREATE OR REPLACE FUNCTION @extschema@._native_begin(run_seconds integer)
RETURNS @extschema@.native_turn
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_minute timestamptz := date_trunc('minute', v_now) + interval '59.3 seconds';
    v_timeout interval := (SELECT s.setting::bigint * interval '1 millisecond' FROM pg_settings AS s
                           WHERE s.name = 'statement_timeout');
    v_turn @extschema@.native_turn;
BEGIN
    v_turn.started_at := v_now;
    v_turn.ends_at := CASE
        WHEN run_seconds IS NOT NULL THEN v_now + run_seconds * interval '1 second'
        -- So that the next run, at the full minute, begins at once.
        WHEN v_minute - v_now > interval '1 second' THEN v_minute
        ELSE v_minute + interval '1 minute' END;
    -- A time-out counts from the CALL on.
    IF v_timeout > interval '0' THEN
        v_turn.ends_at := LEAST(v_turn.ends_at, v_now + v_timeout * 0.8);
    END IF;
    v_turn.pause_seconds := 0;
    v_turn.is_over := false;
    PERFORM @extschema@._native_try('boot');
    PERFORM @extschema@._native_try('maintain');
    PERFORM @extschema@._native_try('purge');
    RETURN v_turn;
END
$$;
COMMENT ON FUNCTION @extschema@._native_begin IS
    'Internal: the first turn of a run: looks after what the last left behind, and says when this one ends.';

-- Writes: native_epoch.turn_at; what the steps write.
CREATE OR REPLACE FUNCTION @extschema@._native_turn(last @extschema@.native_turn, run_seconds integer)
RETURNS @extschema@.native_turn
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_turn @extschema@.native_turn := last;
    v_answered integer := 0;
    v_done integer;
BEGIN
    IF NOT @extschema@._native_lock() THEN
        v_turn.is_over := true;
        RETURN v_turn;
    END IF;
    IF last.started_at IS NULL THEN
        RETURN @extschema@._native_begin(run_seconds);
    END IF;
    IF COALESCE(last.checked_at <= v_now - interval '3 seconds', true) THEN
        v_turn.trouble := @extschema@._native_check();
        v_turn.checked_at := v_now;
        v_answered := @extschema@._native_try('sweep');
    END IF;
    PERFORM @extschema@._native_try('schedules');
    v_answered := v_answered + @extschema@._native_try('reap');
    v_done := v_answered;
    IF v_turn.trouble IS NULL THEN
        v_done := v_done + @extschema@._native_try('claim', v_answered = 0);
    END IF;
    v_turn.pause_seconds := CASE
        WHEN v_done > 0 THEN 0.05
        ELSE LEAST(GREATEST(last.pause_seconds, 0.05) * 1.5, 0.5) END;
    v_turn.is_over := @extschema@._now() + v_turn.pause_seconds * interval '1 second' >= v_turn.ends_at;
    RETURN v_turn;
END
$$;
COMMENT ON FUNCTION @extschema@._native_turn IS
    'Internal: one turn of the native dispatcher: drives schedules, takes answers, looks after old requests each 3 seconds, hands new ones to pg_net. is_over: the run ends, because its time is over or another dispatches.';

-- Writes: native_epoch.turn_at.
CREATE OR REPLACE FUNCTION @extschema@._native_check()
RETURNS text
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_batch integer := @extschema@._native_batch();
    v_trouble text := @extschema@._native_trouble();
    v_waiting integer;
BEGIN
    UPDATE @extschema@.native_epoch AS e SET turn_at = @extschema@._now();
    IF NOT FOUND OR (SELECT e.queue_oid FROM @extschema@.native_epoch AS e)
                    IS DISTINCT FROM COALESCE(@extschema@._native_queue_oid(), 0) THEN
        PERFORM @extschema@._native_try('boot');
    END IF;
    IF v_trouble IS NULL THEN
        -- Its queue has no index, and what is sent with a signature that is minutes old is refused.
        EXECUTE format('SELECT count(*) FROM (SELECT FROM %I.http_request_queue LIMIT $1) AS q', 'net')
        INTO v_waiting USING v_batch * 5;
        v_trouble := CASE WHEN v_waiting >= v_batch * 4 THEN 'too many requests wait in pg_net' END;
    END IF;
    RETURN v_trouble;
END
$$;
COMMENT ON FUNCTION @extschema@._native_check IS
    'Internal: notes that the dispatcher is alive, and says why nothing should be handed to pg_net now.';

CREATE OR REPLACE PROCEDURE @extschema@.run_native_dispatcher(run_seconds integer DEFAULT NULL)
LANGUAGE plpgsql
AS $$
DECLARE
    v_turn @extschema@.native_turn;
BEGIN
    LOOP
        v_turn := @extschema@._native_turn(v_turn, run_seconds);
        COMMIT;
        EXIT WHEN v_turn.is_over;
        PERFORM @extschema@._native_rest(v_turn.pause_seconds);
        COMMIT;
    END LOOP;
END
$$;
COMMENT ON PROCEDURE @extschema@.run_native_dispatcher IS
$$Dispatches jobs to their endpoints by pg_net for run_seconds, or, without, until the end of the minute; always less than statement_timeout. pg_cron calls it: see start_native_dispatcher. While one session runs it, it returns at once in any other.
It commits after each turn: call it alone, outside of a transaction.$$;
