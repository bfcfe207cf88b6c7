//! What can only be seen from inside a session: caches, transaction ids. Each test is a transaction that
//! is rolled back.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    fn audited(columns: &str) {
        Spi::run(&format!("CREATE TABLE audited ({columns})")).unwrap();
        Spi::run("SELECT architect.enable_audit('audited')").unwrap();
    }

    fn count(query: &str) -> i64 {
        Spi::get_one::<i64>(query).unwrap().unwrap()
    }

    #[pg_test]
    fn the_library_knows_its_version() {
        let version = Spi::get_one::<String>("SELECT architect.architect_version()").unwrap();
        assert_eq!(version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    }

    #[pg_test]
    fn nothing_grows_with_the_rows_recorded() {
        audited("id int PRIMARY KEY, v int");
        let memory =
            "SELECT sum(used_bytes)::bigint FROM pg_backend_memory_contexts WHERE name LIKE 'db_architect%'";
        Spi::run("INSERT INTO audited SELECT i, 0 FROM generate_series(1, 100) i").unwrap();
        let (before, plans) = (count(memory), count("SELECT plans FROM architect.capture_statistics()"));
        Spi::run("INSERT INTO audited SELECT i, 0 FROM generate_series(101, 100000) i").unwrap();
        Spi::run("DO 'BEGIN FOR i IN 1..1000 LOOP UPDATE audited SET v = v + 1 WHERE id = i; END LOOP; END'")
            .unwrap();
        assert_eq!(count("SELECT count(*) FROM architect.audit_log WHERE table_name = 'audited'"), 101_000);
        assert_eq!(count(memory), before);
        assert_eq!(count("SELECT plans FROM architect.capture_statistics()"), plans);
        assert!(count("SELECT contexts FROM architect.capture_statistics()") <= 2);
        assert!(count("SELECT buffer_bytes FROM architect.capture_statistics()") < 10_000);
    }

    #[pg_test]
    fn the_plan_follows_the_table() {
        audited("id int PRIMARY KEY, v int, w text");
        let last = || {
            Spi::get_one::<String>(
                "SELECT new_values::text FROM architect.audit_log WHERE table_name IN ('audited', 'renamed') ORDER BY audit_id DESC LIMIT 1",
            )
            .unwrap()
            .unwrap()
        };
        for (ddl, dml, recorded) in [
            ("SELECT", "INSERT INTO audited VALUES (1, 2, 'x')", r#"{"v": 2, "w": "x", "id": 1}"#),
            (
                "ALTER TABLE audited ADD a int DEFAULT 7",
                "INSERT INTO audited VALUES (2, 2, 'x')",
                r#"{"a": 7, "v": 2, "w": "x", "id": 2}"#,
            ),
            (
                "ALTER TABLE audited DROP v",
                "INSERT INTO audited VALUES (3, 'x')",
                r#"{"a": 7, "w": "x", "id": 3}"#,
            ),
            (
                "ALTER TABLE audited RENAME w TO ww",
                "INSERT INTO audited VALUES (4, 'x')",
                r#"{"a": 7, "id": 4, "ww": "x"}"#,
            ),
            (
                "ALTER TABLE audited ALTER a TYPE text",
                "INSERT INTO audited VALUES (5, 'x')",
                r#"{"a": "7", "id": 5, "ww": "x"}"#,
            ),
            (
                "ALTER TABLE audited RENAME TO renamed",
                "INSERT INTO renamed VALUES (6, 'x')",
                r#"{"a": "7", "id": 6, "ww": "x"}"#,
            ),
            ("DROP TABLE renamed", "SELECT", r#"{"a": "7", "id": 6, "ww": "x"}"#),
            (
                "CREATE TABLE audited (id int PRIMARY KEY, n int); SELECT architect.enable_audit('audited')",
                "INSERT INTO audited VALUES (7, 8)",
                r#"{"n": 8, "id": 7}"#,
            ),
        ] {
            Spi::run(ddl).unwrap();
            Spi::run(dml).unwrap();
            assert_eq!(last(), recorded, "after {ddl}");
        }
    }

    #[pg_test]
    fn reports_assign_no_transaction_id() {
        // A transaction id given to this test's own transaction would hide one assigned by a report.
        for report in ["audit_coverage()", "updated_at_tables()", "capture_statistics()"] {
            Spi::connect(|client| {
                client.select(&format!("SELECT count(*) FROM architect.{report}"), None, &[]).map(|_| ())
            })
            .unwrap();
            let assigned = Spi::connect(|client| {
                client
                    .select("SELECT pg_current_xact_id_if_assigned() IS NOT NULL", None, &[])?
                    .first()
                    .get_one::<bool>()
            });
            assert_eq!(assigned, Ok(Some(false)), "{report} assigned a transaction id");
        }
    }
}
