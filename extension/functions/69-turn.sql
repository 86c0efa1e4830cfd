-- Turns: which endpoints may get requests now, and how many. A pick locks the state of each, so that two picks together never
-- pass a limit.

CREATE OR REPLACE FUNCTION @extschema@._turn_mark()
RETURNS text
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN pg_catalog.concat('pgq.turn_', '@extschema@.job'::regclass::oid);
COMMENT ON FUNCTION @extschema@._turn_mark IS
    'Internal: the name of the setting that keeps which endpoint had the last turn. Without a search_path of its own, so that it is inlined.';

-- Writes, locks: what _share_out does.
CREATE OR REPLACE FUNCTION @extschema@._due_endpoints(queue_names text[], max_timeout_milliseconds integer)
RETURNS integer[]
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_last integer := COALESCE(NULLIF(current_setting(@extschema@._turn_mark(), true), ''), '0')::integer;
    v_names text[];
    v_queue_ids integer[];
BEGIN
    SELECT array_agg(q.queue_name ORDER BY q.queue_id <= v_last, q.queue_id),
           array_agg(q.queue_id ORDER BY q.queue_id <= v_last, q.queue_id)
    INTO v_names, v_queue_ids
    FROM @extschema@.endpoint AS e
    JOIN @extschema@.endpoint_state AS s ON s.queue_id = e.queue_id
    JOIN @extschema@.queue AS q ON q.queue_id = e.queue_id
    WHERE e.is_active
      AND (s.held_until IS NULL OR s.held_until <= v_now)
      AND (q.paused_until IS NULL OR q.paused_until <= v_now)
      AND e.timeout_milliseconds <= COALESCE(_due_endpoints.max_timeout_milliseconds, e.timeout_milliseconds)
      AND CASE WHEN _due_endpoints.queue_names IS NOT NULL THEN q.queue_name = ANY (_due_endpoints.queue_names)
               ELSE NOT q.is_restricted OR @extschema@._has_access(q.queue_id, 'dispatcher') END;
    PERFORM @extschema@._check_access(v_queue_ids, 'dispatcher');
    -- A look at one row of each lane spares the endpoints without jobs the rest.
    IF cardinality(v_names) > 1 THEN
        v_queue_ids := ARRAY(
            SELECT q.queue_id
            FROM unnest(v_names, v_queue_ids) WITH ORDINALITY AS q (queue_name, queue_id, place)
            WHERE q.queue_name IN (SELECT s.queue_name FROM @extschema@._share_out(v_names, 1) AS s)
            ORDER BY q.place);
    END IF;
    RETURN COALESCE(v_queue_ids, '{}');
END
$$;
COMMENT ON FUNCTION @extschema@._due_endpoints IS
    'Internal: the endpoints to which something can be sent now, those first that have waited longest for a turn of this session; one that is alone without a look at whether there is anything. Inherits the settings of pick_requests.';

-- Writes, locks: as _open_endpoint; a setting of the session.
CREATE OR REPLACE FUNCTION @extschema@._open_endpoints(queue_ids integer[], max_endpoints integer)
RETURNS @extschema@.endpoint_turn[]
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_queue_id integer;
    v_turn @extschema@.endpoint_turn;
    v_turns @extschema@.endpoint_turn[] := ARRAY[]::@extschema@.endpoint_turn[];
    v_busy_id integer;
BEGIN
    FOREACH v_queue_id IN ARRAY queue_ids LOOP
        EXIT WHEN cardinality(v_turns) >= max_endpoints;
        v_turn := @extschema@._open_endpoint(v_queue_id, false);
        IF v_turn.budget > 0 THEN
            v_turns := array_append(v_turns, v_turn);
        ELSIF v_turn.budget IS NULL THEN
            v_busy_id := COALESCE(v_busy_id, v_queue_id);
        END IF;
    END LOOP;
    -- Another dispatcher takes from the only endpoints there are: what it leaves is worth a short wait.
    IF v_turns = '{}' AND v_busy_id IS NOT NULL THEN
        v_turn := @extschema@._open_endpoint(v_busy_id, true);
        v_turns := CASE WHEN v_turn.budget > 0 THEN ARRAY[v_turn] ELSE v_turns END;
    END IF;
    IF v_turns <> '{}' THEN
        PERFORM set_config(@extschema@._turn_mark(), v_turns[cardinality(v_turns)].queue_id::text, false);
    END IF;
    RETURN v_turns;
END
$$;
COMMENT ON FUNCTION @extschema@._open_endpoints IS
    'Internal: locks those of these endpoints that may get a request now, no more than max_endpoints, and keeps in mind who was the last. Inherits the settings of pick_requests.';

-- Writes: endpoint_state when the endpoint cannot be used; deletes from request what has expired.
-- Locks: the endpoint's state: with SKIP LOCKED, or waiting 50 milliseconds at most.
CREATE OR REPLACE FUNCTION @extschema@._open_endpoint(queue_id integer, is_waited_for boolean)
RETURNS @extschema@.endpoint_turn
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    e record;
    v_budget integer := 0;
    v_trouble text;
    v_token text;
BEGIN
    IF NOT @extschema@._lock_endpoint(queue_id, is_waited_for) THEN
        RETURN NULL;
    END IF;
    SELECT q.queue_name, t.url, t.method, t.timeout_milliseconds, t.manual_release, t.max_in_flight, t.headers,
           t.bearer_token_location, t.max_response_bytes, t.is_insecure_allowed, t.message_prefix,
           t.checked_as <> @extschema@._address_checksum(t.url, t.headers, t.bearer_token_location, t.is_insecure_allowed)
           OR EXISTS (SELECT FROM @extschema@.endpoint_allowed_host) AS must_be_checked,
           s.held_at, s.in_flight_limit, @extschema@._breaker(s.consecutive_failures, s.held_until, v_now) AS breaker,
           ARRAY(SELECT k.pads FROM @extschema@.endpoint_secret AS k
                 WHERE k.queue_id = t.queue_id AND k.pads IS NOT NULL ORDER BY k.kind DESC) AS pads
    INTO e
    FROM @extschema@.endpoint_state AS s
    JOIN @extschema@.endpoint AS t ON t.queue_id = s.queue_id
    JOIN @extschema@.queue AS q ON q.queue_id = s.queue_id
    WHERE s.queue_id = _open_endpoint.queue_id AND t.is_active AND (s.held_until IS NULL OR s.held_until <= v_now);
    IF FOUND THEN
        -- A half-open breaker lets one request try, whatever hangs from before.
        v_budget := CASE e.breaker
            WHEN 'closed' THEN LEAST(floor(e.in_flight_limit)::integer, e.max_in_flight)
                               - @extschema@._in_flight(queue_id, NULL)
            ELSE 1 - @extschema@._in_flight(queue_id, e.held_at) END;
    END IF;
    IF v_budget <= 0 THEN
        RETURN ROW(queue_id, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::@extschema@.endpoint_turn;
    END IF;
    IF e.must_be_checked THEN
        v_trouble := @extschema@._address_trouble(e.url, e.headers, e.bearer_token_location <> '', e.is_insecure_allowed);
    END IF;
    IF v_trouble IS NULL AND e.bearer_token_location <> '' THEN
        BEGIN
            v_token := @extschema@._bearer_token(queue_id);
            v_trouble := CASE WHEN v_token IS NULL THEN 'its bearer token is not set' END;
        EXCEPTION WHEN OTHERS THEN
            -- Whatever is wrong with Vault, the other endpoints go on. Its message might show what must not be seen.
            v_trouble := format('its bearer token cannot be read (SQLSTATE %s)', SQLSTATE);
        END;
    END IF;
    IF v_trouble IS NOT NULL THEN
        PERFORM @extschema@._hold_endpoint(queue_id, 10000, v_trouble);
        v_budget := 0;
    END IF;
    RETURN ROW(queue_id, e.queue_name, v_budget, 0, e.url, e.method, e.timeout_milliseconds, e.manual_release,
        e.is_insecure_allowed, e.max_response_bytes,
        e.headers || jsonb_strip_nulls(jsonb_build_object(
            'content-type', CASE e.method WHEN 'POST' THEN 'application/json' END,
            'user-agent', 'pgq/' || @extschema@.installed_version(),
            'authorization', 'Bearer ' || v_token)),
        e.message_prefix, e.pads)::@extschema@.endpoint_turn;
END
$$;
COMMENT ON FUNCTION @extschema@._open_endpoint IS
    'Internal: locks an endpoint against other picks and says how many requests it may get, and what they have in common; null when another pick has it. One that cannot be used as it is set is held for 10 seconds. Inherits the settings of pick_requests.';

CREATE OR REPLACE FUNCTION @extschema@._request_mark(queue_id integer)
RETURNS text
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN pg_catalog.concat('pgq.request_', '@extschema@.request'::regclass::oid, '_', queue_id);
COMMENT ON FUNCTION @extschema@._request_mark IS
    'Internal: the name of the setting that keeps from where the requests to an endpoint are counted. Without a search_path of its own, so that it is inlined.';

CREATE OR REPLACE FUNCTION @extschema@._known_requests(queue_id integer)
RETURNS SETOF @extschema@.request
LANGUAGE sql
STABLE
ROWS 100
AS $$
    SELECT r.request_id, r.job_id, r.lease_token, r.sent_at, r.expires_at, r.queue_id, r.timeout_milliseconds, r.dispatcher
    FROM @extschema@.request AS r
    WHERE r.queue_id = _known_requests.queue_id
      AND r.request_id >= COALESCE(NULLIF(pg_catalog.split_part(
          pg_catalog.current_setting(@extschema@._request_mark(_known_requests.queue_id), true), '|', 1), ''), '0')::bigint
    UNION ALL
    SELECT r.request_id, r.job_id, r.lease_token, r.sent_at, r.expires_at, r.queue_id, r.timeout_milliseconds, r.dispatcher
    FROM @extschema@.request AS r
    WHERE r.queue_id = _known_requests.queue_id
      AND r.request_id = ANY (pg_catalog.string_to_array(pg_catalog.split_part(
          pg_catalog.current_setting(@extschema@._request_mark(_known_requests.queue_id), true), '|', 2), ',')::bigint[])
$$;
COMMENT ON FUNCTION @extschema@._known_requests IS
    'Internal: the requests to an endpoint, without a look at those that this session knows to be dead. Without a search_path of its own, so that it is inlined.';

-- Writes: deletes from request what has expired.  Locks: those rows, with SKIP LOCKED.
CREATE OR REPLACE FUNCTION @extschema@._in_flight(queue_id integer, since timestamptz)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_began timestamptz := clock_timestamp();
    v_mark text := @extschema@._request_mark(queue_id);
    v_count integer;
    v_alive bigint[];
    v_expired bigint[];
BEGIN
    SELECT count(*) FILTER (WHERE r.expires_at > v_now AND (since IS NULL OR r.sent_at > since)),
           array_agg(r.request_id ORDER BY r.request_id) FILTER (WHERE r.expires_at > v_now),
           array_agg(r.request_id) FILTER (WHERE r.expires_at <= v_now)
    INTO v_count, v_alive, v_expired
    FROM @extschema@._known_requests(queue_id) AS r;
    IF v_expired IS NOT NULL THEN
        DELETE FROM @extschema@.request AS r
        WHERE r.queue_id = _in_flight.queue_id AND r.request_id = ANY (ARRAY(
            SELECT gone.request_id FROM @extschema@.request AS gone
            WHERE gone.queue_id = _in_flight.queue_id AND gone.request_id = ANY (v_expired)
            FOR UPDATE SKIP LOCKED));
    END IF;
    -- What made it slow is dead. The living are kept in mind, up to 200 one by one, and the next look begins above
    -- them; no row can come to be below, because ids grow and are given out under the lock that this session has.
    IF clock_timestamp() - v_began > interval '0.3 milliseconds' + v_count * interval '5 microseconds' THEN
        PERFORM set_config(v_mark, concat(
            COALESCE(v_alive[201], nextval('@extschema@.request_request_id_seq'::regclass)), '|',
            array_to_string(v_alive[1:200], ',')), false);
    END IF;
    RETURN v_count;
END
$$;
COMMENT ON FUNCTION @extschema@._in_flight IS
    'Internal: how many requests to an endpoint, which the caller has locked, are under way; since: of those that were sent later. Deletes those that have expired. Inherits the settings of pick_requests.';

CREATE OR REPLACE FUNCTION @extschema@._share_requests(turns @extschema@.endpoint_turn[], wanted integer)
RETURNS @extschema@.endpoint_turn[]
LANGUAGE plpgsql
IMMUTABLE
AS $$
DECLARE
    v_count integer := cardinality(turns);
BEGIN
    FOR v_place IN 1..v_count LOOP
        turns[v_place].share := LEAST(turns[v_place].budget,
            wanted / v_count + CASE WHEN v_place <= wanted % v_count THEN 1 ELSE 0 END);
    END LOOP;
    RETURN turns;
END
$$;
COMMENT ON FUNCTION @extschema@._share_requests IS
    'Internal: sets how many requests each endpoint is to get now. Inherits the settings of pick_requests.';

CREATE OR REPLACE FUNCTION @extschema@._hungry_endpoints(turns @extschema@.endpoint_turn[], mark bigint)
RETURNS @extschema@.endpoint_turn[]
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_sent integer;
    v_hungry @extschema@.endpoint_turn[] := ARRAY[]::@extschema@.endpoint_turn[];
BEGIN
    FOR v_place IN 1..cardinality(turns) LOOP
        SELECT count(*) INTO v_sent
        FROM @extschema@.request AS r
        WHERE r.queue_id = turns[v_place].queue_id AND r.request_id > mark;
        turns[v_place].budget := turns[v_place].budget - v_sent;
        IF v_sent = turns[v_place].share AND turns[v_place].budget > 0 THEN
            v_hungry := array_append(v_hungry, turns[v_place]);
        END IF;
    END LOOP;
    RETURN v_hungry;
END
$$;
COMMENT ON FUNCTION @extschema@._hungry_endpoints IS
    'Internal: those endpoints that have got all of their share since the request_id mark, and may get more. Inherits the settings of pick_requests.';
