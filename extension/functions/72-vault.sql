-- Vault (the extension supabase_vault): a place for bearer tokens. It may be missing, so it is called by dynamic SQL, and
-- what is secret goes by parameter only.

CREATE OR REPLACE FUNCTION @extschema@._require_vault()
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Where USAGE on the schema is missing, a look into it is an error.
    IF NOT COALESCE((SELECT has_schema_privilege(n.oid, 'USAGE') FROM pg_namespace AS n WHERE n.nspname = 'vault'), false)
       OR to_regclass('vault.decrypted_secrets') IS NULL
       OR to_regprocedure('vault.create_secret(text,text,text,uuid)') IS NULL
       OR to_regprocedure('vault.update_secret(uuid,text,text,text,uuid)') IS NULL THEN
        RAISE EXCEPTION 'Vault is not installed in this database, or the owner of this queue may not use it'
            USING ERRCODE = '55000',
                  HINT = 'Install the extension supabase_vault, or use bearer_token_location inline.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._require_vault IS 'Internal: raises 55000 when there is no Vault.';

-- Writes: vault.secrets.
CREATE OR REPLACE FUNCTION @extschema@._put_into_vault(ref text, token text, queue_name text)
RETURNS text
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_id uuid;
BEGIN
    PERFORM @extschema@._require_vault();
    EXECUTE format('SELECT s.id FROM %s AS s WHERE s.id = $1', to_regclass('vault.decrypted_secrets'))
    INTO v_id USING ref::uuid;
    IF v_id IS NULL THEN
        EXECUTE format('SELECT %s(new_secret => $1, new_description => $2)', to_regproc('vault.create_secret'))
        INTO v_id USING token, format('pgq: bearer token for the endpoint of queue "%s"', queue_name);
    ELSE
        EXECUTE format('SELECT %s(secret_id => $1, new_secret => $2)', to_regproc('vault.update_secret'))
        USING v_id, token;
    END IF;
    RETURN v_id::text;
END
$$;
COMMENT ON FUNCTION @extschema@._put_into_vault IS
    'Internal: keeps a token in Vault, in the place of the secret ref if that is there still; returns the id of the secret.';

CREATE OR REPLACE FUNCTION @extschema@._read_from_vault(ref text)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_token text;
BEGIN
    PERFORM @extschema@._require_vault();
    EXECUTE format('SELECT s.decrypted_secret FROM %s AS s WHERE s.id = $1', to_regclass('vault.decrypted_secrets'))
    INTO v_token USING ref::uuid;
    RETURN v_token;
END
$$;
COMMENT ON FUNCTION @extschema@._read_from_vault IS
    'Internal: the secret of Vault with this id in clear; null when it is gone. Raises 55000 when there is no Vault.';

-- Writes: deletes from vault.secrets.
CREATE OR REPLACE FUNCTION @extschema@._delete_from_vault(ref text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF to_regclass('vault.secrets') IS NOT NULL THEN
        EXECUTE format('DELETE FROM %s AS s WHERE s.id = $1', to_regclass('vault.secrets')) USING ref::uuid;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'secret % of Vault could not be deleted', ref
        USING DETAIL = 'The owner of this queue may not delete from vault.secrets.';
END
$$;
COMMENT ON FUNCTION @extschema@._delete_from_vault IS
    'Internal: deletes a secret from Vault; warns when the owner of this queue may not.';
