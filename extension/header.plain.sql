-- First in the plain SQL, for servers where extensions cannot be installed. The one placeholder is
-- the schema; it comes quoted where it must be. Run the whole script in one transaction.
CREATE SCHEMA IF NOT EXISTS @extschema@;
