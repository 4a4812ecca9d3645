-- One row per test name and analyte of the codes that the file writes it beside: only there may the name
-- contradict the code.
SELECT DISTINCT
    folded_words(incoming.test_name) AS test_name,
    test.analyte,
FROM taking.incoming
INNER JOIN taking.test ON test.code = bare(incoming.code)
WHERE incoming.test_name <> ''
ORDER BY ALL
