CREATE TABLE @extschema@.endpoint_allowed_host (
    pattern text NOT NULL,
    CONSTRAINT endpoint_allowed_host_pkey PRIMARY KEY (pattern)
);
COMMENT ON TABLE @extschema@.endpoint_allowed_host IS
    'The hosts that endpoints may have, such as api.example.com or *.example.com; all, when it is empty.';
