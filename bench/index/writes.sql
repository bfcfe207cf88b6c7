-- What a row pays for one index more: microseconds and bytes of WAL, by access method and width, and what an update
-- pays that is HOT no longer. The constants in src/index/price.rs come from here.
CREATE FUNCTION wal() RETURNS numeric LANGUAGE sql AS $$ SELECT pg_current_wal_insert_lsn() - '0/0' $$;

CREATE FUNCTION write_prices(rows int DEFAULT 100000, rounds int DEFAULT 3)
RETURNS TABLE (what text, entry_bytes numeric, us_per_row numeric, wal_per_row numeric) LANGUAGE plpgsql AS $$
DECLARE
    kind record; began timestamptz; lsn numeric; us float8; base float8; bytes numeric; base_bytes numeric; size bigint;
BEGIN
    FOR kind IN SELECT * FROM (VALUES
        ('none', ''),
        ('btree, int in order', 'CREATE INDEX ON w (i)'),
        ('btree, int at random', 'CREATE INDEX ON w (r)'),
        ('btree, int of 100 values', 'CREATE INDEX ON w (low)'),
        ('btree, 32 bytes of text at random', 'CREATE INDEX ON w (t)'),
        ('btree, three columns', 'CREATE INDEX ON w (r, i, t)'),
        ('btree, 200 bytes of text at random', 'CREATE INDEX ON w ((t || t || t || t || t || t))'),
        ('hash, int', 'CREATE INDEX ON w USING hash (r)'),
        ('brin, int', 'CREATE INDEX ON w USING brin (i)'),
        ('gist, point', 'CREATE INDEX ON w USING gist (p)'),
        ('gin, array of 5', 'CREATE INDEX ON w USING gin (a)'),
        ('gin, jsonb of 3 keys', 'CREATE INDEX ON w USING gin (j)'),
        ('gin, jsonb_path_ops', 'CREATE INDEX ON w USING gin (j jsonb_path_ops)')) AS k (name, statement)
    LOOP
        us := NULL;
        FOR round IN 1..rounds LOOP
            DROP TABLE IF EXISTS w;
            CREATE TABLE w (i int, r int, low int, t text, p point, a int[], j jsonb);
            EXECUTE kind.statement;
            PERFORM setseed(0.5);
            INSERT INTO w SELECT i, (random() * 1e9)::int, i % 100, md5(random()::text), point(random(), random()),
                ARRAY[i % 1000, (random() * 1e5)::int, (random() * 1e5)::int, i % 7, i], jsonb_build_object('a', i % 1000, 'b', md5(i::text), 'c', i)
              FROM generate_series(1, rows) i;
            began := clock_timestamp(); lsn := wal();
            INSERT INTO w SELECT i, r, low, t, p, a, j FROM (SELECT * FROM w LIMIT rows) q;
            us := least(us, extract(epoch FROM clock_timestamp() - began) * 1e6 / rows);
            bytes := (wal() - lsn) / rows;
        END LOOP;
        SELECT COALESCE(sum(pg_relation_size(indexrelid)), 0) INTO size FROM pg_index WHERE indrelid = 'w'::regclass;
        IF kind.name = 'none' THEN
            base := us; base_bytes := bytes;
        ELSE
            what := kind.name; entry_bytes := round(size / (2.0 * rows), 1);
            us_per_row := round((us - base)::numeric, 2); wal_per_row := round(bytes - base_bytes, 1);
            RETURN NEXT;
        END IF;
    END LOOP;
    -- The same update, of a column no index has, and of one that a btree has beside four other indexes.
    FOR kind IN SELECT * FROM (VALUES ('HOT', ''), ('not HOT', 'CREATE INDEX ON w (u)')) AS k (name, statement) LOOP
        us := NULL;
        FOR round IN 1..rounds LOOP
            DROP TABLE IF EXISTS w;
            CREATE TABLE w (i int PRIMARY KEY, r int, low int, t text, u int) WITH (fillfactor = 50);
            CREATE INDEX ON w (r); CREATE INDEX ON w (low); CREATE INDEX ON w (t);
            EXECUTE kind.statement;
            INSERT INTO w SELECT i, (random() * 1e9)::int, i % 100, md5(random()::text), i FROM generate_series(1, rows) i;
            began := clock_timestamp(); lsn := wal();
            UPDATE w SET u = u + 1;
            us := least(us, extract(epoch FROM clock_timestamp() - began) * 1e6 / rows);
            bytes := (wal() - lsn) / rows;
        END LOOP;
        IF kind.name = 'HOT' THEN
            base := us; base_bytes := bytes;
        ELSE
            what := 'an update with four indexes that is HOT no longer'; entry_bytes := NULL;
            us_per_row := round((us - base)::numeric, 2); wal_per_row := round(bytes - base_bytes, 1);
            RETURN NEXT;
        END IF;
    END LOOP;
    DROP TABLE w;
END $$;
