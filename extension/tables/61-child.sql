CREATE TABLE @extschema@.child_result (
    parent_job_id bigint NOT NULL,
    job_id bigint NOT NULL,
    state text NOT NULL,
    error text,
    output jsonb,
    CONSTRAINT child_result_pkey PRIMARY KEY (parent_job_id, job_id)
);
COMMENT ON TABLE @extschema@.child_result IS
    'How the children of a run ended, until all have and the run gets the results.';

CREATE TYPE @extschema@.child_job AS (
    parent_job_id bigint,
    place bigint,
    queue_name text,
    payload jsonb,
    start_after timestamptz,
    priority integer,
    max_attempts integer,
    group_key text,
    timeout_milliseconds integer,
    headers jsonb,
    workflow text,
    workflow_version integer
);
COMMENT ON TYPE @extschema@.child_job IS
    'Internal: a job that a run starts, the how manieth, and its parameters of add_job.';
