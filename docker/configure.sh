#!/bin/sh
# Preloads pg_cron, and pg_net where it was built, in every cluster that this image makes.
set -eu
share=$1
preload=pg_cron
if [ -e "$share/extension/pg_net.control" ]; then preload=$preload,pg_net; fi
cat >> "$share/postgresql.conf.sample" <<EOF

shared_preload_libraries = '$preload'
# The database that pg_cron runs in: POSTGRES_DB of the image.
cron.database_name = 'app'
EOF
