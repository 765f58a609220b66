SELECT line FROM (
    SELECT format('%s %s of %s, %s', relkind, oid::regclass, relowner::regrole, relacl)
    FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT format('column %s.%s, %s, %s, not null %s, default %s', attrelid::regclass, attname, attnum,
                  format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid))
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') AND attnum > 0
    UNION ALL
    SELECT format('%s, valid %s, ready %s, live %s', pg_get_indexdef(indexrelid), indisvalid, indisready, indislive)
    FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT format('constraint %s of %s, %s, validated %s', conname, conrelid::regclass, pg_get_constraintdef(oid),
                  convalidated)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT format('%s in %s, %s', inhrelid::regclass, inhparent::regclass, inhdetachpending) FROM pg_inherits
    UNION ALL
    SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT format('view %s: %s', viewname, definition) FROM pg_views WHERE schemaname = 'public'
) AS lines (line)
ORDER BY line COLLATE "C"
