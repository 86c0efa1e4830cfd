CREATE TYPE @extschema@.job_lease AS (
    job_id bigint,
    state text,
    lease_until timestamptz
);
COMMENT ON TYPE @extschema@.job_lease IS
    'What keep_jobs_alive tells of a lease: state is running, lost or cancelled; lease_until is null unless it runs.';
