-- How the cells of an extract are read. The engine's own casts accept far more than a contract may
-- (1_000, nan, 2026-1-2), so a cell is cast only once its grammar holds.

-- A moment by the site's clock. Where the clock is put back it goes through one hour twice: what lies in its second
-- pass comes to stand in the last tenth of a second of that hour, in its order, so that a later moment is never
-- an earlier one.
CREATE OR REPLACE TEMPORARY MACRO local_of(moment, zone) AS
    CASE
        WHEN timezone(zone, moment - INTERVAL 1 HOUR) = timezone(zone, moment)
            THEN date_trunc('hour', timezone(zone, moment))
                + to_microseconds(
                    3599900000 + CAST(floor(
                        (epoch_us(timezone(zone, moment)) - epoch_us(date_trunc('hour', timezone(zone, moment)))) / 36000
                    ) AS BIGINT)
                )
        ELSE timezone(zone, moment)
    END;

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
            THEN local_of(TRY_CAST(trim(cell) AS TIMESTAMPTZ), zone)
    END;

-- A day, or NULL. Midnight with an offset is how a day without an hour is written by what knows only moments:
-- the day is the one that stands there.
CREATE OR REPLACE TEMPORARY MACRO day_of(cell, zone) AS
    CASE
        WHEN moment_of(trim(cell), zone) IS NULL THEN NULL
        WHEN regexp_matches(trim(cell), '[T ]00:00(:00(\.0+)?)?(Z|[+-]\d\d(:?\d\d)?)$')
            THEN TRY_CAST(trim(cell)[1:10] AS DATE)
        ELSE CAST(moment_of(trim(cell), zone) AS DATE)
    END;

-- The number of a result, with or without < or >, or NULL. Infinite where it does not fit a double.
CREATE OR REPLACE TEMPORARY MACRO number_of(cell) AS
    CASE
        WHEN regexp_full_match(cell, '\d+(\.\d+)?') THEN TRY_CAST(cell AS DOUBLE)
        WHEN regexp_full_match(cell, '([<>] ?)?[+-]?\d+(\.\d+)?([eE][+-]?\d+)?')
            THEN TRY_CAST(ltrim(cell, '<> ') AS DOUBLE)
    END;

-- A unit as the unit map spells it: lower case, no blanks of any kind, either mu sign as u.
CREATE OR REPLACE TEMPORARY MACRO folded_unit(cell) AS
    CASE
        WHEN strlen(cell) = length(cell) AND NOT contains(cell, ' ') AND NOT contains(cell, chr(9)) THEN lower(cell)
        ELSE replace(replace(lower(regexp_replace(cell, '[\t-\r\pZ]', '', 'g')), chr(181), 'u'), chr(956), 'u')
    END;

-- A cell without outer blanks; most cells hold none, and looking is cheaper than trimming.
CREATE OR REPLACE TEMPORARY MACRO bare(cell) AS
    CASE WHEN contains(cell, ' ') THEN trim(cell) ELSE cell END;

-- A word as closed words are compared: trimmed, lower case.
CREATE OR REPLACE TEMPORARY MACRO folded_word(cell) AS lower(bare(cell));

-- Whether nothing but blanks of any kind stands in a cell; only what sorts before ! or after ASCII can be.
CREATE OR REPLACE TEMPORARY MACRO is_blank(cell) AS
    CASE WHEN cell < '!' OR cell > '~' THEN regexp_full_match(cell, '[\s\p{Z}\p{Cc}\p{Cf}]*') ELSE FALSE END;

-- How databases and data frames write that there is nothing.
CREATE OR REPLACE TEMPORARY MACRO is_null_word(cell) AS
    bare(cell) IN ('NULL', 'Null', 'null', 'NaN', 'nan', 'None', '<NA>', 'NaT', '#N/A');

-- A key that is none: nothing but blanks, or a word for nothing. Looking at its length is cheaper than at it.
CREATE OR REPLACE TEMPORARY MACRO is_no_key(cell) AS
    is_blank(cell) OR CASE WHEN strlen(cell) < 7 THEN is_null_word(cell) ELSE FALSE END;

-- A key that a spreadsheet has made a number of: 1.23457E+11 may be anybody's. Hardly any key holds a plus.
CREATE OR REPLACE TEMPORARY MACRO is_power(cell) AS
    CASE
        WHEN contains(cell, '+') THEN regexp_full_match(trim(cell), '\d+([.,]\d+)?[eE]\+\d+')
        ELSE FALSE
    END;

-- A person whom a spreadsheet or a data frame has made a number of; 221.0 is 221. An order may be called so.
CREATE OR REPLACE TEMPORARY MACRO is_number_made(cell) AS
    CASE WHEN contains(cell, '.') THEN regexp_full_match(trim(cell), '\d+\.0+') ELSE FALSE END OR is_power(cell);

-- A clinic of a row; a word for nothing names none.
CREATE OR REPLACE TEMPORARY MACRO clinic_of(cell) AS
    CASE WHEN is_null_word(cell) THEN NULL ELSE nullif(bare(cell), '') END;

-- A specimen or a test name as the maps spell it: lower case, trimmed, single blanks.
CREATE OR REPLACE TEMPORARY MACRO folded_words(cell) AS
    CASE
        WHEN regexp_matches(cell, '  |[\t-\r]|[^ \PZ]')
            THEN trim(regexp_replace(lower(cell), '[\t-\r\pZ]+', ' ', 'g'))
        ELSE trim(lower(cell))
    END;
