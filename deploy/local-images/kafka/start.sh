#!/bin/sh
set -euf
java="java -Xmx512m -Djava.awt.headless=true -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp /opt/kafka/*"
properties=/tmp/server.properties
{ cat /etc/kafka/server.properties; echo "advertised.listeners=CLIENT://$ADVERTISED,INTERNAL://127.0.0.1:9094"; } >"$properties"
if [ ! -e /var/lib/kafka/data/meta.properties ]; then
  $java kafka.tools.StorageTool format --config "$properties" --cluster-id MkU3OEVBNTcwNTJENDM2Qg
fi
exec $java kafka.Kafka "$properties"
