-- Dispatch: which jobs are sent to which endpoint now, and the exact request of each. A dispatcher only carries bytes: it
-- picks requests, sends them as they are, and reports the answers.

-- Writes: what pick_jobs writes; request; endpoint_state when an endpoint cannot be used.
-- Locks: endpoint_state of each endpoint that has jobs, with SKIP LOCKED, until the transaction ends; what pick_jobs locks.
CREATE OR REPLACE FUNCTION @extschema@.pick_requests(
    max_requests integer DEFAULT 100,
    dispatcher text DEFAULT NULL,
    queue_names text[] DEFAULT NULL,
    max_timeout_milliseconds integer DEFAULT NULL,
    durable boolean DEFAULT false
)
RETURNS SETOF @extschema@.dispatch_request
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
ROWS 100
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_nestloop = on
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
DECLARE
    v_turns @extschema@.endpoint_turn[];
    v_mark bigint := nextval('@extschema@.request_request_id_seq'::regclass);
    v_left integer := max_requests;
    v_sent integer;
BEGIN
    IF (max_requests BETWEEN 1 AND 10000 AND COALESCE(octet_length(dispatcher), 0) <= 200
        AND COALESCE(max_timeout_milliseconds, 1000) >= 1000) IS NOT TRUE THEN
        PERFORM @extschema@._require(max_requests BETWEEN 1 AND 10000,
            'max_requests to be between 1 and 10000', max_requests::text);
        PERFORM @extschema@._require(octet_length(dispatcher) <= 200 OR dispatcher IS NULL,
            'dispatcher to be at most 200 bytes long', dispatcher);
        PERFORM @extschema@._require(COALESCE(max_timeout_milliseconds >= 1000, true),
            'max_timeout_milliseconds to be at least 1000', max_timeout_milliseconds::text);
    END IF;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM @extschema@._require_read_committed();
    END IF;
    IF durable IS NOT TRUE THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;

    v_turns := @extschema@._open_endpoints(
        @extschema@._due_endpoints(queue_names, max_timeout_milliseconds), max_requests);
    -- Each gets an equal share; what one leaves goes, in the next round, to those that have more.
    WHILE v_left > 0 AND v_turns <> '{}' LOOP
        v_turns := @extschema@._share_requests(v_turns, v_left);
        RETURN QUERY
        SELECT r.queue_name, r.job_id, r.lease_token, r.lease_until, r.attempt, r.method, r.url, r.headers,
               r.body, r.timeout_milliseconds, r.max_response_bytes, r.manual_release, r.is_insecure_allowed
        FROM @extschema@._make_requests(v_turns, pick_requests.dispatcher) AS r;
        GET DIAGNOSTICS v_sent = ROW_COUNT;
        v_left := v_left - v_sent;
        EXIT WHEN v_left = 0 OR v_sent = 0;
        v_turns := @extschema@._hungry_endpoints(v_turns, v_mark);
        v_mark := nextval('@extschema@.request_request_id_seq'::regclass);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.pick_requests IS
$$Leases up to max_requests jobs (1 to 10000, default 100) of queues that have an active endpoint and returns for each the request to send: exactly these headers and this body, within timeout_milliseconds, without following redirects, reading no more of the answer than max_response_bytes. Report each answer by answer_requests. Endpoints take turns, and none gets more requests than may be under way to it.
dispatcher: a name for the history (up to 200 bytes). queue_names: only these queues; default all that the caller may use. max_timeout_milliseconds (from 1000): only endpoints with no longer timeout.
The lease of a job is its own timeout, else that of the endpoint and 30 seconds; with manual_release its own, else the queue's.
durable => true keeps synchronous_commit as it is: use it in a transaction that does something else too.
Errors: 22004, 22023 for bad values; 0A000 in a transaction that is not read committed; 42501 for a restricted queue that is named.$$;

-- Writes: job.lease_until, running_job.lease_until, request.expires_at.  Locks: the rows of request, then of job.
CREATE OR REPLACE FUNCTION @extschema@.extend_requests(job_ids bigint[], lease_tokens bigint[])
RETURNS SETOF @extschema@.job_lease
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
ROWS 100
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_extended record;
    v_known bigint[] := ARRAY[]::bigint[];
BEGIN
    PERFORM @extschema@._check_release(job_ids, lease_tokens, 'paused', NULL, NULL, NULL, true);
    PERFORM @extschema@._require(lease_tokens IS NOT NULL AND array_position(lease_tokens, NULL) IS NULL,
        'every lease_token', NULL);
    FOR v_extended IN
        WITH extended AS (
            UPDATE @extschema@.request AS r
            SET expires_at = GREATEST(r.expires_at, v_now + (r.timeout_milliseconds + 30000) * interval '1 millisecond')
            FROM unnest(job_ids, lease_tokens) AS g (job_id, lease_token)
            WHERE r.job_id = ANY (extend_requests.job_ids)
              AND r.job_id = g.job_id AND r.lease_token = g.lease_token
            RETURNING r.job_id, r.lease_token, r.timeout_milliseconds
        )
        SELECT e.timeout_milliseconds, array_agg(e.job_id) AS job_ids, array_agg(e.lease_token) AS lease_tokens
        FROM extended AS e
        GROUP BY e.timeout_milliseconds
    LOOP
        v_known := v_known || v_extended.job_ids;
        RETURN QUERY
        SELECT k.job_id, k.state, k.lease_until
        FROM @extschema@.keep_jobs_alive(v_extended.job_ids, v_extended.lease_tokens,
            v_extended.timeout_milliseconds + 30000, true) AS k;
    END LOOP;
    RETURN QUERY
    SELECT g.job_id, 'lost'::text, NULL::timestamptz
    FROM unnest(job_ids) AS g (job_id)
    WHERE g.job_id <> ALL (v_known);
END
$$;
COMMENT ON FUNCTION @extschema@.extend_requests IS
    'Keeps requests that wait in a dispatcher, and the leases of their jobs, alive for as long as they may take from now on, and 30 seconds. Returns for each the state of its lease: running, cancelled, or lost when the request is not known any more or its lease is gone. Errors: 22004, 22023.';
