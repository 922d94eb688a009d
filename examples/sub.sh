#!/bin/sh
# The application: it counts, a line a second, for five minutes.
echo "sub.sh: pid $$, started by $PPID"
i=0
while [ "$i" -lt 300 ]; do
	i=$((i + 1))
	echo "sub.sh: $i"
	sleep 1
done
