CREATE TABLE @extschema@.run_memory (
    job_id bigint NOT NULL,
    step text NOT NULL,
    name text NOT NULL,
    value jsonb NOT NULL,
    CONSTRAINT run_memory_pkey PRIMARY KEY (job_id, step, name)
);
COMMENT ON TABLE @extschema@.run_memory IS
    'What the steps that runs stand at have remembered, for their next attempt.';
