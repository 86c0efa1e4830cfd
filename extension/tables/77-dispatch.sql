-- Logged, although it lives for seconds: after a crash of the server the dispatchers go on, and their answers must find
-- what they answer. A row is written under the lock of its endpoint's state, so request_id grows in the order of commits.
CREATE TABLE @extschema@.request (
    request_id bigint GENERATED ALWAYS AS IDENTITY,
    job_id bigint NOT NULL,
    lease_token bigint NOT NULL,
    sent_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    queue_id integer NOT NULL,
    timeout_milliseconds integer NOT NULL,
    dispatcher text,
    CONSTRAINT request_pkey PRIMARY KEY (job_id, lease_token)
) WITH (
    fillfactor = 90,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);
COMMENT ON TABLE @extschema@.request IS
    'The requests under way: jobs that were handed to a dispatcher and are not answered yet. A row past expires_at counts no more: its dispatcher has died.';
CREATE INDEX request_queue_idx ON @extschema@.request (queue_id, request_id);

CREATE TYPE @extschema@.dispatch_request AS (
    queue_name text,
    job_id bigint,
    lease_token bigint,
    lease_until timestamptz,
    attempt integer,
    method text,
    url text,
    headers jsonb,
    body text,
    timeout_milliseconds integer,
    max_response_bytes integer,
    manual_release boolean,
    is_insecure_allowed boolean
);
COMMENT ON TYPE @extschema@.dispatch_request IS
    'A request that a dispatcher is to send as it is: headers is an object of strings, body is null for GET; unless is_insecure_allowed no host may lead to a private address. Its answer goes to answer_requests with job_id and lease_token.';

CREATE TYPE @extschema@.endpoint_turn AS (
    queue_id integer,
    queue_name text,
    budget integer,
    share integer,
    url text,
    method text,
    timeout_milliseconds integer,
    manual_release boolean,
    is_insecure_allowed boolean,
    max_response_bytes integer,
    headers jsonb,
    message_prefix text,
    pads bytea[]
);
COMMENT ON TYPE @extschema@.endpoint_turn IS
    'Internal: an endpoint that a pick has locked: how many requests it may get, how many of them now, and what they are made of.';
