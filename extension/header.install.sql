-- First in every script that installs: nothing is mixed with what another has put into the schema.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_class AS c
               WHERE c.relnamespace = pg_catalog.to_regnamespace('@extschema@'))
       OR EXISTS (SELECT FROM pg_catalog.pg_proc AS p
                  WHERE p.pronamespace = pg_catalog.to_regnamespace('@extschema@')) THEN
        RAISE EXCEPTION 'schema @extschema@ exists and is not empty'
            USING ERRCODE = '55000',
                  DETAIL = 'It holds an installation of this queue, or of something else such as Skytools PgQ.',
                  HINT = 'Drop that schema, or install the plain SQL of this queue into another one.';
    END IF;
END
$$;
