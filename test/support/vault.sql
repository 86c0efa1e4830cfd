-- A double of supabase_vault 0.3: the same functions, view and grants; it stores hex in place of a cipher.
CREATE SCHEMA vault;

CREATE TABLE vault.secrets (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name text,
    description text NOT NULL DEFAULT '',
    secret text NOT NULL,
    key_id uuid,
    nonce bytea DEFAULT decode(replace(gen_random_uuid()::text, '-', ''), 'hex'),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX secrets_name_idx ON vault.secrets (name) WHERE name IS NOT NULL;

CREATE FUNCTION vault._crypto_aead_det_encrypt(message text)
RETURNS text
LANGUAGE sql
IMMUTABLE
AS $$ SELECT encode(convert_to(message, 'UTF8'), 'hex') $$;

CREATE FUNCTION vault._crypto_aead_det_decrypt(message text)
RETURNS text
LANGUAGE sql
IMMUTABLE
AS $$ SELECT convert_from(decode(message, 'hex'), 'UTF8') $$;

-- Functions in a view are checked as the caller's: who reads it needs EXECUTE on the one above as well.
CREATE VIEW vault.decrypted_secrets AS
SELECT s.id, s.name, s.description, s.secret, vault._crypto_aead_det_decrypt(s.secret) AS decrypted_secret,
       s.key_id, s.nonce, s.created_at, s.updated_at
FROM vault.secrets AS s;

CREATE FUNCTION vault.create_secret(
    new_secret text,
    new_name text DEFAULT NULL,
    new_description text DEFAULT '',
    new_key_id uuid DEFAULT NULL
)
RETURNS uuid
LANGUAGE sql
SECURITY DEFINER
SET search_path = ''
AS $$
    INSERT INTO vault.secrets (secret, name, description, key_id)
    VALUES (vault._crypto_aead_det_encrypt(new_secret), new_name, new_description, new_key_id)
    RETURNING id
$$;

CREATE FUNCTION vault.update_secret(
    secret_id uuid,
    new_secret text DEFAULT NULL,
    new_name text DEFAULT NULL,
    new_description text DEFAULT NULL,
    new_key_id uuid DEFAULT NULL
)
RETURNS void
LANGUAGE sql
SECURITY DEFINER
SET search_path = ''
AS $$
    UPDATE vault.secrets AS s SET
        secret = coalesce(vault._crypto_aead_det_encrypt(new_secret), s.secret),
        name = coalesce(new_name, s.name),
        description = coalesce(new_description, s.description),
        key_id = coalesce(new_key_id, s.key_id),
        updated_at = now()
    WHERE s.id = secret_id
$$;

REVOKE ALL ON FUNCTION vault.create_secret(text, text, text, uuid) FROM PUBLIC;
REVOKE ALL ON FUNCTION vault.update_secret(uuid, text, text, text, uuid) FROM PUBLIC;
REVOKE ALL ON FUNCTION vault._crypto_aead_det_encrypt(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION vault._crypto_aead_det_decrypt(text) FROM PUBLIC;
