-- First in the script of the extension: it is loaded by CREATE EXTENSION only.
\echo Use "CREATE EXTENSION pgq" to load this file. \quit
