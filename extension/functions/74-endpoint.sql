-- Endpoints: where the jobs of a queue are sent by HTTP.

-- Writes: endpoint, endpoint_state; queue and lane when the queue is new; forgets the token when its location changes.
-- Locks: the endpoint's row and its state.
CREATE OR REPLACE FUNCTION @extschema@.set_endpoint(
    queue_name text,
    url text,
    is_active boolean DEFAULT true,
    method text DEFAULT 'POST',
    timeout_milliseconds integer DEFAULT 15000,
    manual_release boolean DEFAULT false,
    max_in_flight integer DEFAULT 50,
    headers jsonb DEFAULT NULL,
    bearer_token_location text DEFAULT '',
    client_error_attempts integer DEFAULT 3,
    max_response_bytes integer DEFAULT 65536,
    is_insecure_allowed boolean DEFAULT false
)
RETURNS @extschema@.endpoint_settings
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer;
    v_old_location text;
    v_headers jsonb;
BEGIN
    PERFORM @extschema@._check_endpoint(url, is_active, method, timeout_milliseconds, manual_release, max_in_flight,
        headers, bearer_token_location, client_error_attempts, max_response_bytes, is_insecure_allowed);
    v_headers := COALESCE((SELECT jsonb_object_agg(lower(h.name), h.value) FROM jsonb_each(headers) AS h (name, value)), '{}');
    v_queue_id := @extschema@._make_queue(queue_name);
    PERFORM @extschema@._queue_id(queue_name, 'admin');

    INSERT INTO @extschema@.endpoint_state (queue_id) VALUES (v_queue_id)
    ON CONFLICT ON CONSTRAINT endpoint_state_pkey DO NOTHING;
    SELECT e.bearer_token_location INTO v_old_location
    FROM @extschema@.endpoint AS e WHERE e.queue_id = v_queue_id FOR UPDATE;
    IF v_old_location <> set_endpoint.bearer_token_location THEN
        PERFORM @extschema@._forget_bearer_token(v_queue_id);
    END IF;

    INSERT INTO @extschema@.endpoint AS e (
        queue_id, url, is_active, method, timeout_milliseconds, manual_release, max_in_flight, headers,
        bearer_token_location, client_error_attempts, max_response_bytes, is_insecure_allowed, message_prefix,
        checked_as)
    VALUES (
        v_queue_id, set_endpoint.url, set_endpoint.is_active, set_endpoint.method,
        set_endpoint.timeout_milliseconds, set_endpoint.manual_release, set_endpoint.max_in_flight, v_headers,
        set_endpoint.bearer_token_location, set_endpoint.client_error_attempts,
        set_endpoint.max_response_bytes, set_endpoint.is_insecure_allowed, left(gen_random_uuid()::text, 8),
        @extschema@._address_checksum(set_endpoint.url, v_headers, set_endpoint.bearer_token_location,
                                      set_endpoint.is_insecure_allowed))
    ON CONFLICT ON CONSTRAINT endpoint_pkey DO UPDATE SET
        url = EXCLUDED.url, is_active = EXCLUDED.is_active, method = EXCLUDED.method,
        timeout_milliseconds = EXCLUDED.timeout_milliseconds, manual_release = EXCLUDED.manual_release,
        max_in_flight = EXCLUDED.max_in_flight, headers = EXCLUDED.headers,
        bearer_token_location = EXCLUDED.bearer_token_location,
        client_error_attempts = EXCLUDED.client_error_attempts,
        max_response_bytes = EXCLUDED.max_response_bytes,
        is_insecure_allowed = EXCLUDED.is_insecure_allowed,
        checked_as = EXCLUDED.checked_as;
    PERFORM @extschema@._start_anew(v_queue_id);
    RETURN @extschema@._endpoint_settings(v_queue_id);
END
$$;
COMMENT ON FUNCTION @extschema@.set_endpoint IS
$$Has the jobs of a queue sent to an HTTP endpoint by the dispatchers; makes the queue if it does not exist. Sets all values: what is not given gets its default. Returns the settings. The secrets are set apart (set_endpoint_bearer_token, set_endpoint_signing_secret) and stay, but a new bearer_token_location forgets the token. The endpoint starts anew: its circuit breaker is closed and no hold is left.
url: https; without user info and fragment; up to 2048 bytes. is_active: whether jobs are sent; default true. method: POST (the job in the body) or GET (the job in the query, which logs may keep); default POST.
timeout_milliseconds: how long a request may take; 1000 to 900000; default 15000.
manual_release: an answer does not complete the job, its handler releases it; default false.
max_in_flight: requests that may be under way at once; 1 to 10000; default 50.
headers: a json object of strings that go with each request; they are shown by get_endpoint, so no secrets; default none.
bearer_token_location: where the token of the Authorization header is kept: inline (in this schema), supabase_vault, or '' for none; default ''.
client_error_attempts: with the HTTP statuses 400 to 499, except 408, 410, 425 and 429, a job is dead after so many attempts in all; 1 to 1000; default 3.
max_response_bytes: how much of an answer is read; 0 to 16777216; default 65536.
is_insecure_allowed: allows http, and addresses that are private or local; default false.
Errors: 22004, 22023 for a bad value or a host that is not allowed; 55000 for supabase_vault where there is no Vault.$$;

CREATE OR REPLACE FUNCTION @extschema@._check_endpoint(
    url text,
    is_active boolean,
    method text,
    timeout_milliseconds integer,
    manual_release boolean,
    max_in_flight integer,
    headers jsonb,
    bearer_token_location text,
    client_error_attempts integer,
    max_response_bytes integer,
    is_insecure_allowed boolean
)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_missing text;
BEGIN
    SELECT g.name INTO v_missing
    FROM (VALUES ('is_active', is_active), ('manual_release', manual_release),
                 ('is_insecure_allowed', is_insecure_allowed)) AS g (name, given)
    WHERE g.given IS NULL LIMIT 1;
    PERFORM @extschema@._require(v_missing IS NULL, v_missing, NULL);
    PERFORM @extschema@._require(method IN ('POST', 'GET'), 'method to be one of POST, GET', method);
    PERFORM @extschema@._require(timeout_milliseconds BETWEEN 1000 AND 900000,
        'timeout_milliseconds to be between 1000 and 900000', timeout_milliseconds::text);
    PERFORM @extschema@._require(max_in_flight BETWEEN 1 AND 10000,
        'max_in_flight to be between 1 and 10000', max_in_flight::text);
    PERFORM @extschema@._require(client_error_attempts BETWEEN 1 AND 1000,
        'client_error_attempts to be between 1 and 1000', client_error_attempts::text);
    PERFORM @extschema@._require(max_response_bytes BETWEEN 0 AND 16777216,
        'max_response_bytes to be between 0 and 16777216', max_response_bytes::text);
    PERFORM @extschema@._require(bearer_token_location IN ('', 'inline', 'supabase_vault'),
        'bearer_token_location to be one of '''', inline, supabase_vault', bearer_token_location);
    IF bearer_token_location = 'supabase_vault' THEN
        PERFORM @extschema@._require_vault();
    END IF;
    PERFORM @extschema@._check_endpoint_headers(headers, bearer_token_location <> '');
    PERFORM @extschema@._check_url(url, is_insecure_allowed);
    PERFORM @extschema@._check_host_allowed(url);
END
$$;
COMMENT ON FUNCTION @extschema@._check_endpoint IS
    'Internal: raises 22023, 22004 or 55000 for the first argument of set_endpoint that is out of its range.';

CREATE OR REPLACE FUNCTION @extschema@._endpoint_settings(queue_id integer)
RETURNS @extschema@.endpoint_settings
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT q.queue_name, e.is_active, e.url, e.method, e.timeout_milliseconds, e.manual_release, e.max_in_flight,
           e.headers, e.bearer_token_location, e.client_error_attempts, e.max_response_bytes, e.is_insecure_allowed,
           e.bearer_token_ref IS NOT NULL OR 'bearer' = ANY (s.kinds), 'signing' = ANY (s.kinds),
           'previous_signing' = ANY (s.kinds)
    FROM @extschema@.endpoint AS e
    JOIN @extschema@.queue AS q ON q.queue_id = e.queue_id
    CROSS JOIN LATERAL (SELECT COALESCE(array_agg(secret.kind), '{}') AS kinds
                        FROM @extschema@.endpoint_secret AS secret WHERE secret.queue_id = e.queue_id) AS s
    WHERE e.queue_id = _endpoint_settings.queue_id;
END;
COMMENT ON FUNCTION @extschema@._endpoint_settings IS
    'Internal: the settings of the endpoint of a queue by its id, without secrets.';

CREATE OR REPLACE FUNCTION @extschema@._endpoint_id(queue_name text)
RETURNS integer
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer := @extschema@._queue_id(queue_name, 'admin');
BEGIN
    IF NOT EXISTS (SELECT FROM @extschema@.endpoint AS e WHERE e.queue_id = v_queue_id) THEN
        RAISE EXCEPTION 'queue "%" has no endpoint', queue_name
            USING ERRCODE = 'JQ006', HINT = 'set_endpoint gives it one.';
    END IF;
    RETURN v_queue_id;
END
$$;
COMMENT ON FUNCTION @extschema@._endpoint_id IS
    'Internal: the id of the queue, which the caller may control; raises JQ001, 42501, or JQ006 when it has no endpoint.';

CREATE OR REPLACE FUNCTION @extschema@.get_endpoint(queue_name text)
RETURNS @extschema@.endpoint_settings
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN @extschema@._endpoint_settings(@extschema@._endpoint_id(queue_name));
END
$$;
COMMENT ON FUNCTION @extschema@.get_endpoint IS
    'Returns the settings of a queue''s endpoint, without secrets: only whether there are any. Raises JQ001 when the queue does not exist, JQ006 when it has no endpoint.';

-- Writes: deletes from endpoint, endpoint_secret, endpoint_state; the token in Vault.  Locks: these rows.
CREATE OR REPLACE FUNCTION @extschema@.remove_endpoint(queue_name text)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN @extschema@._remove_endpoint(@extschema@._queue_id(queue_name, 'admin'));
END
$$;
COMMENT ON FUNCTION @extschema@.remove_endpoint IS
    'Removes the endpoint of a queue with its secrets and returns whether there was one. Its jobs stay, and can be picked. Requests under way may still be answered. Raises JQ001 when the queue does not exist.';

-- Writes, locks: as remove_endpoint.
CREATE OR REPLACE FUNCTION @extschema@._remove_endpoint(queue_id integer)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_existed boolean;
BEGIN
    PERFORM @extschema@._forget_bearer_token(queue_id);
    DELETE FROM @extschema@.endpoint AS e WHERE e.queue_id = _remove_endpoint.queue_id;
    v_existed := FOUND;
    DELETE FROM @extschema@.endpoint_secret AS s WHERE s.queue_id = _remove_endpoint.queue_id;
    DELETE FROM @extschema@.endpoint_state AS s WHERE s.queue_id = _remove_endpoint.queue_id;
    RETURN v_existed;
END
$$;
COMMENT ON FUNCTION @extschema@._remove_endpoint IS
    'Internal: removes all that is known of the endpoint of a queue and returns whether there was one.';

-- Writes: endpoint.is_active, endpoint_state.  Locks: these rows.
CREATE OR REPLACE FUNCTION @extschema@.set_endpoint_active(queue_name text, is_active boolean)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer := @extschema@._endpoint_id(queue_name);
BEGIN
    PERFORM @extschema@._require(is_active IS NOT NULL, 'is_active', NULL);
    UPDATE @extschema@.endpoint AS e SET is_active = set_endpoint_active.is_active WHERE e.queue_id = v_queue_id;
    IF is_active THEN
        PERFORM @extschema@._start_anew(v_queue_id);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.set_endpoint_active IS
    'Begins or stops sending the jobs of a queue to its endpoint. When it begins, its circuit breaker is closed and no hold is left. Raises JQ001 when the queue does not exist, JQ006 when it has no endpoint.';

-- Writes: endpoint_state.  Locks: its row.
CREATE OR REPLACE FUNCTION @extschema@._start_anew(queue_id integer)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE @extschema@.endpoint_state AS s SET
        in_flight_limit = NULL, consecutive_failures = 0, held_at = NULL, held_until = NULL,
        hold_reason = NULL, last_decrease_at = NULL
    WHERE s.queue_id = _start_anew.queue_id;
    PERFORM @extschema@._wake_workers(ARRAY[queue_id]);
END
$$;
COMMENT ON FUNCTION @extschema@._start_anew IS
    'Internal: forgets what went wrong at the endpoint of a queue, and wakes the dispatchers.';
