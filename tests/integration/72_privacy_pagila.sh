#!/usr/bin/env bash
# Pagila, where it is present: a customer with payments in partitions, rentals and an address is erased.
source "$(dirname "$0")/lib.sh"

data=$DBA_ROOT/../shared/data/pagila
skip_unless "the pagila sample database is not beside this checkout" test -d "$data"

start_cluster main shared_buffers=128MB max_wal_size=4GB
tool_on main createdb pagila
DBA_DATABASE=pagila
sql "CREATE EXTENSION db_architect"
ok "its schema loads" psql_on main -q -d pagila -f - <"$data/pagila-schema.sql"
ok "its data load" psql_on main -q -d pagila -f - <"$data/pagila-data.sql"
sql_is "Pagila is loaded" "SELECT count(*) > 500 FROM public.customer" t
sql "SELECT FROM architect.declare_subject('customer', 'public.customer', identity_columns => '{email}');
SELECT FROM architect.declare_edge('customer', 'public.rental', '{customer_id}', 'public.customer');
SELECT FROM architect.declare_edge('customer', 'public.payment', '{customer_id}', 'public.customer');
SELECT FROM architect.declare_edge('customer', 'public.payment', '{rental_id}', 'public.rental');
SELECT FROM architect.declare_edge('customer', 'public.customer', '{address_id}', 'public.address', direction => 'referred')" >/dev/null
# Payments refer to customers partition by partition.
diag "$(sql "SELECT depth, reference, ownership, source FROM architect.subject_graph('customer')")"
others=$(sql "SELECT architect.export_subject('customer', '5')")
address=$(sql "SELECT address_id FROM public.customer WHERE customer_id = 7")
rows=$(sql "SELECT 1 + 1 + (SELECT count(*) FROM public.rental WHERE customer_id = 7) + (SELECT count(*) FROM public.payment WHERE customer_id = 7)")
sql_is "every row of the customer is erased" "SELECT sum(rows_affected) FROM architect.erase_subject('customer', '7', dry_run => false,
  expected_plan => (SELECT plan_hash FROM architect.plan_erasure('customer', '7') LIMIT 1))" "$rows"
sql_is "nothing is left" "SELECT (SELECT count(*) FROM public.customer WHERE customer_id = 7) + (SELECT count(*) FROM public.rental WHERE customer_id = 7)
  + (SELECT count(*) FROM public.payment WHERE customer_id = 7) + (SELECT count(*) FROM public.address WHERE address_id = $address)" 0
sql_is "another customer has everything" "SELECT architect.export_subject('customer', '5')" "$others"
sql_is "the e-mail is in no table" "SELECT count(*) FROM architect.verify_erasure(1) WHERE status = 'present' AND place NOT LIKE 'pg_stats%'" 0
