-- First in the script that upgrades the extension: it is loaded by ALTER EXTENSION only.
\echo Use "ALTER EXTENSION pgq UPDATE" to load this file. \quit
