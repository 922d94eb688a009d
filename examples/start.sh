#!/bin/sh
# The start script: it prepares what the application needs, and runs it.
cd "$(dirname "$0")" || exit 1
echo "start.sh: pid $$ starts the application"
./sub.sh
