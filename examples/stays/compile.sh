#!/bin/sh
# Recompiles the Python sources into production/. Needs `pip install chronon-ai==0.0.115`.
set -eu
cd "$(dirname "$0")"
rm -rf production
for folder in staging_queries/stays group_bys/stays group_bys/trust joins/stays; do
    PYTHONPATH=. PYTHONDONTWRITEBYTECODE=1 compile.py --conf "$folder" -y --force-overwrite
done
