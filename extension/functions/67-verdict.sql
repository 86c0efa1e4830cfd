-- Verdicts: what an answer means for its job, and for what is sent to the endpoint next. Nothing is written here.

CREATE OR REPLACE FUNCTION @extschema@._answering_endpoint(queue_id integer)
RETURNS @extschema@.answering_endpoint
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    e record;
    v_token text;
BEGIN
    SELECT t.manual_release, t.client_error_attempts, t.max_response_bytes, t.bearer_token_location INTO e
    FROM @extschema@.endpoint AS t WHERE t.queue_id = _answering_endpoint.queue_id;
    IF e.bearer_token_location <> '' THEN
        BEGIN
            v_token := @extschema@._bearer_token(queue_id);
        EXCEPTION WHEN OTHERS THEN
            v_token := NULL; -- Vault is out of order: that must not keep answers from being recorded.
        END;
    END IF;
    -- It may have been removed while the request was under way.
    RETURN ROW(queue_id, COALESCE(e.manual_release, false), COALESCE(e.client_error_attempts, 3),
               COALESCE(e.max_response_bytes, 65536), v_token)::@extschema@.answering_endpoint;
END
$$;
COMMENT ON FUNCTION @extschema@._answering_endpoint IS
    'Internal: what is to be known of the endpoint of a queue to judge its answers; the token, because an endpoint may repeat it.';

CREATE OR REPLACE FUNCTION @extschema@._judge_answer(
    answer jsonb,
    endpoint @extschema@.answering_endpoint,
    attempt integer,
    timeout_milliseconds integer
)
RETURNS @extschema@.answer_verdict
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_status integer := CASE WHEN answer ->> 'status_code' ~ '^[0-9]{3}$' THEN (answer ->> 'status_code')::integer END;
    v_body text := answer ->> 'body';
    v_error text := answer ->> 'error';
    v_is_redirected boolean := v_status IN (200, 204) AND COALESCE(answer -> 'follows_redirects' = 'true', false)
        AND @extschema@._header(answer -> 'headers', 'location') IS NOT NULL;
    v_verdict @extschema@.answer_verdict;
BEGIN
    v_verdict.retry := true;
    IF endpoint.bearer_token IS NOT NULL THEN
        v_body := @extschema@._redacted(v_body, endpoint.bearer_token);
        v_error := @extschema@._redacted(v_error, endpoint.bearer_token);
    END IF;
    IF answer -> 'given_back' = 'true' THEN
        v_verdict.result := 'paused';
        v_verdict.delay_milliseconds := 0;
    ELSIF answer -> 'lost' = 'true' THEN
        v_verdict.result := 'failed';
        v_verdict.error := COALESCE(left(v_error, 200), 'the request was lost on its way');
        v_verdict.delay_milliseconds := 0;
    ELSIF v_status IS NULL AND answer -> 'timed_out' = 'true' THEN
        -- With manual_release the handler may be at work still: the lease decides.
        v_verdict.result := CASE WHEN endpoint.manual_release THEN 'accepted' ELSE 'failed' END;
        v_verdict.error := format('no answer within %s ms', timeout_milliseconds);
        v_verdict.is_good := CASE WHEN NOT endpoint.manual_release THEN false END;
        v_verdict.is_pressure := NOT endpoint.manual_release;
    ELSIF v_status IS NULL THEN
        v_verdict.result := 'failed';
        v_verdict.error := concat('no answer: ', COALESCE(left(v_error, 200), 'unknown error'));
        v_verdict.is_good := false;
    ELSIF v_status BETWEEN 200 AND 299 AND NOT v_is_redirected THEN
        RETURN @extschema@._judge_success(answer, endpoint, v_status, v_body);
    ELSE
        RETURN @extschema@._judge_refusal(answer, endpoint, v_status, v_body, attempt);
    END IF;
    RETURN v_verdict;
END
$$;
COMMENT ON FUNCTION @extschema@._judge_answer IS
    'Internal: what an answer means for its job and its endpoint. Inherits the settings of answer_requests.';

CREATE OR REPLACE FUNCTION @extschema@._redacted(content text, token text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
AS $$
DECLARE
    v_redacted text := replace(content, token, '[redacted]');
    v_decoded text := v_redacted;
    v_sign text;
    v_hex text;
BEGIN
    IF strpos(v_redacted, '\') > 0 THEN
        -- Json may write what is no letter and no digit in other ways: as \/ or \u002f.
        FOR v_sign IN
            SELECT DISTINCT c.sign FROM string_to_table(token, NULL) AS c (sign) WHERE c.sign !~ '[0-9A-Za-z]'
        LOOP
            v_hex := to_hex(ascii(v_sign));
            v_decoded := replace(replace(replace(v_decoded,
                '\u00' || v_hex, v_sign), '\u00' || upper(v_hex), v_sign), '\' || v_sign, v_sign);
        END LOOP;
        IF strpos(v_decoded, token) > 0 THEN
            RETURN replace(v_decoded, token, '[redacted]');
        END IF;
    END IF;
    RETURN v_redacted;
END
$$;
COMMENT ON FUNCTION @extschema@._redacted IS
    'Internal: a text without this token, also where json has it in another writing. Inherits the settings of answer_requests.';

CREATE OR REPLACE FUNCTION @extschema@._judge_success(
    answer jsonb,
    endpoint @extschema@.answering_endpoint,
    status_code integer,
    body text
)
RETURNS @extschema@.answer_verdict
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_type text := lower(btrim(split_part(@extschema@._header(answer -> 'headers', 'content-type'), ';', 1)));
    v_is_cut boolean := answer -> 'body_is_cut' = 'true' OR octet_length(body) > endpoint.max_response_bytes;
    v_verdict @extschema@.answer_verdict;
BEGIN
    v_verdict.result := 'complete';
    v_verdict.retry := true;
    IF v_type = 'application/vnd.pgq+json' AND v_is_cut THEN
        v_verdict.result := 'failed';
        v_verdict.error := format('bad answer document: it is longer than %s bytes', endpoint.max_response_bytes);
    ELSIF v_type = 'application/vnd.pgq+json' THEN
        v_verdict := @extschema@._read_document(body);
    ELSIF status_code = 202 OR endpoint.manual_release THEN
        v_verdict.result := 'accepted';
    ELSIF body <> '' AND NOT COALESCE(v_is_cut, false) AND COALESCE(v_type, '') ~ '^$|[/+]json$' THEN
        v_verdict.output := @extschema@._json_or_null(body);
    END IF;
    v_verdict.is_good := true;
    RETURN v_verdict;
END
$$;
COMMENT ON FUNCTION @extschema@._judge_success IS
    'Internal: what an answer with a 2xx status means: the body is the output if it is json, or a document that says what to do. Inherits the settings of answer_requests.';

CREATE OR REPLACE FUNCTION @extschema@._judge_refusal(
    answer jsonb,
    endpoint @extschema@.answering_endpoint,
    status_code integer,
    body text,
    attempt integer
)
RETURNS @extschema@.answer_verdict
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_after bigint;
    v_verdict @extschema@.answer_verdict;
BEGIN
    v_verdict.result := 'failed';
    v_verdict.error := CASE WHEN status_code < 400 AND status_code >= 200
        THEN format('redirected (HTTP %s): the url of the endpoint must be the final one', status_code)
        ELSE concat('HTTP ', status_code, ': ' || NULLIF(left(btrim(regexp_replace(left(body, 2000), '\s+', ' ', 'g')), 200), '')) END;
    v_verdict.retry := true;
    IF status_code IN (429, 503) THEN
        v_verdict.is_pressure := true;
        v_after := @extschema@._retry_after(@extschema@._header(answer -> 'headers', 'retry-after'), @extschema@._now());
    END IF;
    CASE
        WHEN v_after IS NOT NULL THEN
            v_verdict.result := 'paused';
            v_verdict.delay_milliseconds := v_after;
            v_verdict.hold_milliseconds := v_after;
        WHEN status_code = 429 THEN
            v_verdict.result := 'paused';
            SELECT GREATEST(1000, EXTRACT(epoch FROM @extschema@._retry_pause(q.retry_backoff,
                q.pause_between_retries_milliseconds, q.max_pause_between_retries_milliseconds,
                _judge_refusal.attempt)) * 1000)::bigint
            INTO v_verdict.delay_milliseconds
            FROM @extschema@.queue AS q WHERE q.queue_id = endpoint.queue_id;
            v_verdict.is_good := false;
        WHEN status_code = 408 OR status_code NOT BETWEEN 200 AND 499 THEN
            v_verdict.is_good := false;
        WHEN status_code = 410 THEN
            v_verdict.is_gone := true;
        WHEN status_code BETWEEN 400 AND 499 AND status_code <> 425 THEN
            v_verdict.is_good := true;
            v_verdict.retry := attempt < endpoint.client_error_attempts;
        ELSE
            NULL; -- A redirect, or 425: it says nothing about how the endpoint is doing.
    END CASE;
    RETURN v_verdict;
END
$$;
COMMENT ON FUNCTION @extschema@._judge_refusal IS
    'Internal: what an answer means whose status is not 2xx, or that came by a redirect. Inherits the settings of answer_requests.';

CREATE OR REPLACE FUNCTION @extschema@._header(headers jsonb, name text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
AS $$
BEGIN
    IF headers ->> name IS NOT NULL OR jsonb_typeof(headers) <> 'object' THEN
        RETURN headers ->> name;
    END IF;
    RETURN (SELECT h.value FROM jsonb_each_text(headers) AS h (name, value) WHERE lower(h.name) = _header.name LIMIT 1);
END
$$;
COMMENT ON FUNCTION @extschema@._header IS
    'Internal: a header of an answer by its name in lower case, however the answer writes it. Inherits the settings of answer_requests.';

CREATE OR REPLACE FUNCTION @extschema@._retry_after(value text, at timestamptz)
RETURNS bigint
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO, DMY'
AS $$
DECLARE
    v_seconds double precision;
BEGIN
    IF btrim(value) ~ '^[0-9]{1,18}$' THEN
        v_seconds := btrim(value)::double precision;
    ELSIF value ~* '^\s*(mon|tue|wed|thu|fri|sat|sun)[a-z]*,? [0-9a-z :-]+$' THEN
        -- The three forms of RFC 9110; the one without a zone is in UTC.
        v_seconds := EXTRACT(epoch FROM regexp_replace(value, '^\s*[A-Za-z]+,? ', '')::timestamptz - at);
    END IF;
    -- Never at once: who answers "now" for ever would get the same requests for ever.
    RETURN CASE WHEN v_seconds IS NOT NULL THEN LEAST(GREATEST(v_seconds, 1), 3600) * 1000 END;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._retry_after IS
    'Internal: the milliseconds, 1000 to 3600000, that a Retry-After in seconds or as a date asks for; null when it is neither.';

CREATE OR REPLACE FUNCTION @extschema@._json_or_null(content text)
RETURNS jsonb
LANGUAGE plpgsql
IMMUTABLE
AS $$
BEGIN
    RETURN content::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL; -- No json, or none that jsonb can hold.
END
$$;
COMMENT ON FUNCTION @extschema@._json_or_null IS 'Internal: a text as json; null when it is none. Inherits the settings of answer_requests.';

CREATE OR REPLACE FUNCTION @extschema@._read_document(body text)
RETURNS @extschema@.answer_verdict
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_document jsonb := @extschema@._json_or_null(body);
    v_key text;
    v_verdict @extschema@.answer_verdict;
BEGIN
    PERFORM @extschema@._require(jsonb_typeof(v_document) = 'object', 'a json object', COALESCE(body, ''));
    SELECT k.key INTO v_key FROM jsonb_object_keys(v_document) AS k (key)
    WHERE k.key NOT IN ('result', 'output', 'error', 'delay_milliseconds', 'retry', 'jobs', 'next') LIMIT 1;
    PERFORM @extschema@._require(v_key IS NULL,
        'nothing but result, output, error, delay_milliseconds, retry, jobs, next', v_key);
    v_verdict.result := COALESCE(v_document ->> 'result', 'complete');
    v_verdict.output := v_document -> 'output';
    v_verdict.error := v_document ->> 'error';
    v_verdict.delay_milliseconds := (v_document ->> 'delay_milliseconds')::bigint;
    v_verdict.retry := COALESCE((v_document ->> 'retry')::boolean, true);
    PERFORM @extschema@._check_release(ARRAY[0]::bigint[], ARRAY[0]::bigint[], v_verdict.result, NULL, NULL,
        v_verdict.delay_milliseconds, v_verdict.retry);
    IF jsonb_typeof(v_document -> 'jobs') <> 'null' THEN
        PERFORM @extschema@._require(jsonb_typeof(v_document -> 'jobs') = 'array', 'jobs to be an array',
            v_document ->> 'jobs');
        PERFORM @extschema@._require(jsonb_array_length(v_document -> 'jobs') <= 1000,
            'at most 1000 jobs', jsonb_array_length(v_document -> 'jobs')::text);
        PERFORM @extschema@._require(v_verdict.result = 'complete',
            format('no jobs with result %s', v_verdict.result), v_document ->> 'jobs');
        v_verdict.jobs := NULLIF(v_document -> 'jobs', '[]');
    END IF;
    IF jsonb_typeof(v_document -> 'next') <> 'null' THEN
        PERFORM @extschema@._check_next(v_document -> 'next');
        PERFORM @extschema@._require(v_verdict.result = 'complete',
            format('no next with result %s', v_verdict.result), v_document ->> 'next');
        v_verdict.next := NULLIF(v_document -> 'next', '{}');
    END IF;
    RETURN v_verdict;
EXCEPTION WHEN data_exception THEN
    v_verdict := NULL;
    v_verdict.result := 'failed';
    v_verdict.retry := true;
    v_verdict.error := 'bad answer document: ' || SQLERRM;
    RETURN v_verdict;
END
$$;
COMMENT ON FUNCTION @extschema@._read_document IS
    'Internal: what an answer of content type application/vnd.pgq+json says; a failure, when it is not as it should be.';
