-- Everything the extension puts into a database: nothing ships unnoticed, nothing without a comment.
SELECT p.oid::regprocedure AS routine, p.prokind AS kind, p.provolatile AS volatility, p.prosecdef AS definer, p.proconfig AS settings
  FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid JOIN pg_proc p ON p.oid = d.objid
 WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'db_architect'
 ORDER BY p.proname, 1;
SELECT pg_describe_object(d.classid, d.objid, d.objsubid) AS other_object
  FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
 WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'db_architect' AND d.classid NOT IN ('pg_proc'::regclass, 'pg_type'::regclass)
 ORDER BY 1;
SELECT p.oid::regprocedure AS without_comment
  FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid JOIN pg_proc p ON p.oid = d.objid
 WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e' AND e.extname = 'db_architect' AND obj_description(p.oid, 'pg_proc') IS NULL;
