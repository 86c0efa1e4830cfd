CREATE TABLE @extschema@.idle_worker (
    until timestamptz NOT NULL,
    queue_id integer NOT NULL,
    worker text NOT NULL,
    CONSTRAINT idle_worker_pkey PRIMARY KEY (worker, queue_id)
);
COMMENT ON TABLE @extschema@.idle_worker IS
    'Workers that wait for a job and listen: an add to such a queue notifies them.';
CREATE INDEX idle_worker_until_idx ON @extschema@.idle_worker (queue_id, until);
