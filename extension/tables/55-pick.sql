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
    timeout_milliseconds integer
);
COMMENT ON TYPE @extschema@.picked_job IS
    'A job as a worker gets it. lease_token proves the lease at release and keep-alive; timeout_milliseconds is the length of the lease; attempt counts from 1.';

CREATE TYPE @extschema@.lane_visit AS (
    queue_id integer,
    queue_name text,
    priority smallint,
    max_attempts integer,
    timeout_milliseconds integer,
    max_concurrency integer,
    is_special boolean
);
COMMENT ON TYPE @extschema@.lane_visit IS
    'Internal: a lane that a pick visits, with the settings of its queue. is_special: it has groups or is restricted.';

CREATE TYPE @extschema@.queue_share AS (
    queue_name text,
    share integer,
    found integer
);
COMMENT ON TYPE @extschema@.queue_share IS
    'Internal: how many jobs a pick from several queues takes from one, and how many it saw there.';
