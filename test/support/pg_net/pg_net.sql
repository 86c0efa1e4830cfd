-- The SQL of pg_net's double: schema net as pg_net 0.20 has it, without C. worker.ts is its background worker.
-- Names, defaults, errors and grants are those of the original; what the double cannot do is listed in README.md.

CREATE SCHEMA net;

CREATE DOMAIN net.http_method AS text
    CHECK (value ILIKE 'get' OR value ILIKE 'post' OR value ILIKE 'delete');

-- No primary key and no index; the sequence of an unlogged table is unlogged too (PostgreSQL 15), so that ids begin at 1
-- again after a crash.
CREATE UNLOGGED TABLE net.http_request_queue (
    id bigserial,
    method net.http_method NOT NULL,
    url text NOT NULL,
    headers jsonb,
    body bytea,
    timeout_milliseconds integer NOT NULL
);

CREATE UNLOGGED TABLE net._http_response (
    id bigint,
    status_code integer,
    content_type text,
    headers jsonb,
    content text,
    timed_out boolean,
    error_msg text,
    created timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON net._http_response (created);

CREATE FUNCTION net.check_worker_is_up()
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_stat_activity AS a
                   WHERE a.backend_type ILIKE '%pg_net%' OR a.application_name ILIKE 'pg_net%') THEN
        RAISE EXCEPTION 'the pg_net background worker is not up'
            USING DETAIL = 'the pg_net background worker is down due to an internal error and cannot process requests',
                  HINT = 'make sure that you didn''t modify any of pg_net internal tables';
    END IF;
END
$$;

-- A function in C begins with loading the library.
CREATE FUNCTION net._load()
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    IF coalesce(current_setting('pg_net.batch_size', true), '') = '' THEN
        RAISE EXCEPTION 'pg_net is not in shared_preload_libraries'
            USING HINT = 'Add pg_net to the shared_preload_libraries configuration variable in postgresql.conf.';
    END IF;
END
$$;

-- The original sets a latch when the transaction commits; a notification is delivered at that moment too.
CREATE FUNCTION net.wake()
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM net._load();
    PERFORM pg_notify('pg_net', 'wake');
END
$$;

CREATE FUNCTION net.worker_restart()
RETURNS boolean
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_notify('pg_net', 'restart');
    RETURN true;
END
$$;

CREATE FUNCTION net._urlencode_string(string varchar)
RETURNS text
LANGUAGE sql
IMMUTABLE STRICT
AS $$
    SELECT string_agg(
        CASE WHEN c.one ~ '^[0-9A-Za-z._~-]$' THEN c.one
             ELSE regexp_replace(upper(encode(convert_to(c.one, 'UTF8'), 'hex')), '(..)', '%\1', 'g') END,
        '' ORDER BY c.place)
    FROM regexp_split_to_table(string, '') WITH ORDINALITY AS c (one, place)
$$;

CREATE FUNCTION net._encode_url_with_params_array(url text, params_array text[])
RETURNS text
LANGUAGE plpgsql
IMMUTABLE STRICT
AS $$
DECLARE
    c_schemes constant text[] := ARRAY['http', 'https', 'ftp', 'ftps', 'file', 'dict', 'gopher', 'ws', 'wss'];
    v_scheme text := lower(substring(url FROM '^([A-Za-z][A-Za-z0-9+.-]*)://'));
BEGIN
    PERFORM net._load();
    IF v_scheme IS NULL THEN
        RAISE EXCEPTION 'Bad scheme';
    ELSIF v_scheme <> ALL (c_schemes) THEN
        RAISE EXCEPTION 'Unsupported URL scheme';
    ELSIF url ~ '[[:space:][:cntrl:]]' THEN
        RAISE EXCEPTION 'Malformed input to a URL function';
    END IF;
    RETURN url || CASE
        WHEN params_array = '{}' THEN ''
        ELSE CASE WHEN strpos(url, '?') > 0 THEN '&' ELSE '?' END || array_to_string(params_array, '&') END;
END
$$;

CREATE FUNCTION net._params_array(params jsonb)
RETURNS text[]
LANGUAGE sql
IMMUTABLE
AS $$
    SELECT coalesce(array_agg(net._urlencode_string(p.key) || '=' || net._urlencode_string(p.value)), '{}')
    FROM jsonb_each_text(params) AS p
$$;

CREATE FUNCTION net.http_get(
    url text,
    params jsonb DEFAULT '{}',
    headers jsonb DEFAULT '{}',
    timeout_milliseconds integer DEFAULT 5000
)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_id bigint;
BEGIN
    INSERT INTO net.http_request_queue (method, url, headers, timeout_milliseconds)
    VALUES ('GET', net._encode_url_with_params_array(http_get.url, net._params_array(params)),
            http_get.headers, http_get.timeout_milliseconds)
    RETURNING id INTO v_id;
    PERFORM net.wake();
    RETURN v_id;
END
$$;

CREATE FUNCTION net.http_post(
    url text,
    body jsonb DEFAULT '{}',
    params jsonb DEFAULT '{}',
    headers jsonb DEFAULT '{"Content-Type": "application/json"}',
    timeout_milliseconds integer DEFAULT 5000
)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_id bigint;
    v_content_type text;
BEGIN
    SELECT h.value INTO v_content_type
    FROM jsonb_each_text(coalesce(headers, '{}')) AS h
    WHERE lower(h.key) = 'content-type'
    LIMIT 1;
    IF v_content_type IS NULL THEN
        headers := headers || '{"Content-Type": "application/json"}';
    ELSIF v_content_type <> 'application/json' THEN
        RAISE EXCEPTION 'Content-Type header must be "application/json"';
    END IF;
    IF body IS NULL THEN
        RAISE EXCEPTION 'body must not be null';
    END IF;
    INSERT INTO net.http_request_queue (method, url, headers, body, timeout_milliseconds)
    VALUES ('POST', net._encode_url_with_params_array(http_post.url, net._params_array(params)),
            http_post.headers, convert_to(http_post.body::text, 'UTF8'), http_post.timeout_milliseconds)
    RETURNING id INTO v_id;
    PERFORM net.wake();
    RETURN v_id;
END
$$;

CREATE FUNCTION net.http_delete(
    url text,
    params jsonb DEFAULT '{}',
    headers jsonb DEFAULT '{}',
    timeout_milliseconds integer DEFAULT 5000,
    body jsonb DEFAULT NULL
)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    v_id bigint;
BEGIN
    INSERT INTO net.http_request_queue (method, url, headers, body, timeout_milliseconds)
    VALUES ('DELETE', net._encode_url_with_params_array(http_delete.url, net._params_array(params)),
            http_delete.headers, convert_to(http_delete.body::text, 'UTF8'), http_delete.timeout_milliseconds)
    RETURNING id INTO v_id;
    PERFORM net.wake();
    RETURN v_id;
END
$$;

GRANT USAGE ON SCHEMA net TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA net TO PUBLIC;
GRANT ALL ON ALL SEQUENCES IN SCHEMA net TO PUBLIC;
