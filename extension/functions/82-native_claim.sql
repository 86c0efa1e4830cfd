-- The requests that pg_net is given.

-- Writes: native_request, net.http_request_queue; what pick_requests writes.  Locks: as pick_requests.
CREATE OR REPLACE FUNCTION @extschema@._native_claim(is_alone boolean)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Above this pg_net runs into the limit of 1024 open files, which it reports as endpoints that cannot be reached.
    c_most_at_once constant integer := 800;
    v_room integer;
BEGIN
    -- A second batch in its queue hides the time that a turn takes; a third would only wait.
    SELECT 2 * LEAST(@extschema@._native_batch(), c_most_at_once) - count(*) INTO v_room
    FROM @extschema@.native_request AS n;
    IF v_room <= 0 THEN
        RETURN 0;
    END IF;
    BEGIN
        RETURN @extschema@._native_send(v_room, NULL, is_alone);
    EXCEPTION WHEN OTHERS THEN
        RETURN @extschema@._native_send_by_queue(v_room, is_alone);
    END;
END
$$;
COMMENT ON FUNCTION @extschema@._native_claim IS
    'Internal: picks as many requests as pg_net has room for and hands them over, to be sent when the transaction commits; returns their number. is_alone: nothing else in the transaction must be durable.';

-- Writes: native_request, net.http_request_queue; what pick_requests writes.  Locks: as pick_requests.
CREATE OR REPLACE FUNCTION @extschema@._native_send(max_requests integer, queue_names text[], is_alone boolean)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
-- With other plans auto_explain, where it logs nested statements, would log the headers of each request, with its token.
-- For the same reason no request is ever a parameter of the dynamic statement.
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_sent integer;
BEGIN
    -- A time-out above a minute would keep all others waiting for as long, and PostgreSQL from stopping.
    -- An id that is there already was lost together with its request, when pg_net began anew.
    EXECUTE format($sql$
        INSERT INTO @extschema@.native_request AS n (
            request_id, job_id, lease_token, sent_at, seen_at, timeout_milliseconds, max_response_bytes)
        SELECT CASE r.method
                   WHEN 'POST' THEN %1$I.http_post(url => r.url, body => r.body::jsonb, headers => r.headers,
                                                   timeout_milliseconds => r.timeout_milliseconds)
                   ELSE %1$I.http_get(url => r.url, headers => r.headers,
                                      timeout_milliseconds => r.timeout_milliseconds) END,
               r.job_id, r.lease_token, $4, $4, r.timeout_milliseconds, r.max_response_bytes
        FROM @extschema@.pick_requests(
            $1, @extschema@._native_dispatcher(), $2, max_timeout_milliseconds => 60000, durable => $3) AS r
        ON CONFLICT ON CONSTRAINT native_request_pkey DO UPDATE SET
            job_id = EXCLUDED.job_id, lease_token = EXCLUDED.lease_token, sent_at = EXCLUDED.sent_at,
            seen_at = EXCLUDED.seen_at, timeout_milliseconds = EXCLUDED.timeout_milliseconds,
            max_response_bytes = EXCLUDED.max_response_bytes, worker_pid = NULL, restarts = 0 $sql$, 'net')
    USING max_requests, queue_names, NOT is_alone, @extschema@._now();
    GET DIAGNOSTICS v_sent = ROW_COUNT;
    RETURN v_sent;
END
$$;
COMMENT ON FUNCTION @extschema@._native_send IS
    'Internal: picks requests, of these queues or of all, and hands them to pg_net; returns their number.';

-- Writes: as _native_send; endpoint_state of those whose requests pg_net refuses.
CREATE OR REPLACE FUNCTION @extschema@._native_send_by_queue(max_requests integer, is_alone boolean)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_endpoint record;
    v_sent integer := 0;
BEGIN
    FOR v_endpoint IN
        SELECT q.queue_id, q.queue_name
        FROM @extschema@.endpoint AS e
        JOIN @extschema@.queue AS q ON q.queue_id = e.queue_id
        WHERE e.is_active
        ORDER BY random()
    LOOP
        EXIT WHEN v_sent >= max_requests;
        BEGIN
            v_sent := v_sent + @extschema@._native_send(
                max_requests - v_sent, ARRAY[v_endpoint.queue_name], is_alone);
        EXCEPTION WHEN OTHERS THEN
            -- What is wrong with pg_net, and not with this endpoint, undoes it all.
            IF left(SQLSTATE, 2) IN ('3F', '40', '42', '53', '55', '57', '58') THEN
                RAISE;
            END IF;
            -- The message may show a whole request, with its token.
            PERFORM @extschema@._hold_endpoint(
                v_endpoint.queue_id, 10000, format('pg_net refuses its requests (SQLSTATE %s)', SQLSTATE));
        END;
    END LOOP;
    RETURN v_sent;
END
$$;
COMMENT ON FUNCTION @extschema@._native_send_by_queue IS
    'Internal: as _native_send for all queues, but one after the other; an endpoint whose requests pg_net refuses is held for 10 seconds.';
