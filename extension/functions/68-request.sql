-- Requests: what exactly is sent for a job.

-- Writes: what pick_jobs writes; request.  Locks: as pick_jobs; the caller has locked the endpoints' states.
CREATE OR REPLACE FUNCTION @extschema@._make_requests(turns @extschema@.endpoint_turn[], dispatcher text)
RETURNS SETOF @extschema@.dispatch_request
LANGUAGE plpgsql
VOLATILE
ROWS 100
AS $$
DECLARE
    v_sent_at timestamptz := @extschema@._now();
    v_seconds bigint := floor(EXTRACT(epoch FROM v_sent_at));
BEGIN
    RETURN QUERY
    WITH picked AS MATERIALIZED (
        -- A lease has 30 seconds more than the request, for the answer to come in.
        SELECT t.queue_id, t.queue_name, t.method, t.url, t.headers AS common_headers, t.pads, t.manual_release,
               t.is_insecure_allowed, t.max_response_bytes, p.job_id, p.lease_token, p.lease_until, p.attempt, p.headers,
               -- Each step of a run is a message of its own, and so is undoing it.
               concat('job_', t.message_prefix, '_', p.job_id, '_' || left(md5(p.step), 8),
                      CASE WHEN c.step ->> 'failure' IS NOT NULL THEN '_undo' END) AS message_id,
               LEAST(t.timeout_milliseconds, p.timeout_milliseconds) AS timeout_milliseconds,
               (jsonb_build_object(
                   'job_id', p.job_id, 'lease_token', p.lease_token, 'attempt', p.attempt,
                   'max_attempts', p.max_attempts, 'queue_name', p.queue_name, 'payload', p.payload,
                   'timeout_milliseconds', CASE WHEN t.manual_release THEN p.timeout_milliseconds
                       ELSE LEAST(t.timeout_milliseconds, p.timeout_milliseconds) END)
                || CASE WHEN p.headers IS NOT NULL THEN jsonb_build_object('headers', p.headers) ELSE '{}' END
                || CASE WHEN t.manual_release THEN '{"manual_release": true}'::jsonb ELSE '{}' END
                || CASE WHEN p.workflow IS NOT NULL THEN jsonb_build_object('step', jsonb_build_object(
                       'workflow', p.workflow, 'version', p.workflow_version, 'id', p.step) || c.step) ELSE '{}' END
               )::text AS content
        FROM unnest(turns) AS t
        CROSS JOIN LATERAL @extschema@.pick_jobs(ARRAY[t.queue_name], t.share, _make_requests.dispatcher,
            CASE WHEN NOT t.manual_release THEN t.timeout_milliseconds + 30000 END) AS p
        CROSS JOIN LATERAL (SELECT CASE WHEN p.workflow IS NOT NULL THEN @extschema@._step_content(p.job_id) END AS step) AS c
        WHERE t.share > 0
    ), noted AS (
        INSERT INTO @extschema@.request (
            job_id, lease_token, sent_at, expires_at, queue_id, timeout_milliseconds, dispatcher)
        SELECT p.job_id, p.lease_token, v_sent_at,
               v_sent_at + (p.timeout_milliseconds + 30000) * interval '1 millisecond',
               p.queue_id, p.timeout_milliseconds, _make_requests.dispatcher
        FROM picked AS p
    )
    SELECT p.queue_name, p.job_id, p.lease_token, p.lease_until, p.attempt, p.method,
           CASE p.method WHEN 'POST' THEN p.url
                ELSE concat(p.url, CASE WHEN strpos(p.url, '?') > 0 THEN '&' ELSE '?' END,
                            'job=', @extschema@._percent_encode(p.content)) END,
           p.common_headers
           || jsonb_build_object('webhook-id', p.message_id, 'webhook-timestamp', v_seconds::text)
           || CASE WHEN p.headers IS NULL THEN '{}' ELSE @extschema@._trace_headers(p.headers) END
           || CASE WHEN p.pads = '{}' THEN '{}' ELSE jsonb_build_object('webhook-signature', (
                  SELECT string_agg(@extschema@._sign(p.message_id, v_seconds, p.content, k.pads), ' ' ORDER BY k.place)
                  FROM unnest(p.pads) WITH ORDINALITY AS k (pads, place))) END,
           CASE p.method WHEN 'POST' THEN p.content END,
           p.timeout_milliseconds, p.max_response_bytes, p.manual_release, p.is_insecure_allowed
    FROM picked AS p;
END
$$;
COMMENT ON FUNCTION @extschema@._make_requests IS
    'Internal: picks for each of these endpoints, which the caller has locked, its share of jobs, and makes their requests. Inherits the settings of pick_requests.';

CREATE OR REPLACE FUNCTION @extschema@._trace_headers(headers jsonb)
RETURNS jsonb
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_parent text := headers ->> 'traceparent';
    v_state text := headers ->> 'tracestate';
BEGIN
    -- What is not in the form of W3C Trace Context is not passed on: it might break the request.
    IF (v_parent ~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$') IS NOT TRUE THEN
        RETURN '{}'::jsonb;
    ELSIF (v_state ~ '^[!-~]([ -~]*[!-~])?$' COLLATE "C" AND length(v_state) <= 512) IS NOT TRUE THEN
        RETURN jsonb_build_object('traceparent', v_parent);
    END IF;
    RETURN jsonb_build_object('traceparent', v_parent, 'tracestate', v_state);
END
$$;
COMMENT ON FUNCTION @extschema@._trace_headers IS
    'Internal: traceparent and tracestate of a job, for its request.';

CREATE OR REPLACE FUNCTION @extschema@._percent_encode(content text)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN (
    SELECT string_agg(
        CASE WHEN c.character ~ '^[0-9A-Za-z._~-]$' COLLATE "C" THEN c.character
             ELSE regexp_replace(upper(encode(convert_to(c.character, 'UTF8'), 'hex')), '(..)', '%\1', 'g') END,
        '' ORDER BY c.place)
    FROM string_to_table(content, NULL) WITH ORDINALITY AS c (character, place));
COMMENT ON FUNCTION @extschema@._percent_encode IS
    'Internal: a text as it stands in the query of a url (RFC 3986, in UTF-8).';
