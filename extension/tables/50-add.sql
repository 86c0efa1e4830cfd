CREATE TYPE @extschema@.added_job AS (
    job_id bigint,
    is_new boolean
);
COMMENT ON TYPE @extschema@.added_job IS
    'What add_job returns: is_new is false when a job with the same unique_key was there and job_id is that one.';
