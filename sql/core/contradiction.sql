-- One row per test name of the file and analyte that the name contradicts: a pattern refuses the
-- analyte for it, or it names another test and not this one.
WITH name AS (
    SELECT DISTINCT folded_words(incoming.test_name) AS test_name
    FROM taking.incoming
    WHERE incoming.test_name <> ''
),

finding AS (
    SELECT
        name.test_name,
        pattern.analyte,
        pattern.verdict
    FROM name
    INNER JOIN taking.name_pattern AS pattern
        ON regexp_matches(name.test_name, pattern.pattern)
),

compared AS (
    SELECT
        finding.test_name,
        analyte.analyte,
        bool_or(finding.verdict = 'refuses' AND finding.analyte = analyte.analyte) AS refused,
        bool_or(finding.verdict = 'names' AND finding.analyte = analyte.analyte) AS named,
        bool_or(finding.verdict = 'names' AND finding.analyte <> analyte.analyte) AS named_another
    FROM finding
    CROSS JOIN (SELECT DISTINCT test.analyte FROM taking.test) AS analyte
    GROUP BY finding.test_name, analyte.analyte
)

SELECT
    compared.test_name,
    compared.analyte
FROM compared
WHERE compared.refused OR (compared.named_another AND NOT compared.named)
