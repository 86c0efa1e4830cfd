-- Signals: what a run may wait for from outside, told by name, by who knows the run or has a token for it.

-- Writes: run_signal, run_hint; queue.has_waits the first time.  Locks: nothing else.
CREATE OR REPLACE FUNCTION @extschema@._signal_run(job_id bigint, name text, payload jsonb)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
DECLARE
    v_run record;
BEGIN
    SELECT j.queue_id, j.workflow, w.signal, q.max_payload_bytes INTO v_run
    FROM @extschema@.job AS j
    JOIN @extschema@.queue AS q ON q.queue_id = j.queue_id
    LEFT JOIN @extschema@.run_wait AS w ON w.job_id = j.job_id
    WHERE j.job_id = _signal_run.job_id;
    IF v_run.workflow IS NULL THEN
        PERFORM @extschema@._raise_no_run(job_id);
    END IF;
    PERFORM @extschema@._check_size('payload', pg_column_size(payload), v_run.max_payload_bytes);
    INSERT INTO @extschema@.run_signal (job_id, name, payload)
    VALUES (_signal_run.job_id, _signal_run.name, COALESCE(_signal_run.payload, 'null'));
    -- Also if nobody waits for it now: what this sees may be older than a wait that is just committed.
    PERFORM @extschema@._hint_run(v_run.queue_id, job_id, @extschema@._now());
    RETURN v_run.signal IS NOT DISTINCT FROM name;
END
$$;
COMMENT ON FUNCTION @extschema@._signal_run IS
    'Internal: keeps a signal for a run and has it looked at; says whether the run waits for it. Raises JQ002, JQ004, 54000.';

CREATE OR REPLACE FUNCTION @extschema@._raise_no_run(job_id bigint)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_job record;
BEGIN
    -- Not by get_job, which asks for the access of an observer.
    SELECT j.finished_as, j.workflow INTO v_job
    FROM @extschema@.every_job AS j WHERE j.job_id = _raise_no_run.job_id;
    IF NOT FOUND THEN
        PERFORM @extschema@.get_job(job_id);
    ELSIF v_job.workflow IS NULL THEN
        RAISE EXCEPTION 'job % is no run of a workflow', job_id USING ERRCODE = 'JQ004';
    ELSIF v_job.finished_as IS NOT NULL THEN
        RAISE EXCEPTION 'run % is % already', job_id, v_job.finished_as USING ERRCODE = 'JQ004';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._raise_no_run IS
    'Internal: raises JQ002 for an unknown job, JQ004 for one that is no run or is finished.';

-- Writes, locks: as _signal_run.
CREATE OR REPLACE FUNCTION @extschema@.signal_job(job_id bigint, name text, payload jsonb DEFAULT NULL)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
BEGIN
    PERFORM @extschema@._require(name <> '' AND octet_length(name) <= 200, 'name to be 1 to 200 bytes long', name);
    PERFORM @extschema@._check_job_access(job_id, 'producer');
    RETURN @extschema@._signal_run(job_id, name, payload);
END
$$;
COMMENT ON FUNCTION @extschema@.signal_job IS
    'Sends a run the signal of this name (1 to 200 bytes), with any json as payload. It is kept until a step waits for it; several of one name are taken one by one, the oldest first. Returns true when the run waits for it now. Errors: 22004, 22023; JQ002 when the job is not known, JQ004 when it is finished or no run; 54000 for a payload above the queue''s max_payload_bytes.';

-- Writes: signal_token.
CREATE OR REPLACE FUNCTION @extschema@.make_signal_token(
    job_id bigint,
    name text,
    valid_milliseconds bigint DEFAULT 604800000
)
RETURNS text
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_token text;
BEGIN
    PERFORM @extschema@._require(name <> '' AND octet_length(name) <= 200, 'name to be 1 to 200 bytes long', name);
    PERFORM @extschema@._require(valid_milliseconds BETWEEN 1 AND 31536000000,
        'valid_milliseconds to be between 1 and 31536000000', valid_milliseconds::text);
    PERFORM @extschema@._check_job_access(job_id, 'worker');
    IF NOT EXISTS (SELECT FROM @extschema@.job AS j WHERE j.job_id = make_signal_token.job_id AND j.workflow IS NOT NULL) THEN
        PERFORM @extschema@._raise_no_run(job_id);
    END IF;
    -- 256 bits that nobody can guess, in base64url. Two random UUIDs have 244 random bits, so that a third is added.
    v_token := translate(rtrim(encode(sha256(
        uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'base64'), '='), '+/', '-_');
    INSERT INTO @extschema@.signal_token (token_hash, job_id, name, expires_at)
    VALUES (sha256(convert_to(v_token, 'UTF8')), make_signal_token.job_id, make_signal_token.name,
            @extschema@._now() + valid_milliseconds * interval '1 millisecond');
    RETURN v_token;
END
$$;
COMMENT ON FUNCTION @extschema@.make_signal_token IS
    'Makes a token (43 characters, fit for a url) by which whoever has it can send the run this signal once, for valid_milliseconds (1 to 31536000000, default 7 days). It is shown only here. Errors: 22004, 22023; JQ002 when the job is not known, JQ004 when it is finished or no run.';

-- Writes: deletes from signal_token; as _signal_run.  Locks: the token's row.
CREATE OR REPLACE FUNCTION @extschema@.signal_by_token(token text, payload jsonb DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
DECLARE
    v_token record;
BEGIN
    PERFORM @extschema@._require(token IS NOT NULL, 'token', NULL);
    DELETE FROM @extschema@.signal_token AS t
    WHERE t.token_hash = sha256(convert_to(token, 'UTF8')) AND t.expires_at > @extschema@._now()
    RETURNING t.job_id, t.name INTO v_token;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'token not found'
            USING ERRCODE = 'JQ008', DETAIL = 'It is not known, was used already, or has expired.';
    END IF;
    PERFORM @extschema@._signal_run(v_token.job_id, v_token.name, payload);
    RETURN v_token.job_id;
END
$$;
COMMENT ON FUNCTION @extschema@.signal_by_token IS
    'Sends the signal that a token of make_signal_token stands for, with any json as payload, and returns the job_id of its run. A token works once. Errors: JQ008 when it is unknown, used or expired; JQ002, JQ004 when the run is gone or finished, 54000 as signal_job: then the token stays.';
