"""What a script over HypoPG finds: greedy by benefit per byte, indexes of one and two columns, the first extended.

usage: hypopg_greedy.py CONNINFO BUDGET_BYTES SECONDS: prints CREATE INDEX statements, and on stderr what they cost by
EXPLAIN, how long it took and how many plans. A baseline for suggest_indexes(), over the same statements.
"""
import itertools
import re
import sys
import time

import psycopg

CONNINFO, BUDGET, SECONDS = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
connection = psycopg.connect(CONNINFO, autocommit=True)
cursor = connection.cursor()
queries = [row[0] for row in cursor.execute("SELECT q FROM workload ORDER BY n").fetchall()]
plans = 0


def cost(query):
    global plans
    plans += 1
    return cursor.execute("EXPLAIN (FORMAT JSON) " + query).fetchone()[0][0]["Plan"]["Total Cost"]


def create(index):
    table, columns = index
    statement = f"CREATE INDEX ON {table} ({', '.join(columns)})"
    oid = cursor.execute("SELECT indexrelid FROM hypopg_create_index(%s)", (statement,)).fetchone()[0]
    return oid, cursor.execute("SELECT hypopg_relation_size(%s)", (oid,)).fetchone()[0]


def drop(oid):
    cursor.execute("SELECT hypopg_drop_index(%s)", (oid,))


columns_of = {}
for table, column in cursor.execute(
    "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
    " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND c.relname <> 'workload'"
).fetchall():
    columns_of.setdefault(table, []).append(column)

began = time.time()
costs = [cost(query) for query in queries]
initial = sum(costs)
words = [set(re.findall(r"\w+", query)) for query in queries]
candidates = set()
for used in words:
    for table, columns in columns_of.items():
        for width in (1, 2):
            candidates.update((table, keys) for keys in itertools.permutations([c for c in columns if c in used], width))

chosen, spent = {}, 0  # index -> its hypothetical OID
while time.time() - began < SECONDS:
    best = None
    for index in sorted(candidates):
        table, keys = index
        # Width two only as an extension of what is chosen, which it then replaces.
        parent = (table, keys[:1]) if len(keys) == 2 else None
        if index in chosen or parent is not None and parent not in chosen:
            continue
        if time.time() - began > SECONDS:
            break
        oid, size = create(index)
        parent_size = 0
        if parent is not None:
            parent_size = cursor.execute("SELECT hypopg_relation_size(%s)", (chosen[parent],)).fetchone()[0]
            drop(chosen[parent])
        more = size - parent_size
        if spent + more <= BUDGET and more > 0:
            gain = sum(costs[i] - cost(queries[i]) for i, used in enumerate(words) if keys[0] in used)
            if gain > 0 and (best is None or gain / more > best[0]):
                best = (gain / more, index, parent, more)
        drop(oid)
        if parent is not None:
            chosen[parent] = create(parent)[0]
    if best is None:
        break
    _, index, parent, more = best
    if parent is not None:
        drop(chosen.pop(parent))
    chosen[index] = create(index)[0]
    spent += more
    costs = [cost(query) for query in queries]

for table, keys in chosen:
    print(f"CREATE INDEX ON {table} ({', '.join(keys)});")
print(f"{sum(costs) / initial * 100:.1f} % by HypoPG, {time.time() - began:.1f} s, {plans} plans", file=sys.stderr)
