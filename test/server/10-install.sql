
-- The installation

CREATE TEMPORARY VIEW here AS SELECT c.relnamespace AS oid FROM pg_class AS c WHERE c.oid = '@extschema@.job'::regclass;
SELECT is(@extschema@.installed_version(), '@version@', 'the version is @version@');
SELECT is_empty($$
    SELECT unnest(@functions@) EXCEPT SELECT p.proname::text FROM pg_proc AS p JOIN here ON here.oid = p.pronamespace
$$, 'no function is missing');
SELECT is_empty($$
    SELECT unnest(@relations@) EXCEPT SELECT c.relname::text FROM pg_class AS c JOIN here ON here.oid = c.relnamespace
$$, 'no table, index or type is missing');
SELECT is_empty($$
    SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN here ON here.oid = c.relnamespace
    WHERE NOT i.indisvalid OR NOT i.indisready
$$, 'every index is in use');
SELECT is_empty($$
    SELECT p.proname FROM pg_proc AS p JOIN here ON here.oid = p.pronamespace, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS acl
    WHERE acl.grantee = 0
$$, 'no function is everybody''s');
SELECT is_empty($$
    SELECT c.relname, acl.grantee::regrole FROM pg_class AS c JOIN here ON here.oid = c.relnamespace, aclexplode(c.relacl) AS acl
    WHERE acl.grantee <> c.relowner
$$, 'no table is granted to anyone');
SELECT is_empty($$
    SELECT p.proname FROM pg_proc AS p JOIN here ON here.oid = p.pronamespace
    WHERE p.prosecdef AND NOT coalesce(p.proconfig, '{}') @> ARRAY['search_path=pg_catalog, pg_temp']
$$, 'every function that runs as its owner pins its search_path');
