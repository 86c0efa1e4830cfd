CREATE TYPE @extschema@.picked_job AS (
    job_id bigint,
    queue_name text,
    lease_token bigint,
    lease_until timestamptz,
    attempt integer,
    max_attempts integer,
    payload jsonb,
    headers jsonb,
    priority integer,
    group_key text,
    start_after timestamptz,
    added_at timestamptz,
    timeout_milliseconds integer,
    workflow text,
    workflow_version integer,
    step text
);
COMMENT ON TYPE @extschema@.picked_job IS
    'A job as a worker gets it. lease_token proves the lease at release and keep-alive; timeout_milliseconds is the length of the lease; attempt counts from 1, anew at each step of a run; workflow, workflow_version and step are null for a job that is no run.';
