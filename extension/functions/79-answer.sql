-- Answers: each takes its request out of the table and settles its job; see 67-verdict.sql for what it means.

-- Writes: deletes from request; endpoint_state; queue (410); what release_jobs and keep_jobs_alive write, and add_job
-- for the jobs that an answer asks to add.
-- Locks: rows of request, endpoint_state in the order of queue_id, queue, job: in this order.
CREATE OR REPLACE FUNCTION @extschema@.answer_requests(answers jsonb)
RETURNS SETOF @extschema@.dispatch_outcome
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
SET jit = off
AS $$
DECLARE
    v_verdicts @extschema@.answer_verdict[];
    v_outcomes @extschema@.dispatch_outcome[];
BEGIN
    IF (jsonb_typeof(answers) = 'array') IS NOT TRUE THEN
        PERFORM @extschema@._require(false, 'answers to be a json array', answers::text);
    END IF;
    v_verdicts := @extschema@._judge_answers(answers);
    PERFORM @extschema@._note_answers(v_verdicts);
    UPDATE @extschema@.queue AS q
    SET paused_until = 'infinity', pause_reason = 'its endpoint answered HTTP 410 (gone)'
    WHERE q.queue_id IN (SELECT v.queue_id FROM unnest(v_verdicts) AS v WHERE v.is_gone)
      AND (q.paused_until IS NULL OR q.paused_until < 'infinity');
    BEGIN
        v_outcomes := @extschema@._settle_answers(v_verdicts);
    EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded
                   OR insufficient_privilege OR SQLSTATE 'JQ007' THEN
        -- One of them cannot be stored: each alone then, so that it does not spoil the others.
        v_outcomes := @extschema@._settle_one_by_one(v_verdicts);
    END;
    RETURN QUERY
    SELECT o.job_id, o.lease_token, o.outcome, o.state, o.error
    FROM unnest(v_outcomes) AS o;
END
$$;
COMMENT ON FUNCTION @extschema@.answer_requests IS
$$Reports answers of endpoints: a json array of {job_id, lease_token, status_code?, headers?, body?, error?, timed_out?}, status_code null when there was no answer. Each is told from the others: one that is bad or late harms none. Returns a row for each, in their order; what is answered already, or whose lease is lost, is ignored.
2xx completes the job with a json body as output; 202, or manual_release, leaves it running until its handler releases it. A body of content type application/vnd.pgq+json holds the parameters of release_job, under jobs what to add in the same transaction, and under next, for a run, what finish_step takes as next.
429 and 503 with Retry-After use no attempt and hold the endpoint for that long (up to an hour); 429 without uses none either. 408, 425, 5xx, redirects, time-outs and no answer fail the attempt; other 4xx too, and the job is dead after client_error_attempts; 410 also pauses the queue.
Also in an answer: body_is_cut (it is no output), follows_redirects (200 and 204 with a location are redirects), given_back (it was not sent: no attempt is used), lost (it is not known what became of it: an attempt is used, the next comes at once).
Errors: 22004, 22023 when answers is no array.$$;

CREATE OR REPLACE FUNCTION @extschema@._id_in(answer jsonb, name text)
RETURNS bigint
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN CASE WHEN (answer OPERATOR(pg_catalog.->>) name) OPERATOR(pg_catalog.~) '^[0-9]{1,18}$'
            THEN (answer OPERATOR(pg_catalog.->>) name)::bigint END;
COMMENT ON FUNCTION @extschema@._id_in IS
    'Internal: a job_id or lease_token of an answer, null when there is none. Without a search_path of its own, so that it is inlined.';

-- Writes: deletes from request.  Locks: its rows.
CREATE OR REPLACE FUNCTION @extschema@._judge_answers(answers jsonb)
RETURNS @extschema@.answer_verdict[]
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_job_ids bigint[] := ARRAY(SELECT @extschema@._id_in(a.answer, 'job_id') FROM jsonb_array_elements(answers) AS a (answer));
    v_sent record;
    v_endpoint @extschema@.answering_endpoint;
    v_verdict @extschema@.answer_verdict;
    v_verdicts @extschema@.answer_verdict[] := ARRAY[]::@extschema@.answer_verdict[];
BEGIN
    FOR v_sent IN
        WITH given AS MATERIALIZED (
            SELECT g.place, g.answer, g.job_id, g.lease_token,
                   row_number() OVER (PARTITION BY g.job_id, g.lease_token ORDER BY g.place) AS time
            FROM (SELECT a.place, a.answer, @extschema@._id_in(a.answer, 'job_id') AS job_id,
                         @extschema@._id_in(a.answer, 'lease_token') AS lease_token
                  FROM jsonb_array_elements(answers) WITH ORDINALITY AS a (answer, place)) AS g
        ), taken AS (
            DELETE FROM @extschema@.request AS r
            USING given AS g
            WHERE r.job_id = ANY (v_job_ids) AND r.job_id = g.job_id AND r.lease_token = g.lease_token AND g.time = 1
            RETURNING g.place, r.queue_id, r.sent_at, r.timeout_milliseconds
        )
        SELECT g.place, g.answer, g.job_id, g.lease_token, t.queue_id, t.sent_at, t.timeout_milliseconds,
               j.attempt, j.job_id IS NOT NULL AS is_leased, j.workflow IS NOT NULL AS is_run,
               j.progress ? 'failure' AS is_undoing
        FROM given AS g
        LEFT JOIN taken AS t ON t.place = g.place
        LEFT JOIN (SELECT known.job_id, known.lease_token, known.attempt, known.workflow, known.progress FROM @extschema@.job AS known
                   WHERE known.job_id = ANY (v_job_ids)) AS j
            ON j.job_id = g.job_id AND j.lease_token = g.lease_token
        ORDER BY t.queue_id, g.place
    LOOP
        v_verdict := NULL;
        IF v_sent.job_id IS NULL OR v_sent.lease_token IS NULL THEN
            v_verdict.result := 'invalid';
        ELSIF v_sent.queue_id IS NULL THEN
            v_verdict.result := 'ignored';
        ELSE
            IF v_sent.queue_id IS DISTINCT FROM v_endpoint.queue_id THEN
                v_endpoint := @extschema@._answering_endpoint(v_sent.queue_id);
            END IF;
            v_verdict := @extschema@._judge_answer(
                v_sent.answer, v_endpoint, v_sent.attempt::integer, v_sent.timeout_milliseconds);
            IF v_verdict.next IS NOT NULL AND NOT v_sent.is_run THEN
                v_verdict.result := 'failed';
                v_verdict.error := 'bad answer document: next is for runs of workflows';
                v_verdict.output := NULL;
                v_verdict.jobs := NULL;
                v_verdict.next := NULL;
            END IF;
            -- What it says of the endpoint counts all the same.
            v_verdict.result := CASE WHEN v_sent.is_leased THEN v_verdict.result ELSE 'ignored' END;
        END IF;
        v_verdict.is_undoing := v_sent.is_undoing;
        v_verdict.place := v_sent.place;
        v_verdict.queue_id := v_sent.queue_id;
        v_verdict.job_id := v_sent.job_id;
        v_verdict.lease_token := v_sent.lease_token;
        v_verdict.sent_at := v_sent.sent_at;
        v_verdicts := array_append(v_verdicts, v_verdict);
    END LOOP;
    RETURN v_verdicts;
END
$$;
COMMENT ON FUNCTION @extschema@._judge_answers IS
    'Internal: takes the requests that are answered out of the table and says what each answer means. Inherits the settings of answer_requests.';

-- Writes: what _settle_jobs, keep_jobs_alive and _complete_with_jobs write.  Locks: job rows.
CREATE OR REPLACE FUNCTION @extschema@._settle_answers(verdicts @extschema@.answer_verdict[])
RETURNS @extschema@.dispatch_outcome[]
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_batch record;
    v_verdict @extschema@.answer_verdict;
    v_done bigint[] := ARRAY[]::bigint[];
    v_special @extschema@.dispatch_outcome[] := ARRAY[]::@extschema@.dispatch_outcome[];
BEGIN
    FOR v_batch IN
        SELECT v.result, v.delay_milliseconds, v.retry, array_agg(v.job_id) AS job_ids,
               array_agg(v.lease_token) AS lease_tokens, array_agg(v.output) AS outputs, array_agg(v.error) AS errors,
               array_agg(v.next) AS nexts
        FROM unnest(verdicts) AS v
        WHERE v.result NOT IN ('ignored', 'invalid') AND v.jobs IS NULL
        GROUP BY v.result, v.delay_milliseconds, v.retry
        ORDER BY v.result, v.delay_milliseconds, v.retry
    LOOP
        IF v_batch.result = 'accepted' THEN
            v_done := v_done || ARRAY(
                SELECT k.job_id FROM @extschema@.keep_jobs_alive(v_batch.job_ids, v_batch.lease_tokens, NULL, true) AS k
                WHERE k.state = 'running');
        ELSE
            v_done := v_done || @extschema@._settle_jobs(v_batch.job_ids, v_batch.lease_tokens, v_batch.result,
                v_batch.outputs, v_batch.errors, v_batch.delay_milliseconds, v_batch.retry, 'failed',
                v_batch.nexts);
        END IF;
    END LOOP;
    FOR v_verdict IN
        SELECT v.* FROM unnest(verdicts) AS v
        WHERE v.result = 'complete' AND v.jobs IS NOT NULL
        ORDER BY v.job_id
    LOOP
        v_special := array_append(v_special, @extschema@._complete_with_jobs(v_verdict));
    END LOOP;

    RETURN ARRAY(
        SELECT COALESCE(s, ROW(v.job_id, v.lease_token, v.outcome,
                CASE WHEN v.outcome NOT IN ('ignored', 'invalid') THEN
                    COALESCE(j.state, CASE WHEN v.outcome = 'failed' OR (v.outcome = 'complete' AND v.is_undoing) THEN 'dead'
                                           ELSE v.outcome END) END,
                CASE WHEN v.outcome <> 'ignored' THEN v.error END)::@extschema@.dispatch_outcome)
        FROM (SELECT g.place, g.job_id, g.lease_token, g.error, g.is_undoing,
                     CASE WHEN g.result = 'invalid' OR g.job_id = ANY (v_done) THEN g.result ELSE 'ignored' END AS outcome
              FROM unnest(verdicts) AS g) AS v
        LEFT JOIN (SELECT k.job_id, @extschema@._state(
                              k.held_by, k.lease_token, k.lease_until, k.start_after, @extschema@._now()) AS state
                   FROM @extschema@.job AS k WHERE k.job_id = ANY (v_done)) AS j ON j.job_id = v.job_id
        LEFT JOIN unnest(v_special) AS s ON s.job_id = v.job_id AND s.lease_token = v.lease_token
        ORDER BY v.place);
END
$$;
COMMENT ON FUNCTION @extschema@._settle_answers IS
    'Internal: does with the jobs what the verdicts say, and tells what became of each, in the order of the answers. Inherits the settings of answer_requests.';

-- Writes, locks: as _settle_answers.
CREATE OR REPLACE FUNCTION @extschema@._settle_one_by_one(verdicts @extschema@.answer_verdict[])
RETURNS @extschema@.dispatch_outcome[]
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_verdict @extschema@.answer_verdict;
    v_outcomes @extschema@.dispatch_outcome[] := ARRAY[]::@extschema@.dispatch_outcome[];
BEGIN
    FOR v_verdict IN SELECT v.* FROM unnest(verdicts) AS v ORDER BY v.place LOOP
        BEGIN
            v_outcomes := v_outcomes || @extschema@._settle_answers(ARRAY[v_verdict]);
        EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded
                       OR insufficient_privilege OR SQLSTATE 'JQ007' THEN
            v_verdict.result := 'failed';
            v_verdict.error := CASE
                WHEN v_verdict.next IS NULL THEN format('the answer cannot be stored (SQLSTATE %s)', SQLSTATE)
                ELSE left('next of the answer cannot be done: ' || SQLERRM, 500) END;
            v_verdict.output := NULL;
            v_verdict.jobs := NULL;
            v_verdict.next := NULL;
            v_verdict.delay_milliseconds := NULL;
            v_outcomes := v_outcomes || @extschema@._settle_answers(ARRAY[v_verdict]);
        END;
    END LOOP;
    RETURN v_outcomes;
END
$$;
COMMENT ON FUNCTION @extschema@._settle_one_by_one IS
    'Internal: _settle_answers, each answer alone: the job of one that cannot be stored fails. Inherits the settings of answer_requests.';

-- Writes: what _settle_jobs and add_job write.  Locks: the job row.
CREATE OR REPLACE FUNCTION @extschema@._complete_with_jobs(verdict @extschema@.answer_verdict)
RETURNS @extschema@.dispatch_outcome
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_given record;
    v_job @extschema@.follow_up;
    v_place bigint;
BEGIN
    IF @extschema@._settle_jobs(ARRAY[verdict.job_id], ARRAY[verdict.lease_token], 'complete', ARRAY[verdict.output],
           ARRAY[verdict.error], NULL, true, 'failed', ARRAY[verdict.next]) = '{}' THEN
        RETURN ROW(verdict.job_id, verdict.lease_token, 'ignored', NULL, NULL)::@extschema@.dispatch_outcome;
    END IF;
    FOR v_given IN
        SELECT a.job, a.place, (SELECT min(k.key) FROM jsonb_object_keys(
                   CASE WHEN jsonb_typeof(a.job) = 'object' THEN a.job ELSE '{}' END) AS k (key)
               WHERE k.key NOT IN ('queue_name', 'payload', 'start_after', 'priority', 'max_attempts', 'unique_key',
                   'on_conflict', 'throttle_milliseconds', 'group_key', 'timeout_milliseconds', 'timeout_with_result',
                   'headers', 'workflow', 'workflow_version')) AS unknown_key
        FROM jsonb_array_elements(verdict.jobs) WITH ORDINALITY AS a (job, place)
    LOOP
        v_place := v_given.place;
        PERFORM @extschema@._require(jsonb_typeof(v_given.job) = 'object', 'a json object', v_given.job::text);
        PERFORM @extschema@._require(v_given.unknown_key IS NULL, 'parameters of add_job only', v_given.unknown_key);
        v_job := jsonb_populate_record(NULL::@extschema@.follow_up, v_given.job);
        PERFORM @extschema@.add_job(v_job.queue_name, v_given.job -> 'payload', v_job.start_after,
            COALESCE(v_job.priority, 0), v_job.max_attempts, v_job.unique_key,
            COALESCE(v_job.on_conflict, 'skip'), v_job.throttle_milliseconds, v_job.group_key,
            v_job.timeout_milliseconds, v_job.timeout_with_result, v_job.headers, v_job.workflow,
            v_job.workflow_version);
    END LOOP;
    RETURN ROW(verdict.job_id, verdict.lease_token, 'complete', COALESCE((
        SELECT @extschema@._state(j.held_by, j.lease_token, j.lease_until, j.start_after, @extschema@._now())
        FROM @extschema@.job AS j WHERE j.job_id = verdict.job_id),
        CASE WHEN verdict.is_undoing THEN 'dead' ELSE 'complete' END), NULL)::@extschema@.dispatch_outcome;
EXCEPTION WHEN data_exception OR program_limit_exceeded OR insufficient_privilege OR SQLSTATE 'JQ007' THEN
    -- All of it is undone: the job is not complete without what was to follow.
    verdict.result := 'failed';
    verdict.error := left(concat(
        COALESCE('job ' || v_place || ' of the answer cannot be added: ', 'next of the answer cannot be done: '), SQLERRM), 500);
    verdict.output := NULL;
    verdict.jobs := NULL;
    verdict.next := NULL;
    RETURN (@extschema@._settle_answers(ARRAY[verdict]))[1];
END
$$;
COMMENT ON FUNCTION @extschema@._complete_with_jobs IS
    'Internal: completes a job and adds those that its answer asks for, or fails it when one cannot be added. Inherits the settings of answer_requests.';
