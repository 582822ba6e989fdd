"""Chooses streams of a catalog, whole: choose.py METHOD STREAM,STREAM < discovered.json > catalog.json.

A stream is known by its id, its name or its table; METHOD is FULL_TABLE, INCREMENTAL or LOG_BASED. The others
stay in the catalog, not selected.
"""

import json
import sys

method, names = sys.argv[1], set(sys.argv[2].split(","))
catalog = json.load(sys.stdin)
for stream in catalog["streams"]:
    chosen = bool(names & {stream["tap_stream_id"], stream.get("stream"), stream.get("table_name")})
    for each in stream["metadata"]:
        if not each["breadcrumb"]:
            each["metadata"] |= {"selected": chosen, "replication-method": method}
            if method == "INCREMENTAL":
                each["metadata"]["replication-key"] = stream["replication_key"] = "replication_key"
        elif each["metadata"].get("inclusion") != "unsupported":
            each["metadata"]["selected"] = chosen
    if chosen:
        stream["replication_method"] = method
json.dump(catalog, sys.stdout)
