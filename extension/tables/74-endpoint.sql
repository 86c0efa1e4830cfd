CREATE TABLE @extschema@.endpoint (
    queue_id integer NOT NULL,
    url text NOT NULL,
    is_active boolean NOT NULL,
    method text NOT NULL,
    timeout_milliseconds integer NOT NULL,
    manual_release boolean NOT NULL,
    max_in_flight integer NOT NULL,
    headers jsonb NOT NULL,
    bearer_token_location text NOT NULL,
    -- The id of the secret in Vault; null when the token is in endpoint_secret, or not set yet.
    bearer_token_ref text,
    client_error_attempts integer NOT NULL,
    max_response_bytes integer NOT NULL,
    is_insecure_allowed boolean NOT NULL,
    -- Job ids begin at 1 in every installation: this makes webhook-id unique over all of them.
    message_prefix text NOT NULL,
    -- The checksum of the url and the headers that set_endpoint has found good: see _address_checksum.
    checked_as text NOT NULL,
    CONSTRAINT endpoint_pkey PRIMARY KEY (queue_id),
    CONSTRAINT endpoint_method_check CHECK (method IN ('POST', 'GET')),
    CONSTRAINT endpoint_timeout_milliseconds_check CHECK (timeout_milliseconds BETWEEN 1000 AND 900000),
    CONSTRAINT endpoint_max_in_flight_check CHECK (max_in_flight BETWEEN 1 AND 10000),
    CONSTRAINT endpoint_bearer_token_location_check
        CHECK (bearer_token_location IN ('', 'inline', 'supabase_vault')),
    CONSTRAINT endpoint_client_error_attempts_check CHECK (client_error_attempts BETWEEN 1 AND 1000),
    CONSTRAINT endpoint_max_response_bytes_check CHECK (max_response_bytes BETWEEN 0 AND 16777216)
);
COMMENT ON TABLE @extschema@.endpoint IS
    'The HTTP endpoints that jobs are sent to, at most one for a queue; written by set_endpoint.';

CREATE TABLE @extschema@.endpoint_secret (
    queue_id integer NOT NULL,
    kind text NOT NULL,
    secret text NOT NULL,
    -- Of a signing secret: the two pads of its HMAC key, made once and not at every signature.
    pads bytea,
    CONSTRAINT endpoint_secret_pkey PRIMARY KEY (queue_id, kind),
    CONSTRAINT endpoint_secret_kind_check CHECK (kind IN ('bearer', 'signing', 'previous_signing'))
);
COMMENT ON TABLE @extschema@.endpoint_secret IS
    'Bearer tokens and signing secrets of endpoints, in clear: readable by nobody but the functions that send.';

CREATE TYPE @extschema@.endpoint_settings AS (
    queue_name text,
    is_active boolean,
    url text,
    method text,
    timeout_milliseconds integer,
    manual_release boolean,
    max_in_flight integer,
    headers jsonb,
    bearer_token_location text,
    client_error_attempts integer,
    max_response_bytes integer,
    is_insecure_allowed boolean,
    has_bearer_token boolean,
    has_signing_secret boolean,
    has_previous_signing_secret boolean
);
COMMENT ON TYPE @extschema@.endpoint_settings IS
    'The settings of an endpoint, without its secrets; the comment on set_endpoint states unit, range and default of each.';
