-- Signatures of requests: HMAC-SHA256 (RFC 2104) on core's sha256(), so that pgcrypto is not needed, in the form of
-- Standard Webhooks (standardwebhooks.com). A key is turned into its two pads once; a signature is then two hashes.

CREATE OR REPLACE FUNCTION @extschema@._hmac_pads(key bytea)
RETURNS bytea
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_key bytea := CASE WHEN octet_length(key) > 64 THEN sha256(key) ELSE key END;
    v_inner bytea := decode(repeat('36', 64), 'hex');
    v_outer bytea := decode(repeat('5c', 64), 'hex');
BEGIN
    -- Beyond its end the key is all zeros, which leave the pads as they are.
    FOR v_place IN 0..octet_length(v_key) - 1 LOOP
        v_inner := set_byte(v_inner, v_place, get_byte(v_key, v_place) # 54);
        v_outer := set_byte(v_outer, v_place, get_byte(v_key, v_place) # 92);
    END LOOP;
    RETURN v_inner || v_outer;
END
$$;
COMMENT ON FUNCTION @extschema@._hmac_pads IS
    'Internal: the inner and the outer pad of an HMAC-SHA256 key, 64 bytes each.';

CREATE OR REPLACE FUNCTION @extschema@._hmac_with_pads(data bytea, pads bytea)
RETURNS bytea
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN pg_catalog.sha256(pg_catalog.substr(pads, 65) OPERATOR(pg_catalog.||)
    pg_catalog.sha256(pg_catalog.substr(pads, 1, 64) OPERATOR(pg_catalog.||) data));
COMMENT ON FUNCTION @extschema@._hmac_with_pads IS
    'Internal: the HMAC-SHA256 of data by a key whose pads these are. Without a search_path of its own, so that it is inlined.';

CREATE OR REPLACE FUNCTION @extschema@._hmac_sha256(data bytea, key bytea)
RETURNS bytea
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN @extschema@._hmac_with_pads(data, @extschema@._hmac_pads(key));
COMMENT ON FUNCTION @extschema@._hmac_sha256 IS
    'Internal: the HMAC-SHA256 of data by key. Without a search_path of its own, so that it is inlined.';

CREATE OR REPLACE FUNCTION @extschema@._signing_pads(secret text)
RETURNS bytea
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_key bytea;
BEGIN
    IF secret LIKE 'whsec\_%' AND octet_length(secret) <= 200 THEN
        BEGIN
            v_key := decode(substr(secret, 7), 'base64');
        EXCEPTION WHEN data_exception THEN
            v_key := NULL; -- Its message would show a part of the secret.
        END;
    END IF;
    IF (octet_length(v_key) BETWEEN 24 AND 64) IS NOT TRUE THEN
        RAISE EXCEPTION 'expected secret to be whsec_ and the base64 of 24 to 64 bytes' USING ERRCODE = '22023';
    END IF;
    RETURN @extschema@._hmac_pads(v_key);
END
$$;
COMMENT ON FUNCTION @extschema@._signing_pads IS
    'Internal: the pads of a signing secret such as whsec_…; raises 22023, without showing it, when it is not one.';

CREATE OR REPLACE FUNCTION @extschema@._sign(message_id text, at bigint, body text, pads bytea)
RETURNS text
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN pg_catalog.concat('v1,', pg_catalog.encode(@extschema@._hmac_with_pads(
    pg_catalog.convert_to(pg_catalog.concat(message_id, '.', at, '.', body), 'UTF8'), pads), 'base64'));
COMMENT ON FUNCTION @extschema@._sign IS
    'Internal: the signature of a message by Standard Webhooks; at is in seconds since 1970, pads come from _signing_pads. Without a search_path of its own, so that it is inlined.';

CREATE OR REPLACE FUNCTION @extschema@._new_signing_secret()
RETURNS text
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
-- Random numbers of the strong kind, which core offers as uuids only: 4 times 122 bits.
RETURN 'whsec_' || encode(sha256(
    uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
    || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'base64');
COMMENT ON FUNCTION @extschema@._new_signing_secret IS 'Internal: a new random signing secret of 32 bytes.';
