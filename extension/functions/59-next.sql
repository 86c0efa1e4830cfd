-- Next: what a step asks for instead of the step after it at once.

CREATE OR REPLACE FUNCTION @extschema@._strange_key(object jsonb, known text[])
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN jsonb_typeof(object) = 'object'
                THEN (SELECT min(k.key) FROM jsonb_object_keys(object - known) AS k (key))
                ELSE object::text END;
END
$$;
COMMENT ON FUNCTION @extschema@._strange_key IS
    'Internal: the first key of a json object that is not among those known, null when there is none; what is no object is strange as a whole.';

CREATE OR REPLACE FUNCTION @extschema@._check_next(next jsonb)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_strange text;
BEGIN
    PERFORM @extschema@._require(jsonb_typeof(next) = 'object', 'next to be a json object', next::text);
    -- What may stand together with what: the first of these that is there decides.
    v_strange := @extschema@._strange_key(next, CASE
        WHEN next ? 'complete' THEN ARRAY['complete']
        WHEN next ? 'children' THEN ARRAY['step', 'children', 'failed_children']
        WHEN next ? 'signal' THEN ARRAY['step', 'signal', 'timeout_milliseconds']
        WHEN next ? 'start_after' THEN ARRAY['step', 'start_after']
        ELSE ARRAY['step', 'delay_milliseconds'] END);
    PERFORM @extschema@._require(v_strange IS NULL,
        'next to have step, and one of complete, delay_milliseconds, start_after, children, signal', v_strange);
    PERFORM @extschema@._require(NOT next ? 'complete' OR next -> 'complete' = 'true',
        'complete to be true', next ->> 'complete');
    PERFORM @extschema@._require(NOT next ? 'step' OR jsonb_typeof(next -> 'step') = 'string',
        'step to be the id of a step', next ->> 'step');
    PERFORM @extschema@._require(NOT next ? 'start_after' OR isfinite((next ->> 'start_after')::timestamptz),
        'start_after to be a finite time', next ->> 'start_after');
    PERFORM @extschema@._require(NOT next ? 'delay_milliseconds' OR (next ->> 'delay_milliseconds')::bigint BETWEEN 0 AND 31536000000,
        'delay_milliseconds to be between 0 and 31536000000', next ->> 'delay_milliseconds');
    PERFORM @extschema@._require(NOT next ? 'signal' OR octet_length(next ->> 'signal') BETWEEN 1 AND 200,
        'signal to be 1 to 200 bytes long', next ->> 'signal');
    PERFORM @extschema@._require(
        jsonb_typeof(COALESCE(next -> 'timeout_milliseconds', 'null')) = 'null'
        OR (next ->> 'timeout_milliseconds')::bigint BETWEEN 1 AND 31536000000,
        'timeout_milliseconds to be between 1 and 31536000000', next ->> 'timeout_milliseconds');
    IF next ? 'children' THEN
        PERFORM @extschema@._check_children(next -> 'children', next -> 'failed_children');
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_next IS
    'Internal: raises 22023 for a next that finish_step does not take, or 22P02 and its kin for a value of another type.';

CREATE OR REPLACE FUNCTION @extschema@._with_next(move @extschema@.run_move, next jsonb, step text)
RETURNS @extschema@.run_move
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    move.start_after := GREATEST(move.start_after, (next ->> 'start_after')::timestamptz,
        move.start_after + (next ->> 'delay_milliseconds')::bigint * interval '1 millisecond');
    IF next -> 'children' = '[]' THEN
        move.progress := COALESCE(move.progress, '{}') || '{"children": []}';
    ELSIF next ? 'children' OR next ? 'signal' THEN
        move.held_by := CASE WHEN next ? 'children' THEN 'children' ELSE 'signal' END;
        move.progress := COALESCE(move.progress, '{}') || jsonb_build_object('waits_since', step);
    END IF;
    RETURN move;
END
$$;
COMMENT ON FUNCTION @extschema@._with_next IS
    'Internal: what becomes of the way to the next step when the one that is done asks for this; step is the one that is done.';
