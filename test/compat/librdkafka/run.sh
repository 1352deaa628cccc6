#!/usr/bin/env bash
# librdkafka through confluent-kafka (Python) against BOOTSTRAP, or a broker of its own (RUNTIME=bun|deno|kafka).
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
need_librdkafka
begin librdkafka
export BOOTSTRAP
standard_checks "$VENV_PYTHON" "$compat/librdkafka/client.py"
finish
