CREATE TABLE @extschema@.lane (
    queue_id integer NOT NULL,
    priority smallint NOT NULL
);
COMMENT ON TABLE @extschema@.lane IS
    'The priorities in use in each queue, so that a pick looks for no job of another. A row may stand twice: a unique key would make the first adds to a lane wait for each other.';
CREATE INDEX lane_idx ON @extschema@.lane (queue_id, priority);

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
    'Internal: a lane that a pick visits, with the settings of its queue. is_special: it has groups, runs that wait, or is restricted.';

CREATE TYPE @extschema@.queue_share AS (
    queue_name text,
    share integer,
    found integer
);
COMMENT ON TYPE @extschema@.queue_share IS
    'Internal: how many jobs a pick from several queues takes from one, and how many it saw there.';
