-- The answers that pg_net has brought, from its table to answer_requests.

CREATE OR REPLACE FUNCTION @extschema@._native_text(content text)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- pg_net stores the bytes that it has received, whatever the encoding of the database is.
    RETURN convert_from(convert_to(content, getdatabaseencoding()), 'UTF8');
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
    RETURN '';
END
$$;
COMMENT ON FUNCTION @extschema@._native_text IS
    'Internal: what an endpoint has sent, as text of this database; empty when it is none.';

CREATE OR REPLACE FUNCTION @extschema@._native_answer(
    request @extschema@.native_request,
    status_code integer,
    headers jsonb,
    content text,
    timed_out boolean,
    error_msg text
)
RETURNS jsonb
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_is_cut boolean := octet_length(content) > request.max_response_bytes;
BEGIN
    RETURN jsonb_strip_nulls(jsonb_build_object(
        'job_id', request.job_id,
        'lease_token', request.lease_token,
        'follows_redirects', true,
        'status_code', status_code,
        'headers', (
            SELECT jsonb_object_agg(lower(h.name), @extschema@._native_text(h.value))
            FROM jsonb_each_text(CASE WHEN jsonb_typeof(headers) = 'object' THEN headers ELSE '{}' END) AS h (name, value)
            WHERE lower(h.name) IN ('content-type', 'location', 'retry-after')),
        -- Of a body that is too long only the beginning is shown, in an error.
        'body', @extschema@._native_text(CASE WHEN v_is_cut THEN left(content, 1000) ELSE content END),
        'body_is_cut', v_is_cut,
        -- Most versions leave timed_out null.
        'timed_out', status_code IS NULL AND (timed_out IS TRUE OR error_msg ILIKE 'timeout%'),
        'error', left(@extschema@._native_text(error_msg), 200)));
END
$$;
COMMENT ON FUNCTION @extschema@._native_answer IS
    'Internal: an answer as it stands in a row of net._http_response, for answer_requests.';

-- Writes: deletes from native_request and net._http_response; what answer_requests writes.  Locks: as answer_requests.
CREATE OR REPLACE FUNCTION @extschema@._native_reap()
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
-- What an endpoint has answered is not for auto_explain to log.
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
DECLARE
    c_most_answers constant integer := 1000;
    c_most_bytes constant integer := 33554432;
    v_since timestamptz;
    v_ids bigint[];
BEGIN
    -- created is when the worker's transaction began, and has the only index that there is.
    SELECT min(n.sent_at) - interval '1 minute' INTO v_since FROM @extschema@.native_request AS n;
    IF v_since IS NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format($sql$
        SELECT array_agg(a.id)
        FROM (SELECT r.id, row_number() OVER w AS place, sum(octet_length(r.content)) OVER w AS bytes
              FROM %I._http_response AS r
              JOIN @extschema@.native_request AS n ON n.request_id = r.id
              WHERE r.created >= $1 AND r.created >= n.sent_at - interval '1 minute'
              WINDOW w AS (ORDER BY r.id)) AS a
        WHERE a.place = 1 OR (a.place <= $2 AND a.bytes <= $3) $sql$, 'net')
    INTO v_ids USING v_since, c_most_answers, c_most_bytes;
    IF v_ids IS NULL THEN
        RETURN 0;
    END IF;
    BEGIN
        PERFORM @extschema@._native_take(v_ids, v_since);
    EXCEPTION WHEN OTHERS THEN
        -- Whatever is wrong with one of them, it must not keep the others, nor come again at every turn.
        PERFORM @extschema@._native_take_one_by_one(v_ids, v_since);
    END;
    RETURN cardinality(v_ids);
END
$$;
COMMENT ON FUNCTION @extschema@._native_reap IS
    'Internal: takes the answers that have come in, up to 1000 and 32 MB at a time; returns their number.';

-- Writes, locks: as _native_reap.
CREATE OR REPLACE FUNCTION @extschema@._native_take(request_ids bigint[], since timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_answers jsonb;
BEGIN
    EXECUTE format($sql$
        SELECT jsonb_agg(@extschema@._native_answer(
                   n, r.status_code, r.headers, r.content, r.timed_out, r.error_msg))
        FROM %I._http_response AS r
        JOIN @extschema@.native_request AS n ON n.request_id = r.id
        WHERE r.created >= $2 AND r.id = ANY ($1) $sql$, 'net')
    INTO v_answers USING request_ids, since;
    IF v_answers IS NOT NULL THEN
        PERFORM @extschema@.answer_requests(v_answers);
    END IF;
    PERFORM @extschema@._native_forget(request_ids, since);
END
$$;
COMMENT ON FUNCTION @extschema@._native_take IS
    'Internal: reports these answers. Inherits the settings of _native_reap.';

-- Writes: deletes from native_request and net._http_response.
CREATE OR REPLACE FUNCTION @extschema@._native_forget(request_ids bigint[], since timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $$
BEGIN
    DELETE FROM @extschema@.native_request AS n WHERE n.request_id = ANY (request_ids);
    -- Where the role may not, pg_net deletes them when their time is over.
    IF has_table_privilege('net._http_response', 'DELETE') THEN
        EXECUTE format('DELETE FROM %I._http_response AS r WHERE r.created >= $2 AND r.id = ANY ($1)', 'net')
        USING request_ids, since;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._native_forget IS
    'Internal: forgets these requests and their answers. Inherits the settings of _native_reap.';

-- Writes, locks: as _native_reap.
CREATE OR REPLACE FUNCTION @extschema@._native_take_one_by_one(request_ids bigint[], since timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_id bigint;
    v_state text;
BEGIN
    FOREACH v_id IN ARRAY request_ids LOOP
        BEGIN
            PERFORM @extschema@._native_take(ARRAY[v_id], since);
        EXCEPTION WHEN OTHERS THEN
            v_state := SQLSTATE;
            PERFORM @extschema@.answer_requests(jsonb_build_array(jsonb_build_object(
                'job_id', n.job_id, 'lease_token', n.lease_token,
                'error', format('the answer cannot be read (SQLSTATE %s)', v_state))))
            FROM @extschema@.native_request AS n WHERE n.request_id = v_id;
            PERFORM @extschema@._native_forget(ARRAY[v_id], since);
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._native_take_one_by_one IS
    'Internal: reports these answers each by itself; one that cannot be read is a failure. Inherits the settings of _native_reap.';
