-- How the cells of an extract are read. The engine's own casts accept far more than a contract may
-- (1_000, nan, 2026-1-2), so a cell is cast only once its grammar holds.

-- An ISO 8601 day or moment in the site's local time, or NULL; an offset is converted. The commonest shape
-- needs no regular expression: with its marks in their places nothing else can parse.
CREATE OR REPLACE TEMPORARY MACRO moment_of(cell, zone) AS
    CASE
        WHEN cell LIKE '____-__-__T__:__:__' AND cell >= '0' AND cell NOT LIKE '% '
            THEN try_strptime(cell, '%Y-%m-%dT%H:%M:%S')
        WHEN regexp_full_match(
            trim(cell),
            '\d{4}-\d{2}-\d{2}([T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?)?'
        )
            THEN TRY_CAST(trim(cell) AS TIMESTAMP)
        WHEN regexp_full_match(
            trim(cell),
            '\d{4}-\d{2}-\d{2}[T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,9})?)?'
            || '(Z|[+-](0\d|1[0-4])(:?[0-5]\d)?)'
        )
            THEN timezone(zone, TRY_CAST(trim(cell) AS TIMESTAMPTZ))
    END;

-- The day of an end as sent; blank where it is one that stands for none, like 2099-12-31 or 9999-12-31.
CREATE OR REPLACE TEMPORARY MACRO end_text(cell, zone, no_end) AS
    CASE WHEN CAST(moment_of(trim(cell), zone) AS DATE) >= no_end THEN '' ELSE cell END;

-- The number of a result, with or without < or >, or NULL. Infinite where it does not fit a double.
CREATE OR REPLACE TEMPORARY MACRO number_of(cell) AS
    CASE
        WHEN regexp_full_match(cell, '\d+(\.\d+)?') THEN TRY_CAST(cell AS DOUBLE)
        WHEN regexp_full_match(cell, '([<>] ?)?[+-]?\d+(\.\d+)?([eE][+-]?\d+)?')
            THEN TRY_CAST(ltrim(cell, '<> ') AS DOUBLE)
    END;

-- A unit as the unit map spells it: lower case, no blanks, either mu sign as u.
CREATE OR REPLACE TEMPORARY MACRO folded_unit(cell) AS
    CASE
        WHEN strlen(cell) = length(cell) AND NOT contains(cell, ' ') THEN lower(cell)
        ELSE replace(replace(lower(regexp_replace(cell, '\s', '', 'g')), chr(181), 'u'), chr(956), 'u')
    END;

-- A cell without outer blanks; most cells hold none, and looking is cheaper than trimming.
CREATE OR REPLACE TEMPORARY MACRO bare(cell) AS
    CASE WHEN contains(cell, ' ') THEN trim(cell) ELSE cell END;

-- A word as closed words are compared: trimmed, lower case.
CREATE OR REPLACE TEMPORARY MACRO folded_word(cell) AS lower(bare(cell));

-- Whether nothing but blanks of any kind stands in a cell; only what sorts before ! or after ASCII can be.
CREATE OR REPLACE TEMPORARY MACRO is_blank(cell) AS
    CASE WHEN cell < '!' OR cell > '~' THEN regexp_full_match(cell, '[\s\p{Z}\p{Cc}\p{Cf}]*') ELSE FALSE END;

-- A specimen or a test name as the maps spell it: lower case, trimmed, single blanks.
CREATE OR REPLACE TEMPORARY MACRO folded_words(cell) AS
    CASE
        WHEN regexp_matches(cell, '\s\s|[\t\r\n]')
            THEN trim(regexp_replace(lower(cell), '\s+', ' ', 'g'))
        ELSE trim(lower(cell))
    END;

-- A cell without the apostrophe that keeps a spreadsheet from running it.
CREATE OR REPLACE TEMPORARY MACRO unguarded(cell) AS
    regexp_replace(cell, '^\x27([=+\-@\t\r])', '\1');

-- A remark on one line or several, whatever line end a spreadsheet gave them.
CREATE OR REPLACE TEMPORARY MACRO remark_of(cell) AS
    trim(replace(unguarded(cell), chr(13) || chr(10), chr(10)));

-- A closed word as a person types it: blanks and hyphens for the underscore, also blanks that do not break.
CREATE OR REPLACE TEMPORARY MACRO spaced_word(cell) AS
    regexp_replace(
        regexp_replace(lower(replace(cell, chr(160), ' ')), '^\s+|\s+$', '', 'g'), '[\s_-]+', '_', 'g'
    );

-- A day as spreadsheets write it: without the time of day that some of them add.
CREATE OR REPLACE TEMPORARY MACRO day_text(cell) AS
    regexp_replace(trim(cell), '[ T]\d{1,2}:\d{2}(:\d{2}(\.\d{1,9})?)?$', '');

-- Its numbers in the order in which they are written; NULL where it is no day with a year of four digits.
CREATE OR REPLACE TEMPORARY MACRO day_numbers(cell) AS
    CASE
        WHEN regexp_full_match(
            day_text(cell),
            '\d{4}-\d{1,2}-\d{1,2}|\d{4}/\d{1,2}/\d{1,2}|\d{4}[.]\d{1,2}[.]\d{1,2}'
            || '|\d{1,2}-\d{1,2}-\d{4}|\d{1,2}/\d{1,2}/\d{4}|\d{1,2}[.]\d{1,2}[.]\d{4}'
        )
            THEN CAST(regexp_extract_all(day_text(cell), '\d+') AS INTEGER[])
    END;

-- Nobody writes dots between a month and the day after it; where the settings say month first, somebody may.
CREATE OR REPLACE TEMPORARY MACRO day_order(cell, date_order) AS
    CASE
        WHEN NOT contains(cell, '.') THEN date_order
        WHEN date_order = 'month-first' THEN ''
        ELSE 'day-first'
    END;

-- Whether day and month could change places, and nobody said which comes first.
CREATE OR REPLACE TEMPORARY MACRO has_two_readings(cell, date_order) AS
    coalesce(
        day_numbers(cell)[1] <= 12
        AND day_numbers(cell)[2] <= 12
        AND day_numbers(cell)[1] <> day_numbers(cell)[2]
        AND day_order(day_text(cell), date_order) = '',
        FALSE
    );

-- A day from its numbers, or NULL where the calendar has none.
CREATE OR REPLACE TEMPORARY MACRO calendar_day(year_number, month_number, day_number) AS
    TRY_CAST(
        concat_ws(
            '-',
            CAST(year_number AS VARCHAR),
            lpad(CAST(month_number AS VARCHAR), 2, '0'),
            lpad(CAST(day_number AS VARCHAR), 2, '0')
        ) AS DATE
    );

-- A day of a sheet that comes back, or NULL: where both readings are days, it is not guessed. A number
-- above twelve is no month, wherever it stands.
CREATE OR REPLACE TEMPORARY MACRO day_of_sheet(cell, zone, date_order) AS
    CASE
        WHEN moment_of(trim(cell), zone) IS NOT NULL THEN CAST(moment_of(trim(cell), zone) AS DATE)
        WHEN day_numbers(cell)[1] > 31
            THEN calendar_day(day_numbers(cell)[1], day_numbers(cell)[2], day_numbers(cell)[3])
        WHEN has_two_readings(cell, date_order) THEN NULL
        WHEN day_numbers(cell)[2] > 12
            OR (day_order(day_text(cell), date_order) = 'month-first' AND day_numbers(cell)[1] <= 12)
            THEN calendar_day(day_numbers(cell)[3], day_numbers(cell)[1], day_numbers(cell)[2])
        ELSE calendar_day(day_numbers(cell)[3], day_numbers(cell)[2], day_numbers(cell)[1])
    END;
