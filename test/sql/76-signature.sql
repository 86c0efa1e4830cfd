\i test/setup.psql
-- Signatures: against the published test vectors.
BEGIN;
SELECT plan(11);

-- RFC 4231: keys and data of all lengths

CREATE TEMPORARY TABLE vector (name text NOT NULL, key bytea NOT NULL, data bytea NOT NULL, hmac text NOT NULL);
INSERT INTO vector (name, key, data, hmac)
VALUES
    ('case 1', decode(repeat('0b', 20), 'hex'), 'Hi There',
        'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7'),
    ('case 2', 'Jefe', 'what do ya want for nothing?',
        '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'),
    ('case 3', decode(repeat('aa', 20), 'hex'), decode(repeat('dd', 50), 'hex'),
        '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe'),
    ('case 4', '\x0102030405060708090a0b0c0d0e0f10111213141516171819', decode(repeat('cd', 50), 'hex'),
        '82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b'),
    ('case 6', decode(repeat('aa', 131), 'hex'), 'Test Using Larger Than Block-Size Key - Hash Key First',
        '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54'),
    ('case 7', decode(repeat('aa', 131), 'hex'),
        'This is a test using a larger than block-size key and a larger than block-size data. '
        'The key needs to be hashed before being used by the HMAC algorithm.',
        '9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2');
SELECT is(encode(pgq._hmac_sha256(v.data, v.key), 'hex'), v.hmac, 'RFC 4231, ' || v.name) FROM vector AS v;
SELECT is(
    encode(pgq._hmac_sha256('', ''), 'hex'), 'b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad',
    'an empty key and no data');

-- Standard Webhooks: the sample of its libraries

SELECT is(
    pgq._sign('msg_p5jXN8AQM9LWM0D4loKWxJek', 1614265330, '{"test": 2432232314}',
        pgq._signing_pads('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')),
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=', 'the sample of Standard Webhooks');

-- Secrets

SELECT is_empty($$
    SELECT s.secret FROM (SELECT pgq._new_signing_secret() AS secret FROM generate_series(1, 20)) AS s
    WHERE s.secret !~ '^whsec_[A-Za-z0-9+/]{43}=$' OR pgq._signing_pads(s.secret) IS NULL
$$, 'a new secret is whsec_ and the base64 of 32 bytes');
SELECT is(
    (SELECT count(DISTINCT s.secret) FROM (SELECT pgq._new_signing_secret() AS secret FROM generate_series(1, 20)) AS s),
    20::bigint, 'each is another');
CREATE FUNCTION pg_temp.refusal(secret text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_detail text;
    v_hint text;
BEGIN
    PERFORM pgq._signing_pads(secret);
    RETURN 'none';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL, v_hint = PG_EXCEPTION_HINT;
    RETURN concat(SQLSTATE, ' ', SQLERRM, v_detail, v_hint);
END
$$;
SELECT is_empty($$
    SELECT s.secret, pg_temp.refusal(s.secret)
    FROM unnest(ARRAY[NULL, '', 'whsec_', 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
        'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS$', 'whsec_MfKQ9r8GKYqrTwjU',
        'whsec_' || translate(encode(decode(repeat('00', 65), 'hex'), 'base64'), E'\n', ''),
        'whsec_' || repeat('A', 10000)]) AS s (secret)
    WHERE pg_temp.refusal(s.secret) <> '22023 expected secret to be whsec_ and the base64 of 24 to 64 bytes'
$$, 'what is no secret is refused, and not shown');

SELECT * FROM finish();
ROLLBACK;
