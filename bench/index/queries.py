"""Prints the statements of TPC-H as rows of a table, from the texts DuckDB carries."""
import duckdb

LEFT_OUT = {2, 17, 20}
connection = duckdb.connect()
connection.execute("LOAD tpch")
print("CREATE TABLE workload (n int PRIMARY KEY, q text);")
for number, text in connection.execute("SELECT query_nr, query FROM tpch_queries()").fetchall():
    if number not in LEFT_OUT:
        print(f"INSERT INTO workload VALUES ({number}, $tpch${text.strip().rstrip(';')}$tpch$);")
