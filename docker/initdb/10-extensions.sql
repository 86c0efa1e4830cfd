-- Runs once, when the image makes its database.
CREATE EXTENSION pgq;
CREATE EXTENSION pgtap;

-- pg_cron lives in the one database that it was told of; pg_net may have been left out of the image.
DO $$
BEGIN
    IF pg_catalog.current_setting('cron.database_name', true) = pg_catalog.current_database() THEN
        CREATE EXTENSION pg_cron;
    ELSE
        RAISE NOTICE 'pg_cron is not in this database: cron.database_name is %', pg_catalog.current_setting('cron.database_name', true);
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.pg_available_extensions AS e WHERE e.name = 'pg_net') THEN
        CREATE EXTENSION pg_net;
    END IF;
END
$$;
