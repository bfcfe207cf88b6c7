-- Entries of some stretches of the log, each under one key, and the TRUNCATEs of the table; oldest first.
-- $1 key_hash, $2 row_key, $3 to $6 changed_at and audit_id of each stretch's ends, $7 relation_ids.
SELECT e.changed_at,
       CASE e.operation WHEN 'I' THEN 'INSERT' WHEN 'D' THEN 'DELETE' WHEN 'T' THEN 'TRUNCATE' ELSE 'UPDATE' END,
       CASE WHEN e.row_key IS NULL THEN NULL
            WHEN pg_catalog.cardinality(r.key_columns) OPERATOR(pg_catalog.=) 1
            THEN pg_catalog.jsonb_build_object(r.key_columns[1], e.row_key::pg_catalog.jsonb)
            ELSE (SELECT pg_catalog.jsonb_object_agg(k.name, k.value)
                    FROM ROWS FROM (pg_catalog.unnest(r.key_columns),
                                    pg_catalog.jsonb_array_elements(e.row_key::pg_catalog.jsonb)) AS k(name, value))
       END,
       CASE e.operation
            WHEN 'U' THEN ARRAY(SELECT c.key FROM pg_catalog.json_object_keys(e.image) AS c(key))
            WHEN 'F' THEN ARRAY(SELECT c.key FROM pg_catalog.json_object_keys(e.image OPERATOR(pg_catalog.->) 'changes') AS c(key))
       END,
       CASE e.operation
            WHEN 'U' THEN (SELECT pg_catalog.jsonb_object_agg(c.key, c.value OPERATOR(pg_catalog.->) 0)
                             FROM pg_catalog.jsonb_each(e.image::pg_catalog.jsonb) AS c)
            WHEN 'F' THEN e.image::pg_catalog.jsonb OPERATOR(pg_catalog.->) 'row'
            WHEN 'D' THEN e.image::pg_catalog.jsonb
       END,
       CASE e.operation
            WHEN 'U' THEN (SELECT pg_catalog.jsonb_object_agg(c.key, c.value OPERATOR(pg_catalog.->) 1)
                             FROM pg_catalog.jsonb_each(e.image::pg_catalog.jsonb) AS c)
            WHEN 'F' THEN (e.image::pg_catalog.jsonb OPERATOR(pg_catalog.->) 'row')
                          OPERATOR(pg_catalog.||)
                          (SELECT pg_catalog.jsonb_object_agg(c.key, c.value OPERATOR(pg_catalog.->) 1)
                             FROM pg_catalog.jsonb_each(e.image::pg_catalog.jsonb OPERATOR(pg_catalog.->) 'changes') AS c)
            WHEN 'I' THEN e.image::pg_catalog.jsonb
       END,
       c.actor, c.session_role, c.set_role, c.correlation_id, c.context, c.application_name, c.client_addr,
       e.audit_id, e.txid, e.statement, r.schema_name, r.table_name, r.partition_name,
       e.relation_id, e.operation, e.row_key
  FROM (SELECT f.*
          FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.int4[]), pg_catalog.unnest($2::pg_catalog.text[]),
                          pg_catalog.unnest($3::pg_catalog.timestamptz[]), pg_catalog.unnest($4::pg_catalog.int8[]),
                          pg_catalog.unnest($5::pg_catalog.timestamptz[]), pg_catalog.unnest($6::pg_catalog.int8[]))
               AS s(key_hash, row_key, from_time, from_id, to_time, to_id)
         CROSS JOIN LATERAL (
               SELECT l.*
                 FROM architect.audit_entry AS l
                WHERE l.key_hash OPERATOR(pg_catalog.=) s.key_hash
                  AND l.relation_id OPERATOR(pg_catalog.=) ANY ($7)
                  AND l.row_key OPERATOR(pg_catalog.=) s.row_key
                  AND l.operation OPERATOR(pg_catalog.<>) 'K'
                  AND (s.from_time IS NULL OR ROW(l.changed_at, l.audit_id) OPERATOR(pg_catalog.>=) ROW(s.from_time, s.from_id))
                  AND (s.to_time IS NULL OR ROW(l.changed_at, l.audit_id) OPERATOR(pg_catalog.<=) ROW(s.to_time, s.to_id))
               -- Kept apart, so that it is an index scan for each stretch whatever is guessed about their number.
               OFFSET 0) AS f
        UNION ALL
        SELECT t.*
          FROM architect.audit_entry AS t
         WHERE t.key_hash OPERATOR(pg_catalog.=) 0
           AND t.relation_id OPERATOR(pg_catalog.=) ANY ($7)
           AND t.operation OPERATOR(pg_catalog.=) 'T') AS e
  JOIN architect.capture_relation AS r ON r.relation_id OPERATOR(pg_catalog.=) e.relation_id
  LEFT JOIN architect.capture_context AS c ON c.context_id OPERATOR(pg_catalog.=) e.context_id
 ORDER BY e.changed_at, e.audit_id
