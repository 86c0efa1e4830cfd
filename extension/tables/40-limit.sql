CREATE TABLE @extschema@.running_job (
    running_id bigint GENERATED ALWAYS AS IDENTITY,
    job_id bigint NOT NULL,
    lease_until timestamptz NOT NULL,
    queue_id integer NOT NULL,
    CONSTRAINT running_job_pkey PRIMARY KEY (job_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE @extschema@.running_job IS
    'The running jobs of queues with a max_concurrency, to be counted by a pick. A row is written under the lock of its queue, so running_id grows in the order of commits.';
CREATE INDEX running_job_queue_idx ON @extschema@.running_job (queue_id, running_id);
