-- Breaker: how an endpoint is doing. Failures in a row open its circuit breaker, which then lets one request through to
-- try; back-pressure halves the requests that may be under way, and successes raise them again (AIMD, as in TCP).

CREATE OR REPLACE FUNCTION @extschema@._breaker(consecutive_failures integer, held_until timestamptz, at timestamptz)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN CASE
    WHEN consecutive_failures OPERATOR(pg_catalog.<) 5 THEN 'closed'
    WHEN held_until OPERATOR(pg_catalog.>) at THEN 'open'
    ELSE 'half_open' END;
COMMENT ON FUNCTION @extschema@._breaker IS
    'Internal: the state of a circuit breaker: closed, open or half_open. Without a search_path of its own, so that it is inlined.';

-- Locks: the endpoint's state.
CREATE OR REPLACE FUNCTION @extschema@._lock_endpoint(queue_id integer, is_waited_for boolean)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
AS $$
BEGIN
    -- Not by lock_timeout: a row is waited for twice, and a time-out between the two looks like a cancel by the user.
    FOR v_try IN 1..CASE WHEN is_waited_for THEN 11 ELSE 1 END LOOP
        IF v_try > 1 THEN
            PERFORM pg_sleep(0.005);
        END IF;
        PERFORM s.queue_id FROM @extschema@.endpoint_state AS s
        WHERE s.queue_id = _lock_endpoint.queue_id
        FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END
$$;
COMMENT ON FUNCTION @extschema@._lock_endpoint IS
    'Internal: locks the state of an endpoint until the transaction ends, and says whether it could. Inherits the settings of its callers.';

-- Writes: endpoint_state.  Locks: the caller has locked the row, or it is locked here.
CREATE OR REPLACE FUNCTION @extschema@._hold_endpoint(queue_id integer, milliseconds bigint, reason text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_until timestamptz := v_now + milliseconds * interval '1 millisecond';
BEGIN
    UPDATE @extschema@.endpoint_state AS s
    SET held_at = v_now, held_until = v_until, hold_reason = left(reason, 500)
    WHERE s.queue_id = _hold_endpoint.queue_id AND (s.held_until IS NULL OR s.held_until < v_until);
END
$$;
COMMENT ON FUNCTION @extschema@._hold_endpoint IS
    'Internal: has nothing sent to an endpoint for so long; a longer hold stays. Inherits the settings of its callers.';

-- Writes: endpoint_state, if anything changes.
-- Locks: its rows then, in the order of queue_id; waits 50 milliseconds at most for each.
CREATE OR REPLACE FUNCTION @extschema@._note_answers(verdicts @extschema@.answer_verdict[])
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer;
    v_state record;
BEGIN
    -- The usual case, an endpoint that works and goes on working, writes and locks nothing.
    FOR v_queue_id IN
        SELECT s.queue_id
        FROM @extschema@.endpoint_state AS s
        WHERE s.queue_id IN (
            SELECT v.queue_id FROM unnest(verdicts) AS v
            WHERE NOT v.is_good OR v.is_pressure OR v.hold_milliseconds > 0
               OR s.consecutive_failures > 0 OR s.in_flight_limit IS NOT NULL)
        ORDER BY s.queue_id
    LOOP
        -- While a long transaction that picks has it, answers must not hang: what they say of the endpoint is lost.
        CONTINUE WHEN NOT @extschema@._lock_endpoint(v_queue_id, true);
        SELECT s.consecutive_failures, s.in_flight_limit, e.max_in_flight, s.held_at, s.last_decrease_at INTO v_state
        FROM @extschema@.endpoint_state AS s
        JOIN @extschema@.endpoint AS e ON e.queue_id = s.queue_id
        WHERE s.queue_id = v_queue_id;
        PERFORM @extschema@._note_answers_of(
            v_queue_id, v_state.consecutive_failures,
            LEAST(v_state.in_flight_limit, v_state.max_in_flight), v_state.max_in_flight,
            COALESCE(v_state.held_at, '-infinity'), COALESCE(v_state.last_decrease_at, '-infinity'),
            ARRAY(SELECT v FROM unnest(verdicts) AS v WHERE v.queue_id = v_queue_id ORDER BY v.place));
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._note_answers IS
    'Internal: what answers mean for the next requests to their endpoints: circuit breaker, hold, and how many may be under way.';

-- Writes: endpoint_state, if anything changes.  Locks: the caller has locked the row.
CREATE OR REPLACE FUNCTION @extschema@._note_answers_of(
    queue_id integer,
    consecutive_failures integer,
    in_flight_limit real,
    max_in_flight integer,
    held_at timestamptz,
    last_decrease_at timestamptz,
    verdicts @extschema@.answer_verdict[]
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_seen record;
    v_failures integer;
    v_limit real;
BEGIN
    -- What was sent before the last hold, or before the limit was last halved, says nothing new.
    WITH seen AS (
        SELECT v.place, v.is_good, v.is_pressure, v.hold_milliseconds, v.error,
               v.sent_at > _note_answers_of.held_at AS is_fresh,
               v.sent_at > _note_answers_of.last_decrease_at AS is_of_this_limit,
               max(v.place) FILTER (WHERE v.is_good AND v.sent_at > _note_answers_of.held_at) OVER () AS last_good
        FROM unnest(verdicts) AS v
    )
    SELECT count(*) FILTER (WHERE NOT s.is_good AND s.is_fresh AND s.place > COALESCE(s.last_good, 0)) AS failures,
           bool_or(s.last_good IS NOT NULL) AS has_success,
           (array_agg(s.error ORDER BY s.place DESC) FILTER (WHERE NOT s.is_good AND s.is_fresh))[1] AS error,
           count(*) FILTER (WHERE s.is_good AND s.is_of_this_limit) AS successes,
           bool_or(s.is_pressure AND s.is_of_this_limit) AS has_pressure,
           max(s.hold_milliseconds) AS hold_milliseconds
    INTO v_seen
    FROM seen AS s;

    v_failures := v_seen.failures + CASE WHEN v_seen.has_success THEN 0 ELSE consecutive_failures END;
    -- Many that fail at once are one sign of trouble: only a try that fails makes the next pause longer.
    v_failures := LEAST(v_failures, GREATEST(5, consecutive_failures + 1));
    v_limit := CASE WHEN v_seen.has_pressure THEN GREATEST(in_flight_limit / 2, 1)
                    ELSE in_flight_limit + v_seen.successes / in_flight_limit END;
    v_limit := CASE WHEN v_limit < max_in_flight THEN v_limit END;
    UPDATE @extschema@.endpoint_state AS s SET
        consecutive_failures = v_failures,
        in_flight_limit = v_limit,
        last_decrease_at = CASE WHEN v_seen.has_pressure THEN @extschema@._now() ELSE s.last_decrease_at END,
        held_until = CASE WHEN v_seen.has_success AND s.consecutive_failures >= 5 THEN NULL ELSE s.held_until END
    WHERE s.queue_id = _note_answers_of.queue_id
      AND (v_seen.has_pressure OR s.consecutive_failures <> v_failures OR s.in_flight_limit IS DISTINCT FROM v_limit);

    IF v_seen.hold_milliseconds > 0 THEN
        PERFORM @extschema@._hold_endpoint(queue_id, v_seen.hold_milliseconds, 'it answered with Retry-After');
    END IF;
    IF v_failures >= 5 AND v_seen.failures > 0 THEN
        PERFORM @extschema@._hold_endpoint(queue_id,
            (LEAST(60000, 1000 * 2 ^ LEAST(v_failures - 5, 10)) * (0.75 + random() / 2))::bigint,
            format('%s failures in a row, the last: %s', v_failures, v_seen.error));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._note_answers_of IS
    'Internal: as _note_answers, for one endpoint in a given state.';

CREATE OR REPLACE FUNCTION @extschema@.endpoint_status(queue_name text DEFAULT NULL)
RETURNS SETOF @extschema@.endpoint_state_info
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
ROWS 10
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
BEGIN
    IF NOT EXISTS (SELECT FROM @extschema@.queue AS q
                   WHERE q.queue_name = endpoint_status.queue_name AND @extschema@._has_access(q.queue_id, 'dispatcher')) THEN
        PERFORM @extschema@._queue_id(endpoint_status.queue_name, 'observer') WHERE endpoint_status.queue_name IS NOT NULL;
    END IF;
    RETURN QUERY
    SELECT q.queue_name, e.is_active, COALESCE(q.paused_until > v_now, false),
           (SELECT count(*) FROM @extschema@._known_requests(e.queue_id) AS r WHERE r.expires_at > v_now)::integer,
           CASE s.breaker WHEN 'closed' THEN LEAST(floor(s.in_flight_limit)::integer, e.max_in_flight)
                          WHEN 'half_open' THEN 1 ELSE 0 END,
           e.max_in_flight, s.breaker, s.held_until,
           CASE WHEN s.held_until IS NOT NULL OR s.breaker <> 'closed' THEN s.hold_reason END,
           s.consecutive_failures
    FROM @extschema@.endpoint AS e
    JOIN @extschema@.queue AS q ON q.queue_id = e.queue_id
    JOIN (SELECT t.queue_id, t.in_flight_limit, t.consecutive_failures, t.hold_reason,
                 CASE WHEN t.held_until > v_now THEN t.held_until END AS held_until,
                 @extschema@._breaker(t.consecutive_failures, t.held_until, v_now) AS breaker
          FROM @extschema@.endpoint_state AS t) AS s ON s.queue_id = e.queue_id
    WHERE (endpoint_status.queue_name IS NULL OR q.queue_name = endpoint_status.queue_name)
      AND (NOT q.is_restricted OR @extschema@._has_access(q.queue_id, 'observer')
           OR @extschema@._has_access(q.queue_id, 'dispatcher'))
    ORDER BY q.queue_name;
END
$$;
COMMENT ON FUNCTION @extschema@.endpoint_status IS
    'Returns for one queue''s endpoint, or for each: the requests under way and how many there may be now, the state of its circuit breaker, and whether and why nothing is sent to it. Raises JQ001 when the queue does not exist; a queue without an endpoint gives no row.';
