#!/bin/sh
# As the entry point of the image `postgres`: a database of its own and the files of /docker-entrypoint-initdb.d, once.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  printf '%s' "$POSTGRES_PASSWORD" >/tmp/password
  initdb -U "$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256 --encoding=UTF8 >/dev/null
  rm /tmp/password
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  pg_ctl -w -o "-c listen_addresses='' -c unix_socket_directories=/tmp" start >/dev/null
  PGPASSWORD=$POSTGRES_PASSWORD PGHOST=/tmp
  export PGPASSWORD PGHOST
  createdb -U "$POSTGRES_USER" "$POSTGRES_DB"
  for file in /docker-entrypoint-initdb.d/*.sql; do
    psql -q -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" -f "$file"
  done
  pg_ctl -w -m fast stop >/dev/null
fi
exec postgres -c listen_addresses='*' -c unix_socket_directories=/tmp
