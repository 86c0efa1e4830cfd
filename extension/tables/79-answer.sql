CREATE TYPE @extschema@.dispatch_outcome AS (
    job_id bigint,
    lease_token bigint,
    outcome text,
    state text,
    error text
);
COMMENT ON TYPE @extschema@.dispatch_outcome IS
    'What an answer led to. outcome: complete, failed, paused or cancelled as in release_job; accepted (the job runs until its handler releases it), ignored (it is answered already, or its lease is lost) or invalid (no answer at all). state: the state of the job now, null when it was not touched. error: what was noted with the job.';

CREATE TYPE @extschema@.follow_up AS (
    queue_name text,
    payload jsonb,
    start_after timestamptz,
    priority integer,
    max_attempts integer,
    unique_key text,
    on_conflict text,
    throttle_milliseconds bigint,
    group_key text,
    timeout_milliseconds integer,
    timeout_with_result text,
    headers jsonb,
    workflow text,
    workflow_version integer
);
COMMENT ON TYPE @extschema@.follow_up IS 'Internal: a job that an answer asks to add: the parameters of add_job.';

CREATE TYPE @extschema@.answering_endpoint AS (
    queue_id integer,
    manual_release boolean,
    client_error_attempts integer,
    max_response_bytes integer,
    bearer_token text
);
COMMENT ON TYPE @extschema@.answering_endpoint IS
    'Internal: what is to be known of an endpoint to judge its answers.';
