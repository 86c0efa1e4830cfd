CREATE TYPE @extschema@.job_status AS (
    job_id bigint,
    queue_name text,
    state text,
    payload jsonb,
    headers jsonb,
    priority integer,
    attempt integer,
    max_attempts integer,
    start_after timestamptz,
    added_at timestamptz,
    picked_at timestamptz,
    lease_until timestamptz,
    finished_at timestamptz,
    worker text,
    held_by text,
    group_key text,
    unique_key text,
    timeout_milliseconds integer,
    timeout_with_result text,
    output jsonb,
    error text,
    attempts jsonb,
    workflow text,
    workflow_version integer,
    step text,
    parent_job_id bigint
);
COMMENT ON TYPE @extschema@.job_status IS
    'A job, live or finished. state: scheduled, ready, running, held, complete, dead or cancelled. attempts: an array, oldest first, of {attempt, picked_at, ended_at, milliseconds, worker, outcome, error}, of a run also step. step: where a run stands or stood last. parent_job_id: the run that has started this job.';

CREATE TYPE @extschema@.queue_stat AS (
    queue_name text,
    ready bigint,
    scheduled bigint,
    running bigint,
    held bigint,
    dead bigint,
    oldest_ready_milliseconds bigint,
    finished_last_minute bigint,
    failed_share_last_minute double precision,
    is_paused boolean
);
COMMENT ON TYPE @extschema@.queue_stat IS
    'The state of a queue: numbers of jobs, the age of the oldest ready one in milliseconds, and of the jobs finished in the last minute the share (0 to 1) that died.';
