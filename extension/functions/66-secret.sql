-- Secrets of endpoints: bearer tokens and signing secrets. Only the functions that send, and those of an admin, see them.

-- Writes: endpoint_secret, or Vault and endpoint.bearer_token_ref.  Locks: these rows.
CREATE OR REPLACE FUNCTION @extschema@.set_endpoint_bearer_token(queue_name text, token text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer := @extschema@._endpoint_id(queue_name);
    v_endpoint record;
BEGIN
    IF token !~ '^[!-~]+$' COLLATE "C" OR octet_length(token) > 8000 THEN
        RAISE EXCEPTION 'expected token to be 1 to 8000 visible ASCII characters without spaces' USING ERRCODE = '22023';
    END IF;
    SELECT e.bearer_token_location, e.bearer_token_ref INTO v_endpoint
    FROM @extschema@.endpoint AS e WHERE e.queue_id = v_queue_id FOR UPDATE;
    IF token IS NULL THEN
        PERFORM @extschema@._forget_bearer_token(v_queue_id);
    ELSIF v_endpoint.bearer_token_location = 'inline' THEN
        INSERT INTO @extschema@.endpoint_secret (queue_id, kind, secret) VALUES (v_queue_id, 'bearer', token)
        ON CONFLICT ON CONSTRAINT endpoint_secret_pkey DO UPDATE SET secret = EXCLUDED.secret;
    ELSIF v_endpoint.bearer_token_location = 'supabase_vault' THEN
        UPDATE @extschema@.endpoint AS e
        SET bearer_token_ref = @extschema@._put_into_vault(v_endpoint.bearer_token_ref, token, queue_name)
        WHERE e.queue_id = v_queue_id;
    ELSE
        RAISE EXCEPTION 'the endpoint of queue "%" has no bearer_token_location', queue_name
            USING ERRCODE = '55000', HINT = 'Set it to inline or supabase_vault by set_endpoint.';
    END IF;
    PERFORM @extschema@._start_anew(v_queue_id);
END
$$;
COMMENT ON FUNCTION @extschema@.set_endpoint_bearer_token IS
    'Sets the token that goes to the endpoint as Authorization: Bearer, or removes it (null). It is kept where bearer_token_location says. Pass it as a parameter of the statement, so that no log shows it. Errors: 22023; 55000 without a bearer_token_location, or where there is no Vault; JQ001, JQ006.';

CREATE OR REPLACE FUNCTION @extschema@.get_endpoint_bearer_token(queue_name text)
RETURNS text
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN @extschema@._bearer_token(@extschema@._endpoint_id(queue_name));
END
$$;
COMMENT ON FUNCTION @extschema@.get_endpoint_bearer_token IS
    'Returns the bearer token of a queue''s endpoint in clear, null when none is set. Errors: JQ001, JQ006; 55000 where Vault is gone.';

-- Writes: endpoint_secret.  Locks: its rows.
CREATE OR REPLACE FUNCTION @extschema@.set_endpoint_signing_secret(queue_name text, secret text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Other plans have the secret in a filter, which auto_explain may log.
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_queue_id integer := @extschema@._endpoint_id(queue_name);
    v_secret text := COALESCE(secret, @extschema@._new_signing_secret());
    v_pads bytea := @extschema@._signing_pads(v_secret);
BEGIN
    -- One at a time: the endpoint's row stands for all its secrets.
    PERFORM e.queue_id FROM @extschema@.endpoint AS e WHERE e.queue_id = v_queue_id FOR UPDATE;
    INSERT INTO @extschema@.endpoint_secret (queue_id, kind, secret, pads)
    SELECT s.queue_id, 'previous_signing', s.secret, s.pads
    FROM @extschema@.endpoint_secret AS s
    WHERE s.queue_id = v_queue_id AND s.kind = 'signing' AND s.secret <> v_secret
    ON CONFLICT ON CONSTRAINT endpoint_secret_pkey DO UPDATE SET secret = EXCLUDED.secret, pads = EXCLUDED.pads;
    INSERT INTO @extschema@.endpoint_secret (queue_id, kind, secret, pads)
    VALUES (v_queue_id, 'signing', v_secret, v_pads)
    ON CONFLICT ON CONSTRAINT endpoint_secret_pkey DO UPDATE SET secret = EXCLUDED.secret, pads = EXCLUDED.pads;
    RETURN v_secret;
END
$$;
COMMENT ON FUNCTION @extschema@.set_endpoint_signing_secret IS
    'Sets the secret by which requests to the endpoint are signed (Standard Webhooks: whsec_ and the base64 of 24 to 64 bytes), or makes a new one; returns it. The one before stays in force beside it, so that every request carries both signatures, until forget_previous_signing_secret or the next change. Errors: 22023, JQ001, JQ006.';

-- Writes: deletes from endpoint_secret.  Locks: the row.
CREATE OR REPLACE FUNCTION @extschema@.forget_previous_signing_secret(queue_name text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer := @extschema@._endpoint_id(queue_name);
BEGIN
    DELETE FROM @extschema@.endpoint_secret AS s WHERE s.queue_id = v_queue_id AND s.kind = 'previous_signing';
END
$$;
COMMENT ON FUNCTION @extschema@.forget_previous_signing_secret IS
    'Ends a change of the signing secret: requests carry the signature of the new one only. Errors: JQ001, JQ006.';

-- Writes: endpoint_secret, endpoint.bearer_token_ref, Vault.  Locks: these rows.
CREATE OR REPLACE FUNCTION @extschema@._forget_bearer_token(queue_id integer)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_ref text;
BEGIN
    DELETE FROM @extschema@.endpoint_secret AS s WHERE s.queue_id = _forget_bearer_token.queue_id AND s.kind = 'bearer';
    SELECT e.bearer_token_ref INTO v_ref
    FROM @extschema@.endpoint AS e WHERE e.queue_id = _forget_bearer_token.queue_id FOR UPDATE;
    IF v_ref IS NOT NULL THEN
        UPDATE @extschema@.endpoint AS e SET bearer_token_ref = NULL WHERE e.queue_id = _forget_bearer_token.queue_id;
        PERFORM @extschema@._delete_from_vault(v_ref);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._forget_bearer_token IS
    'Internal: deletes the bearer token of an endpoint, wherever it is kept.';

CREATE OR REPLACE FUNCTION @extschema@._bearer_token(queue_id integer)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_ref text;
BEGIN
    SELECT e.bearer_token_ref INTO v_ref FROM @extschema@.endpoint AS e WHERE e.queue_id = _bearer_token.queue_id;
    IF v_ref IS NOT NULL THEN
        RETURN @extschema@._read_from_vault(v_ref);
    END IF;
    RETURN (SELECT s.secret FROM @extschema@.endpoint_secret AS s
            WHERE s.queue_id = _bearer_token.queue_id AND s.kind = 'bearer');
END
$$;
COMMENT ON FUNCTION @extschema@._bearer_token IS
    'Internal: the bearer token of an endpoint in clear, null when none is set.';
