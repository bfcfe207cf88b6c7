"""Prints the statements of TPC-H as rows of a table, from the texts DuckDB carries; with "all" those left out too."""
import sys

import duckdb

LEFT_OUT = set() if "all" in sys.argv[1:] else {2, 17, 20}
connection = duckdb.connect()
connection.execute("LOAD tpch")
print("CREATE TABLE workload (n int PRIMARY KEY, q text);")
for number, text in connection.execute("SELECT query_nr, query FROM tpch_queries()").fetchall():
    if number not in LEFT_OUT:
        print(f"INSERT INTO workload VALUES ({number}, $tpch${text.strip().rstrip(';')}$tpch$);")
