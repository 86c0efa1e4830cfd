CREATE TYPE @extschema@.error_code AS (
    code text,
    name text,
    meaning text
);
COMMENT ON TYPE @extschema@.error_code IS
    'An SQLSTATE of this queue''s own, its name in the SDK, and what it means.';

CREATE TYPE @extschema@.watermark AS (
    from_at timestamptz,
    from_id bigint,
    is_set boolean
);
COMMENT ON TYPE @extschema@.watermark IS
    'Internal: the position from which a scan begins; is_set is false for a scan from the beginning.';
