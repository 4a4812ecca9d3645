-- How the cells of a sheet that comes back are read: a person typed them, and a spreadsheet had its way with
-- them. Beside the grammar of extracts, which it builds upon.

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
