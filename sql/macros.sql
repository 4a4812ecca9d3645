-- Questions that every relation asks in the same way. No clinical number stands here: limits, periods
-- and quantities are rows of the ruleset, and a name that the ruleset does not know raises. They belong to
-- the session that decides: in the published file, where its variables are not set, they would only fail.

-- The night and the ruleset's numbers are rows; they are read once, into variables of the session, so that
-- a plan holds them as constants and the scans of the history can skip what lies outside a window.
SET VARIABLE as_of = (SELECT night.as_of FROM run.night AS night);

SET VARIABLE threshold = (
    SELECT map_from_entries(list(row(threshold.threshold_id, {'form': threshold.form, 'value': threshold.value})))
    FROM rules.threshold AS threshold
);

-- Months are calendar months, clipped at month ends; a period is months or days, never both.
SET VARIABLE span = (
    SELECT map_from_entries(list(row(
        period.period_id,
        CASE
            WHEN period.unit = 'months' THEN to_months(CAST(period.n AS INTEGER))
            ELSE to_days(CAST(period.n AS INTEGER))
        END
    )))
    FROM rules.period AS period
);

SET VARIABLE quantity = (
    SELECT map_from_entries(list(row(quantity.quantity_id, quantity.value)))
    FROM rules.quantity AS quantity
);

SET VARIABLE fragment = (
    SELECT map_from_entries(list(row(fragment.fragment_id, fragment.text)))
    FROM rules.fragment AS fragment
);

SET VARIABLE rule_set = (
    SELECT map_from_entries(list(row(member_list.set_id, member_list.rule_ids)))
    FROM (
        SELECT member.set_id, list(member.rule_id) AS rule_ids
        FROM rules.rule_set AS member
        GROUP BY member.set_id
    ) AS member_list
);

SET VARIABLE analyte = (
    SELECT map_from_entries(list(row(
        analyte.analyte, {'label': analyte.label, 'unit': analyte.unit, 'molar_mass': analyte.molar_mass}
    )))
    FROM map.analyte AS analyte
);

CREATE OR REPLACE TEMPORARY MACRO as_of() AS getvariable('as_of');

CREATE OR REPLACE TEMPORARY MACRO limit_value(limit_id) AS CASE
    WHEN getvariable('threshold')[limit_id] IS NULL
        THEN CAST(error('the ruleset has no threshold ' || limit_id) AS DOUBLE)
    ELSE getvariable('threshold')[limit_id].value
END;

CREATE OR REPLACE TEMPORARY MACRO limit_form(limit_id) AS CASE
    WHEN getvariable('threshold')[limit_id] IS NULL
        THEN CAST(error('the ruleset has no threshold ' || limit_id) AS VARCHAR)
    ELSE getvariable('threshold')[limit_id].form
END;

-- How a clinician reads a limit: "above 271".
CREATE OR REPLACE TEMPORARY MACRO limit_text(limit_id) AS
    replace(limit_form(limit_id), '_', ' ') || ' ' || number_text(limit_value(limit_id));

-- A result is an interval: `=` one number, `<` everything below it, `>` everything above it. A limit is
-- met when the whole interval meets it, not met when none of it does, and unknown in between.
CREATE OR REPLACE TEMPORARY MACRO compared(form, excess, comparator) AS CASE
    WHEN excess IS NULL THEN 'unknown'
    WHEN comparator = '=' AND excess = 0
        THEN CASE WHEN form IN ('at_or_above', 'at_or_below') THEN 'yes' ELSE 'no' END
    WHEN (comparator = '=' AND excess > 0) OR (comparator = '>' AND excess >= 0)
        THEN CASE WHEN form IN ('above', 'at_or_above') THEN 'yes' ELSE 'no' END
    WHEN (comparator = '=' AND excess < 0) OR (comparator = '<' AND excess <= 0)
        THEN CASE WHEN form IN ('above', 'at_or_above') THEN 'no' ELSE 'yes' END
    ELSE 'unknown'
END;

CREATE OR REPLACE TEMPORARY MACRO meets(limit_id, value, comparator) AS
    compared(limit_form(limit_id), value - limit_value(limit_id), comparator);

CREATE OR REPLACE TEMPORARY MACRO span(span_id) AS CASE
    WHEN getvariable('span')[span_id] IS NULL
        THEN CAST(error('the ruleset has no period ' || span_id) AS INTERVAL)
    ELSE getvariable('span')[span_id]
END;

CREATE OR REPLACE TEMPORARY MACRO before(day, span_id) AS CAST(day - span(span_id) AS DATE);

CREATE OR REPLACE TEMPORARY MACRO after(day, span_id) AS CAST(day + span(span_id) AS DATE);

-- From when on kidney results count: the earliest sample that decides, and as long before it as its gate looks.
CREATE OR REPLACE TEMPORARY MACRO kidney_from() AS before(before(as_of(), 'look_back'), 'gate');

CREATE OR REPLACE TEMPORARY MACRO quantity(quantity_id) AS CASE
    WHEN getvariable('quantity')[quantity_id] IS NULL
        THEN CAST(error('the ruleset has no quantity ' || quantity_id) AS DOUBLE)
    ELSE getvariable('quantity')[quantity_id]
END;

CREATE OR REPLACE TEMPORARY MACRO fragment_text(fragment_id) AS CASE
    WHEN getvariable('fragment')[fragment_id] IS NULL
        THEN CAST(error('the ruleset has no fragment ' || fragment_id) AS VARCHAR)
    ELSE getvariable('fragment')[fragment_id]
END;

CREATE OR REPLACE TEMPORARY MACRO in_set(set_id, rule_id) AS CASE
    WHEN getvariable('rule_set')[set_id] IS NULL
        THEN CAST(error('the ruleset has no set ' || set_id) AS BOOLEAN)
    ELSE coalesce(list_contains(getvariable('rule_set')[set_id], rule_id), FALSE)
END;

-- Whether the current version of a result tells a value: not one that is preliminary or was taken back.
CREATE OR REPLACE TEMPORARY MACRO speaks(status) AS status IN ('final', 'amended', 'corrected');

-- A word that a LEFT JOIN did not find: what absence means depends on what the feed could have said.
CREATE OR REPLACE TEMPORARY MACRO yes_or(found, absent) AS CASE WHEN found THEN 'yes' ELSE absent END;

-- An instant as a number whose neighbours are farther apart than any hash: instant and hash in one.
CREATE OR REPLACE TEMPORARY MACRO instant_number(instant) AS
    CAST(epoch_us(instant) AS HUGEINT) * CAST(18446744073709551616 AS HUGEINT);

-- Completed years. Someone born on a leap day has the birthday on 1 March of other years
-- (date_sub('year', ...) would give it a day early).
CREATE OR REPLACE TEMPORARY MACRO age_on(birth_date, day) AS
    year(day) - year(birth_date)
    - CAST(month(day) * 100 + day(day) < month(birth_date) * 100 + day(birth_date) AS INTEGER);

-- mg/dL from umol/L by the molar mass of the analyte map (10 dL to the litre, 1000 ug to the mg).
CREATE OR REPLACE TEMPORARY MACRO creatinine_mg_dl(creatinine_umol_l) AS
    creatinine_umol_l * getvariable('analyte')['creatinine'].molar_mass / 10000;

-- CKD-EPI 2021 creatinine equation, Inker et al., NEJM 2021;385:1737, table 2. mL/min/1.73 m2, unrounded.
CREATE OR REPLACE TEMPORARY MACRO ckd_epi_2021(creatinine_mg_dl, age_years, sex) AS
    142
    * power(
        least(creatinine_mg_dl / CASE sex WHEN 'female' THEN 0.7 ELSE 0.9 END, 1),
        CASE sex WHEN 'female' THEN -0.241 ELSE -0.302 END
    )
    * power(greatest(creatinine_mg_dl / CASE sex WHEN 'female' THEN 0.7 ELSE 0.9 END, 1), -1.2)
    * power(0.9938, age_years)
    * CASE sex WHEN 'female' THEN 1.012 ELSE 1 END;

-- The same from umol/L, where the equation holds: adults, female or male; NULL elsewhere.
CREATE OR REPLACE TEMPORARY MACRO egfr_of(creatinine_umol_l, age_years, sex) AS CASE
    WHEN creatinine_umol_l > 0 AND age_years >= quantity('adult_age') AND sex IN ('female', 'male')
        THEN ckd_epi_2021(creatinine_mg_dl(creatinine_umol_l), age_years, sex)
END;

-- The lower a creatinine, the higher its eGFR: a bound on one is the opposite bound on the other.
CREATE OR REPLACE TEMPORARY MACRO opposite(comparator) AS CASE comparator WHEN '<' THEN '>' WHEN '>' THEN '<' ELSE '=' END;

-- At most two decimals and no float noise.
CREATE OR REPLACE TEMPORARY MACRO number_text(value) AS rtrim(rtrim(CAST(CAST(value AS DECIMAL(18, 2)) AS VARCHAR), '0'), '.');

CREATE OR REPLACE TEMPORARY MACRO value_text(value, comparator) AS
    CASE WHEN comparator = '=' THEN '' ELSE comparator END || number_text(value);

-- eGFR is cut, not rounded, to one decimal: 59.96 must not read as 60 in a row about reduced function.
CREATE OR REPLACE TEMPORARY MACRO egfr_text(value, comparator) AS value_text(floor(value * 10) / 10, comparator);

CREATE OR REPLACE TEMPORARY MACRO label(wanted) AS getvariable('analyte')[wanted].label;

CREATE OR REPLACE TEMPORARY MACRO unit_text(wanted) AS replace(getvariable('analyte')[wanted].unit, 'umol', 'µmol');

-- "MMA 412 nmol/L on 2026-10-02"; NULL where there is no value.
CREATE OR REPLACE TEMPORARY MACRO result_text(wanted, value, comparator, day) AS
    label(wanted) || ' ' || value_text(value, comparator) || ' ' || unit_text(wanted) || ' on '
    || CAST(day AS VARCHAR);

-- What became of a value, behind it; blank where a bound leaves it open.
CREATE OR REPLACE TEMPORARY MACRO fall_text(fall_pct) AS coalesce(
    ', ' || CASE WHEN fall_pct < 0 THEN 'risen' ELSE 'fallen' END || ' by '
    || number_text(round(abs(fall_pct), 1)) || ' %',
    ''
);

-- A result whose value stands as text; an eGFR is named without its unit.
CREATE OR REPLACE TEMPORARY MACRO ground_text(wanted, value_text, day) AS
    label(wanted) || ' ' || value_text || CASE wanted WHEN 'egfr' THEN '' ELSE ' ' || unit_text(wanted) END
    || ' on ' || CAST(day AS VARCHAR);

-- "homocysteine 20 µmol/L on 2026-10-02 (too long before the MMA to count)"; NULL where there is none.
CREATE OR REPLACE TEMPORARY MACRO apart_text(wanted, result, other) AS
    result_text(wanted, result.value, result.comparator, result.collected_on)
    || ' (too long before the ' || label(other) || ' to count)';

-- A test that is asked for: that it is there and does not decide, and up to when one of a pair can be taken alone.
CREATE OR REPLACE TEMPORARY MACRO test_text(wanted, is_there, alone_to) AS
    wanted || coalesce(
        ' (' || nullif(
            concat_ws(
                ', ',
                CASE WHEN is_there THEN 'repeat' END,
                'by ' || CAST(alone_to AS VARCHAR) || ' or both markers again'
            ),
            ''
        ) || ')',
        ''
    );

-- Whether a marker is worse than what a clinic saw: up by the ruleset's ratio, or raised where none was seen.
CREATE OR REPLACE TEMPORARY MACRO marker_worse(raised, value, comparator, seen_text) AS CASE
    WHEN value IS NULL OR comparator = '<' THEN FALSE
    WHEN seen_text IS NULL THEN raised = 'yes'
    ELSE reaches(value, quantity('marker_worse') * CAST(ltrim(seen_text, '<>') AS DOUBLE))
END;

-- Whether a marker is raised or B12 low, by the words of the three.
CREATE OR REPLACE TEMPORARY MACRO any_raised(mma_raised, hcy_raised, b12_level) AS CASE
    WHEN 'yes' IN (mma_raised, hcy_raised) OR b12_level = 'low' THEN 'yes'
    WHEN 'unknown' IN (mma_raised, hcy_raised, b12_level) THEN 'unknown'
    ELSE 'no'
END;

-- "a supplement of cyanocobalamin 0.05 mg since 2026-10-02": too little to be treatment; NULL where there is none.
CREATE OR REPLACE TEMPORARY MACRO supplement_text(supplement) AS
    'a supplement of '
    || CASE supplement.substance WHEN 'cobalamin_unspecified' THEN 'B12' ELSE supplement.substance END
    || ' ' || CAST(round(supplement.dose_mg, 4) AS VARCHAR) || ' mg since '
    || CAST(supplement.started_on AS VARCHAR);

-- How a value stands to a limit, in brackets behind it.
CREATE OR REPLACE TEMPORARY MACRO stand_text(word, limit_id) AS CASE word
    WHEN 'yes' THEN ' (' || limit_text(limit_id) || ')'
    WHEN 'no' THEN ' (not ' || limit_text(limit_id) || ')'
    ELSE ' (open whether ' || limit_text(limit_id) || ')'
END;

-- The same where two decimals would show a value as the limit that it is beyond: "15 (just above 15)".
CREATE OR REPLACE TEMPORARY MACRO close_text(word, limit_id, value) AS CASE
    WHEN word = 'yes' AND value <> limit_value(limit_id) AND number_text(value) = number_text(limit_value(limit_id))
        THEN ' (just ' || limit_text(limit_id) || ')'
    ELSE stand_text(word, limit_id)
END;

-- "in 12 days", "today", "4 days ago": how far a day is from the night.
CREATE OR REPLACE TEMPORARY MACRO distance_text(day) AS CASE
    WHEN day = as_of() THEN 'today'
    WHEN abs(day - as_of()) = 1 THEN CASE WHEN day > as_of() THEN 'tomorrow' ELSE 'yesterday' END
    WHEN day > as_of() THEN 'in ' || CAST(day - as_of() AS VARCHAR) || ' days'
    ELSE CAST(as_of() - day AS VARCHAR) || ' days ago'
END;

-- A condition or drug code as the maps spell it: capitals, without dots, white space and the signs beside a code,
-- and without a meaning behind it ("G32.0 Subacute …", "22325002 |Ataxic gait|"; "B03B A03" is one code).
CREATE OR REPLACE TEMPORARY MACRO plain_code(code) AS upper(
    regexp_replace(
        coalesce(
            nullif(
                regexp_extract(
                    code,
                    '^[ \t\r\n\x{A0}]*([A-Za-z][0-9][0-9A-Za-z](?:[.]?[0-9A-Za-z]{1,4})?|[0-9]{5,18})[*†‡+!#]*'
                    || '(?:[ \t\r\n\x{A0}]*[|(:;,/]|[ \t\r\n\x{A0}]*[-–][ \t\r\n\x{A0}]*[A-Za-z]{3}'
                    || '|[ \t\r\n\x{A0}]+[^ \t\r\n\x{A0}0-9.*†‡+!#]{3})',
                    1
                ),
                ''
            ),
            code
        ),
        '[\s\pZ\x{FEFF}\x{200B}.*†‡+!#]',
        '',
        'g'
    )
);

-- Whether a text may be a code at all: a prefix of one would make a pregnancy of "O2 sat low".
CREATE OR REPLACE TEMPORARY MACRO is_code(code_system, plain) AS
    NOT starts_with(code_system, 'icd') OR regexp_matches(plain, '^[A-Z][0-9][0-9AB]');

-- "code T45.2X5A of 2026-10-02"; what somebody wrote behind or within the code is no part of a reason.
CREATE OR REPLACE TEMPORARY MACRO code_text(code, day) AS
    'code '
    || coalesce(
        nullif(
            regexp_extract(
                code,
                '^\s*([A-Za-z][0-9][0-9A-Za-z](\.[0-9][0-9A-Za-z]{0,3})?|[0-9]{5,18})([\s*†‡+!#/,;:(-]|$)',
                1
            ),
            ''
        ),
        nullif(regexp_extract(plain_code(code), '^[A-Z0-9]+'), ''),
        plain_code(code)
    )
    || ' of ' || CAST(day AS VARCHAR);

-- "folic acid taken since 2026-10-02" by a prescription, else "folic acid last given on 2026-10-02".
CREATE OR REPLACE TEMPORARY MACRO taken_text(what, since, given_on) AS
    what || coalesce(' taken since ' || CAST(since AS VARCHAR), ' last given on ' || CAST(given_on AS VARCHAR));

-- A text with its blanks filled in: pairs of a token and what stands for it.
CREATE OR REPLACE TEMPORARY MACRO filled_in(text, blanks) AS list_reduce(
    list_prepend([text], blanks), lambda so_far, blank: [replace(so_far[1], blank[1], blank[2])]
)[1];

-- "3 of 6 doses" until the loading doses are full, then how many there are.
CREATE OR REPLACE TEMPORARY MACRO dose_text(n_doses) AS CASE
    WHEN n_doses < quantity('loading_doses')
        THEN n_doses || ' of ' || number_text(quantity('loading_doses')) || ' doses'
    ELSE n_doses || ' doses'
END;

-- Findings of several rules about one person, each of them once.
CREATE OR REPLACE TEMPORARY MACRO said_once(findings) AS array_to_string(
    list_filter(
        string_split(findings, '; '),
        lambda finding, place: list_position(string_split(findings, '; '), finding) = place
    ),
    '; '
);

-- Whether a calculated value is at least another. 12.4 is 20 % below 15.5 and 1.35 mg/dL is 1.5 times 0.9 mg/dL,
-- though binary arithmetic misses both by a hair; no laboratory gives so many decimals as are left here.
CREATE OR REPLACE TEMPORARY MACRO reaches(calculated, wanted) AS round(calculated - wanted, 6) >= 0;

-- Whether a fall from one value to a later one is at least so many percent. A bound is used as far as it
-- carries: it may show that the fall is enough, or that it is not, or neither.
CREATE OR REPLACE TEMPORARY MACRO fall_reaches(percent, earlier, earlier_comparator, later, later_comparator) AS CASE
    WHEN
        earlier_comparator IN ('=', '>')
        AND later_comparator IN ('=', '<')
        AND reaches(100 * (earlier - later), percent * earlier)
        THEN 'yes'
    WHEN
        earlier_comparator = '=' AND later_comparator = '=' AND NOT reaches(100 * (earlier - later), percent * earlier)
        THEN 'no'
    WHEN
        row(earlier_comparator, later_comparator) IN (row('<', '='), row('=', '>'), row('<', '>'))
        AND reaches(percent * earlier, 100 * (earlier - later))
        THEN 'no'
    ELSE 'unknown'
END;

-- Anaemia or macrocytosis by results from a day on: yes by either, no only by both.
CREATE OR REPLACE TEMPORARY MACRO blood_abnormal_from(day, anaemia, hb_on, macrocytosis, mcv_on) AS CASE
    WHEN (anaemia = 'yes' AND hb_on >= day) OR (macrocytosis = 'yes' AND mcv_on >= day) THEN 'yes'
    WHEN anaemia = 'no' AND hb_on >= day AND macrocytosis = 'no' AND mcv_on >= day THEN 'no'
    ELSE 'unknown'
END;

-- The permanent id of a worklist item: 80 bits of a hash, in base 32.
CREATE OR REPLACE TEMPORARY MACRO item_digest(digest) AS
    'i'
    || lower(to_base(CAST('0x' || digest[1:10] AS BIGINT), 32, 8))
    || lower(to_base(CAST('0x' || digest[11:20] AS BIGINT), 32, 8));

CREATE OR REPLACE TEMPORARY MACRO item_id(patient_id, action, anchor) AS
    item_digest(sha256(patient_id || chr(31) || action || chr(31) || coalesce(anchor, '')));

-- A withdrawal is told to each clinic that was told the value; people without a clinic stand under a blank.
CREATE OR REPLACE TEMPORARY MACRO withdrawal_anchor(clinic_id) AS coalesce(clinic_id, ' ');

CREATE OR REPLACE TEMPORARY MACRO withdrawal_id(patient_id, clinic_id) AS
    item_id(patient_id, 'result_withdrawn', withdrawal_anchor(clinic_id));

-- Whether a withdrawal waits for an acknowledgement.
CREATE OR REPLACE TEMPORARY MACRO waits(withdrawn_on, acknowledged_on) AS
    withdrawn_on IS NOT NULL AND coalesce(withdrawn_on > acknowledged_on, TRUE);

-- The night whose sheet was answered: the one that it names, else that of the day before.
CREATE OR REPLACE TEMPORARY MACRO seen_on(sheet_on, decided_on, taken_for) AS
    coalesce(sheet_on, least(decided_on, CAST(taken_for - INTERVAL 1 DAY AS DATE)));
