CREATE TABLE @extschema@.queue_access (
    queue_id integer NOT NULL,
    role_name name NOT NULL,
    access text NOT NULL,
    CONSTRAINT queue_access_pkey PRIMARY KEY (queue_id, role_name, access),
    CONSTRAINT queue_access_access_check CHECK (access IN ('producer', 'worker', 'observer', 'dispatcher', 'admin'))
);
COMMENT ON TABLE @extschema@.queue_access IS
    'Who may do what with a restricted queue; written by grant_access and revoke_access.';
