\i test/setup.psql
-- The conventions of the SQL, read from the catalog. A name in the result of a query below breaks the rule.
BEGIN;
SELECT plan(19);

CREATE TEMPORARY VIEW function AS
SELECT p.oid, p.prokind, p.proname AS name, p.proname NOT LIKE '\_%' AS is_public, p.proacl, p.proowner,
       p.prosecdef, p.proisstrict, p.provolatile, p.proconfig, p.proargmodes, p.proargnames, p.pronargs,
       l.lanname
FROM pg_proc AS p
JOIN pg_language AS l ON l.oid = p.prolang
JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = 'pgq';

CREATE TEMPORARY VIEW relation AS
SELECT c.oid, c.relname AS name, c.relkind, c.relacl, c.relowner, c.reltype, c.relhastriggers, c.relhasrules
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'pgq';

-- Without these all of the rest would hold for an empty schema too.
SELECT cmp_ok((SELECT count(*) FROM function WHERE is_public), '>', 20::bigint, 'there are functions to look at');
SELECT cmp_ok((SELECT count(*) FROM relation WHERE relkind = 'r'), '>', 5::bigint, 'there are tables to look at');

-- Functions

SELECT is_empty($$
    SELECT name FROM function
    WHERE (is_public OR prosecdef) AND prokind <> 'p'
      AND NOT coalesce(proconfig, '{}') @> ARRAY['search_path=pg_catalog, pg_temp']
$$, 'every function that others may call pins its search_path');

-- A setting of its own keeps a SQL function from being inlined, and costs each call of any other.
SELECT is_empty($$
    SELECT name FROM function
    WHERE lanname <> 'sql' AND prokind <> 'p' AND obj_description(oid, 'pg_proc') NOT LIKE '%Inherits the settings of%'
      AND NOT coalesce(proconfig, '{}') @> ARRAY['search_path=pg_catalog, pg_temp']
$$, 'every internal function pins its search_path, is SQL or says that it inherits its caller''s');

SELECT is_empty($$
    SELECT name FROM function WHERE is_public AND NOT prosecdef AND prokind <> 'p'
$$, 'every public function runs as its owner, since tables have no grants');

SELECT results_eq($$
    SELECT name, prosecdef, proconfig IS NULL FROM function WHERE prokind = 'p'
$$, $$ VALUES ('run_native_dispatcher'::name, false, true) $$,
    'one procedure commits, so it can neither run as its owner nor pin its search_path');

SELECT is_empty($$
    SELECT name FROM function, aclexplode(coalesce(proacl, acldefault('f', proowner))) AS acl
    WHERE acl.grantee = 0
$$, 'no function is executable by PUBLIC');

SELECT is_empty($$
    SELECT name FROM function GROUP BY name HAVING count(*) > 1
$$, 'one name has one signature');

SELECT is_empty($$
    SELECT name FROM function WHERE coalesce(obj_description(oid, 'pg_proc'), '') = ''
$$, 'every function has a comment');

SELECT is_empty($$
    SELECT name FROM function WHERE proargmodes && '{o,b,t}'
$$, 'results are named composite types, not RETURNS TABLE or OUT parameters');

SELECT is_empty($$
    SELECT name FROM function WHERE proisstrict AND (is_public OR provolatile <> 'i')
$$, 'only internal pure functions are STRICT: a strict add with a NULL would lose the job in silence');

SELECT is_empty($$
    SELECT name FROM function
    WHERE pronargs > 0 AND (proargnames IS NULL
          OR EXISTS (SELECT FROM unnest(proargnames) AS a WHERE a !~ '^[a-z][a-z_]*$' OR a ~ '^[pv]_'))
$$, 'every parameter has a name, a bare word');

-- Tables and types

SELECT is_empty($$
    SELECT name, acl.grantee::regrole
    FROM relation, aclexplode(relacl) AS acl
    WHERE acl.grantee <> relowner
$$, 'no table or sequence is granted to anyone');

SELECT is_empty($$
    SELECT name FROM relation
    WHERE relkind IN ('r', 'p', 'v', 'm', 'c')
      AND coalesce(obj_description(CASE relkind WHEN 'c' THEN reltype ELSE oid END,
                                   CASE relkind WHEN 'c' THEN 'pg_type' ELSE 'pg_class' END), '') = ''
$$, 'every table and type has a comment');

SELECT is_empty($$
    SELECT t.typname FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
    WHERE n.nspname = 'pgq' AND t.typtype = 'e'
$$, 'states are text with a named CHECK, not enums');

SELECT is_empty($$
    SELECT r.name, con.conname FROM pg_constraint AS con JOIN relation AS r ON r.oid = con.conrelid
    WHERE con.contype = 'f' OR con.conname ~ '[a-z]\d+$'
$$, 'there is no foreign key, and no constraint with a number for a name');

SELECT is_empty($$
    SELECT r.name FROM relation AS r
    WHERE r.relhastriggers OR r.relkind IN ('m', 'f') OR (r.relhasrules AND r.relkind <> 'v')
$$, 'there are no triggers, rules, materialized views or foreign tables');

SELECT is_empty($$
    SELECT r.name, a.attname FROM pg_attribute AS a JOIN relation AS r ON r.oid = a.attrelid
    WHERE a.atttypid IN ('timestamp'::regtype, 'timetz'::regtype, 'json'::regtype, 'varchar'::regtype, 'money'::regtype)
$$, 'times are timestamptz, JSON is jsonb, strings are text');

SELECT is_empty($$
    SELECT r.name FROM relation AS r JOIN pg_class AS c ON c.oid = r.oid
    WHERE c.relpersistence <> 'p' AND r.relkind IN ('r', 'p') AND r.name NOT IN ('native_request', 'native_epoch')
$$, 'every table survives a crash, but those that must be lost together with pg_net''s');

SELECT * FROM finish();
ROLLBACK;
