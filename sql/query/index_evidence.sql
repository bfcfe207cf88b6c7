-- What is known of the use of some indexes over a window of time, on this server and on standbys whose
-- figures were imported.
-- $1 to $7 the indexes now: oid, table, name, scans, entries read, rows fetched, last scan; $8 since when
-- these count; $9 the window; $10 this server's name among the nodes;
-- $11 the indexes' definitions, as Index::fingerprint makes them.
WITH live AS (
    SELECT l.*
      FROM unnest($1::oid[], $2::oid[], $3::text[], $4::int8[], $5::int8[], $6::int8[], $7::timestamptz[],
                  $11::text[]::uuid[])
           AS l (oid, table_oid, name, scans, tuples_read, tuples_fetched, last_scan, definition)
),
-- When figures were taken on each node: each time the counters of all indexes are known.
moment AS (
    SELECT s.snapshot_id, s.node, s.taken_at, s.stats_since FROM architect.statistics_snapshot AS s
    UNION ALL
    SELECT 0, $10, clock_timestamp(), $8
),
stretch AS (
    SELECT m.*,
           coalesce(lag(m.taken_at) OVER w, least(m.stats_since, m.taken_at)) AS begins_at,
           lag(m.taken_at) OVER w IS NULL AS is_first,
           -- Counters were reset in this stretch: what was counted before that is not known.
           CASE WHEN lag(m.stats_since) OVER w < m.stats_since
                THEN greatest(m.stats_since - lag(m.taken_at) OVER w, '0'::interval)
                ELSE '0'::interval END AS unobserved,
           coalesce(lag(m.stats_since) OVER w <> m.stats_since, false) AS was_reset
      FROM moment AS m WINDOW w AS (PARTITION BY m.node ORDER BY m.taken_at)
),
-- The window begins where a stretch does: the last one that begins before it, else the first there is.
bounds AS (
    SELECT s.node, max(s.taken_at) AS until,
           coalesce(max(s.begins_at) FILTER (WHERE s.begins_at <= clock_timestamp() - $9), min(s.begins_at)) AS since,
           min(s.taken_at) AS first_taken
      FROM stretch AS s GROUP BY s.node
),
lost AS (
    SELECT b.node, coalesce(extract(epoch FROM sum(s.unobserved)), 0) / 86400 AS days
      FROM bounds AS b JOIN stretch AS s ON s.node = b.node AND s.taken_at > b.since GROUP BY b.node
),
-- REINDEX CONCURRENTLY gives an index another number and leaves its name, its definition and its counters.
counted AS (
    SELECT l.oid, m.node, m.taken_at, p.scans, p.tuples_read, p.tuples_fetched, p.last_scan
      FROM architect.index_snapshot AS p
      JOIN moment AS m USING (snapshot_id)
      JOIN live AS l ON l.oid = p.index_oid
    UNION ALL
    SELECT l.oid, m.node, m.taken_at, p.scans, p.tuples_read, p.tuples_fetched, p.last_scan
      FROM architect.index_snapshot AS p
      JOIN moment AS m USING (snapshot_id)
      JOIN live AS l ON l.table_oid = p.table_oid AND l.name = p.index_name AND l.definition = p.definition
                    AND l.oid <> p.index_oid
     WHERE NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = p.index_oid)
    UNION ALL
    SELECT l.oid, m.node, m.taken_at, l.scans, l.tuples_read, l.tuples_fetched, l.last_scan
      FROM live AS l JOIN moment AS m ON m.snapshot_id = 0
),
grown AS (
    SELECT c.oid, c.node, c.taken_at, c.last_scan, s.begins_at,
           CASE WHEN again THEN c.scans ELSE c.scans - lag(c.scans) OVER w END AS scans,
           CASE WHEN again THEN c.tuples_read ELSE c.tuples_read - lag(c.tuples_read) OVER w END AS tuples_read,
           CASE WHEN again THEN c.tuples_fetched ELSE c.tuples_fetched - lag(c.tuples_fetched) OVER w END AS tuples_fetched
      FROM (SELECT c.*, coalesce(c.scans < lag(c.scans) OVER v OR m.was_reset, true)
                        OR lag(c.scans) OVER v IS NULL AS again
              FROM counted AS c JOIN stretch AS m ON m.node = c.node AND m.taken_at = c.taken_at
            WINDOW v AS (PARTITION BY c.oid, c.node ORDER BY c.taken_at)) AS c
      JOIN stretch AS s ON s.node = c.node AND s.taken_at = c.taken_at
    WINDOW w AS (PARTITION BY c.oid, c.node ORDER BY c.taken_at)
),
-- An index that an earlier snapshot did not find was made after it.
known AS (
    SELECT c.oid, c.node, min(c.taken_at) AS first_found FROM counted AS c GROUP BY c.oid, c.node
),
answer AS (
    SELECT l.oid, b.node, b.until, o.days AS unobserved_days,
           CASE WHEN k.first_found > b.first_taken
                THEN greatest(b.since, (SELECT max(s.begins_at) FROM stretch AS s
                                         WHERE s.node = b.node AND s.taken_at <= k.first_found))
                ELSE b.since END AS since,
           k.first_found
      FROM live AS l
      CROSS JOIN bounds AS b
      JOIN lost AS o ON o.node = b.node
      LEFT JOIN known AS k ON k.oid = l.oid AND k.node = b.node
     WHERE b.node = $10 OR k.oid IS NOT NULL
)
SELECT a.oid, a.node, coalesce(g.scans, 0)::int8, coalesce(g.tuples_read, 0)::int8, coalesce(g.tuples_fetched, 0)::int8,
       a.since, a.until,
       (extract(epoch FROM CASE WHEN isfinite(a.since) THEN a.until - a.since ELSE '0'::interval END) / 86400)::float8,
       greatest(g.last_used, g.last_scan),
       a.unobserved_days::float8,
       a.first_found <= a.since OR a.first_found > b.first_taken
  FROM answer AS a
  JOIN bounds AS b ON b.node = a.node
  LEFT JOIN LATERAL (
       SELECT sum(g.scans) FILTER (WHERE g.taken_at > a.since) AS scans,
              sum(g.tuples_read) FILTER (WHERE g.taken_at > a.since) AS tuples_read,
              sum(g.tuples_fetched) FILTER (WHERE g.taken_at > a.since) AS tuples_fetched,
              max(g.begins_at) FILTER (WHERE g.scans > 0) AS last_used,
              max(g.last_scan) AS last_scan
         FROM grown AS g WHERE g.oid = a.oid AND g.node = a.node) AS g ON true
 ORDER BY a.oid, a.node <> $10, a.node
